"""``python -m dnnzip.bench.paper``; see ``--help``."""

from dnnzip.bench.paper.command import main

if __name__ == "__main__":
    main()

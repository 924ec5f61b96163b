"""``python -m dnnzip.bench``; see ``--help``."""

from dnnzip.bench.command import main

if __name__ == "__main__":
    main()

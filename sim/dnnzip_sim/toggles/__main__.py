"""``python -m dnnzip_sim.toggles``; see ``--help``."""

import sys

from dnnzip_sim.toggles.command import main

if __name__ == "__main__":
    sys.exit(main())

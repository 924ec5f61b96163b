"""Run a simulated board until it is interrupted: ``python -m dnnzip_sim.board``."""

import argparse
import sys
import time
from dataclasses import replace

from dnnzip.errors import DnnzipError
from dnnzip_hw.board.boards import BOARDS
from dnnzip_sim.board.simulated import DIVISOR, SimulatedBoard


def main() -> int:
    """Start the board, print its port, wait; return the status of the process."""
    parser = argparse.ArgumentParser(prog="python -m dnnzip_sim.board", description=__doc__)
    parser.add_argument("--board", choices=sorted(BOARDS), default="icebreaker", help="whose decompressor to simulate")
    parser.add_argument("--lost", type=float, default=0.0, metavar="CHANCE", help="of a byte to be lost")
    parser.add_argument("--damaged", type=float, default=0.0, metavar="CHANCE", help="of a byte to be damaged")
    parser.add_argument("--seed", type=int, default=1, help="of these faults")
    chosen = parser.parse_args()
    parameters = replace(BOARDS[chosen.board].parameters, divisor=DIVISOR)
    board = SimulatedBoard(parameters, lost=chosen.lost, damaged=chosen.damaged, seed=chosen.seed)
    try:
        with board:
            print(f"dnnzip simulate MODEL --link serial:{board.port}", flush=True)
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        print(board.result, file=sys.stderr)
        return 0
    except DnnzipError as error:
        print(f"dnnzip: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())

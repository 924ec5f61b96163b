"""Run a simulated board until it is interrupted: ``python -m dnnzip_sim.board``."""

import argparse
import sys
import time

from dnnzip.cli.endings import failing_in_one_line
from dnnzip.format.frames import Top
from dnnzip_hw.board.array_core import SerialArrayParameters
from dnnzip_hw.board.boards import BOARDS
from dnnzip_hw.board.decompressor_core import SerialDecompressorParameters
from dnnzip_sim.board.simulated import SimulatedBoard, as_simulated


def command(parameters: SerialDecompressorParameters | SerialArrayParameters, port: str) -> str:
    """Return the command line that uses the board."""
    if isinstance(parameters, SerialDecompressorParameters):
        return f"dnnzip simulate MODEL --link serial:{port}"
    array = parameters.array
    sizes = f"--groups {array.groups} --lanes {array.decompressor.lanes} --slots {array.decompressor.slots}"
    return (
        f"dnnzip run MODEL --data SET {sizes} --columns {array.columns} --vectors {array.vectors} --link serial:{port}"
    )


@failing_in_one_line()
def main() -> int:
    """Start the board, print its port, wait; return the status of the process."""
    parser = argparse.ArgumentParser(prog="python -m dnnzip_sim.board", description=__doc__)
    parser.add_argument(
        "--board", choices=sorted(BOARDS), help="whose top to simulate; icebreaker, and ulx3s-85f for the array"
    )
    tops = {top.label: top for top in Top}
    parser.add_argument("--top", choices=list(tops), default=Top.DECOMPRESSOR.label, help="what is behind the line")
    parser.add_argument("--lost", type=float, default=0.0, metavar="CHANCE", help="of a byte to be lost")
    parser.add_argument("--damaged", type=float, default=0.0, metavar="CHANCE", help="of a byte to be damaged")
    parser.add_argument("--seed", type=int, default=1, help="of these faults")
    chosen = parser.parse_args()
    top = tops[chosen.top]
    name = chosen.board or ("ulx3s-85f" if top is Top.ARRAY else "icebreaker")
    try:
        parameters = as_simulated(BOARDS[name].design(top))
        board = SimulatedBoard(parameters, lost=chosen.lost, damaged=chosen.damaged, seed=chosen.seed)
        with board:
            print(command(parameters, board.port), flush=True)
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        print(board.result, file=sys.stderr)
        return 0


if __name__ == "__main__":
    sys.exit(main())

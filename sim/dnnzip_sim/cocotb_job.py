"""One call of cocotb's runner in a process of its own: ``python -m dnnzip_sim.cocotb_job build``, or ``test``.

Standard input holds the arguments, as JSON. The runner reads the process' environment, changes its behaviour under
pytest and leaves by ``sys.exit``. In a process of its own it sees exactly the environment that was meant for it, and
several can run at a time.
"""

import json
import sys
from typing import Any

from cocotb_tools.runner import Verilator


class VerilatorWithObjects(Verilator):
    """cocotb's runner for Verilator, which uses the objects that lie in the build folder already.

    They depend on Verilator's makefile, which each build writes anew; whoever put them there answers for their being
    right, so they are marked as the newer ones.
    """

    def _build_command(self) -> list[list[str]]:
        *verilate, make = super()._build_command()
        objects = sorted(str(path) for path in self.build_dir.glob("*.o"))
        return [*verilate, *([["touch", *objects]] if objects else []), make]


def main(verb: str, arguments: dict[str, Any]) -> None:
    """Call ``Runner.build`` or ``Runner.test`` for Verilator with the keyword arguments ``arguments``."""
    runner = VerilatorWithObjects()
    if verb == "build":
        runner.build(**arguments)
    else:
        runner.test(**arguments)


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))

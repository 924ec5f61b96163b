"""One call of cocotb's runner in a process of its own: ``python -m dnnzip_sim.cocotb_job build``, or ``test``.

Standard input holds the arguments, as JSON. The runner reads the process' environment, changes its behaviour under
pytest and leaves by ``sys.exit``. In a process of its own it sees exactly the environment that was meant for it, and
several can run at a time.
"""

import json
import sys
from typing import Any

from cocotb_tools.runner import get_runner


def main(verb: str, arguments: dict[str, Any]) -> None:
    """Call ``Runner.build`` or ``Runner.test`` for Verilator with the keyword arguments ``arguments``."""
    runner = get_runner("verilator")
    if verb == "build":
        runner.build(**arguments)
    else:
        runner.test(**arguments)


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))

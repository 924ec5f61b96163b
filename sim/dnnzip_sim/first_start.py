"""Begin, in the background, what is slow only once: Yosys' first start and the C++ that every Verilator build shares.

Both are kept afterwards, Yosys' by itself in the user's cache folder, so later calls cost next to nothing. Yosys' first
start takes both of two cores for half a minute; whatever waits for a download or a disk can go on meanwhile.
"""

import concurrent.futures
import contextlib
import subprocess
from collections.abc import Iterator, Sequence

from dnnzip_sim import toolchain
from dnnzip_sim.build import prepare


def start_yosys() -> None:
    """Start Yosys once and wait for its end.

    Raises
    ------
    MissingToolError
        When there is no Yosys, or it does not start.
    """
    tool = toolchain.yosys()
    result = subprocess.run([tool.path, "--version"], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise toolchain.missing("yosys", f"at {tool.path} does not start")


@contextlib.contextmanager
def begun(options: Sequence[str] = ()) -> Iterator[None]:
    """Do the slow first starts while the body of the ``with`` runs; leaving it waits for them.

    A use of Yosys or of ``build`` inside the body is right, but does the same work a second time.

    Parameters
    ----------
    options
        Verilator options of the build that will follow, as for ``build``.

    Raises
    ------
    MissingToolError
        When a tool is missing; before the body runs where that can be seen.
    BuildFailedError
        When the C++ compiler does not work.
    """
    toolchain.environment()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(start_yosys), pool.submit(prepare, options=options)]
        yield
        for job in jobs:
            job.result()

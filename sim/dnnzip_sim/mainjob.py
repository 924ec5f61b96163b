"""The main job, ``make sim``: the digits network compressed, decoded by the RTL, checked and measured.

The slow starts overlap: while the codec's loops are compiled and the network is compressed, one thread starts Yosys and
exports the RTL, and another compiles the C++ that every simulator shares, unless all that is in the cache.
"""

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from dnnzip import digits
from dnnzip.cli.announcements import ignore_announcements
from dnnzip.cli.endings import failing_in_one_line
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.onnx.files import load_model
from dnnzip.presentation import chain_report
from dnnzip.presentation.tables import stdout_console
from dnnzip.quantize.bound import Bound
from dnnzip.system.waits import show_waits
from dnnzip.usecases import chain
from dnnzip.usecases.compress import CompressionOptions
from dnnzip.usecases.simulate import reference_layer
from dnnzip_sim.build import Build, prepare
from dnnzip_sim.harness import OPTIONS
from dnnzip_sim.link import SimulatedLink

MAX_ERROR = "2%"
FOLDER = Path("build") / "digits"


def title() -> str:
    """Return the line above the table."""
    return f"LeNet-5 on handwritten digits, largest error {MAX_ERROR} of each tensor's range"


@failing_in_one_line()
def main() -> int:
    """Run the main job in the current directory; return the status of the process."""
    ignore_announcements()
    show_waits()
    options = CompressionOptions(Bound.parse(MAX_ERROR))
    link = SimulatedLink()
    with ThreadPoolExecutor(2) as pool:
        starts: tuple[Future[None], Future[Build]] = (
            pool.submit(prepare, options=OPTIONS),
            pool.submit(link.build),
        )

        def ready() -> SimulatedLink:
            for start in starts:
                start.result()
            return link

        network = load_model(digits.MODEL)
        job = chain.Job(network, options, str(digits.MODEL), ready, reference_layer, FOLDER)
        result = chain.run(job, lambda model: evaluate(model, digits.TEST_SET), chain.announce_on_terminal)
    chain_report.save_report(result)
    console = stdout_console()
    console.print(title())
    chain_report.table(result).show(console)
    for line in chain_report.closing_lines(result):
        console.print(line, soft_wrap=True)
    console.print(f"Also in {FOLDER}: report.md, report.json, model.dnz.onnx, decoded.onnx", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The simulated array: jobs are executed by the RTL, compiled by Verilator, with cocotb in charge."""

from dataclasses import asdict

from dnnzip.array.job import ArrayFigures, ArrayJob, ArrayResult
from dnnzip.format import IMAGE_ENTRY, NARROW_BITS, WORD_BITS, WORD_BYTES, read_image_table
from dnnzip.format.array import ArrayShape
from dnnzip.link.opening import take_no_argument
from dnnzip.system.temporary import temporary_folder
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.array import ArrayParameters
from dnnzip_sim.array.harness import build_array, run_job
from dnnzip_sim.link import log2_states_for


class SimulatedArray:
    """Executes jobs with the accelerator's RTL under Verilator; see ``dnnzip.array.job.ArrayLink``.

    The RTL is exported and compiled when it is first needed, and kept in the build cache. Its bus is as wide as its
    groups take words, and the memory is as fast as the bus.

    Parameters
    ----------
    shape
        How large the array is.
    argument
        What follows a colon in the link's name; must be empty.
    """

    def __init__(self, shape: ArrayShape, argument: str = "") -> None:
        take_no_argument("sim", "simulated array", argument)
        self.shape = shape

    def execute(self, job: ArrayJob) -> ArrayResult:
        """Execute a job; see ``dnnzip.array.job.ArrayLink``.

        Raises
        ------
        ProgramError
            The job contradicts itself.
        MissingToolError
            If Verilator, Yosys or a compiler is missing.
        BuildFailedError
            If the RTL does not compile.
        SimulationFailedError
            If the simulator fails, or the accelerator hangs or reports an error.
        """
        parameters = parameters_for(self.shape, job.image)
        with temporary_folder() as folder:
            result = run_job(build_array(parameters), parameters, job, folder)
        counters = asdict(result.figures)
        figures = ArrayFigures.from_counters(counters, result.cycles, result.seconds, counters["loading"])
        return ArrayResult(result.sums, figures)


def parameters_for(shape: ArrayShape, image: bytes) -> ArrayParameters:
    """Return the parameters of an array of this shape whose tables have as many states as those of the image."""
    entries = [entry for entry in read_image_table(image) if entry.is_table_set]
    tables = [image[entry.offset : entry.offset + entry.words * WORD_BYTES] for entry in entries]
    log2_states = max(map(log2_states_for, [*tables, b""]))
    decompressor = DecompressorParameters(shape.lanes, shape.slots, log2_states, NARROW_BITS)
    bus_bits = min(WORD_BITS * shape.groups, IMAGE_ENTRY.bits)
    return ArrayParameters(decompressor, shape.groups, shape.columns, shape.vectors, bus_bits)

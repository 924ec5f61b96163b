"""The simulated array: jobs are executed by the RTL, compiled by Verilator, with cocotb in charge."""

from dnnzip.array.job import ArrayFigures, ArrayJob, ArrayResult, ArrayShape
from dnnzip.errors import InputError, field_name
from dnnzip.format import NARROW_BITS, TABLE_HEADER, TABLES_MAGIC, TableHeader, read_image_table
from dnnzip.system.temporary import temporary_folder
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.array import ArrayParameters
from dnnzip_sim.array.harness import Memory, build_array, run_job


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
    memory
        The memory; by default one that is as fast as the bus.
    """

    def __init__(self, shape: ArrayShape, argument: str = "", *, memory: Memory | None = None) -> None:
        if argument:
            raise InputError(
                f"{field_name('link')} sim:{argument}",
                "the simulated array takes no argument",
                f"{field_name('link')} sim",
            )
        self._shape = shape
        self._memory = memory

    @property
    def shape(self) -> ArrayShape:
        """How large the array is."""
        return self._shape

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
        parameters = parameters_for(self._shape, job.image)
        with temporary_folder() as folder:
            result = run_job(build_array(parameters), parameters, job, folder, memory=self._memory)
        figures = result.figures
        return ArrayResult(
            result.sums,
            ArrayFigures(
                cycles=result.cycles,
                table_cycles=figures.loading,
                memory_words=figures.memory_words,
                bus_words=figures.bus_moves,
                busy_cycles=figures.vectors,
                tile_wait_cycles=figures.lacks_tile,
                vector_wait_cycles=figures.lacks_vector,
                result_wait_cycles=figures.lacks_room,
                seconds=result.seconds,
            ),
        )


def parameters_for(shape: ArrayShape, image: bytes) -> ArrayParameters:
    """Return the parameters of an array of this shape whose tables have as many states as those of the image."""
    log2_states = DecompressorParameters().log2_states
    for entry in read_image_table(image):
        header = image[entry.offset : entry.offset + TABLE_HEADER.bytes]
        if entry.is_table_set and len(header) == TABLE_HEADER.bytes and header[0] == TABLES_MAGIC:
            log2_states = max(log2_states, TableHeader.unpack(header).log2_states)
    decompressor = DecompressorParameters(shape.lanes, shape.slots, log2_states, NARROW_BITS)
    bus_bits = 16 * shape.groups
    return ArrayParameters(decompressor, shape.groups, shape.columns, shape.vectors, min(bus_bits, 256))

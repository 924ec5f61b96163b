"""The image of a job, read and checked as the memory side of an array reads it."""

import numpy as np
from numpy.typing import NDArray

from dnnzip.array.job import ArrayJob, ProgramError
from dnnzip.codec import fast
from dnnzip.codec.beat_order import channels_from_passes
from dnnzip.format import WORD_BYTES, Codec, ImageEntry, ImageError, ImageKind, TableSet, VerdictError, read_image_table
from dnnzip.format.array import ArrayShape


class JobImage:
    """The entries that a job fetches, and their weights.

    Members
    -------
    entries
        Of the image's table.
    fetched
        Numbers of the entries that the walks fetch, in their order.

    Raises
    ------
    ProgramError
        The image is none, a walk leaves its table, or an entry does not suit the array.
    """

    def __init__(self, job: ArrayJob, shape: ArrayShape) -> None:
        self._image = job.image
        self._shape = shape
        try:
            self.entries = read_image_table(job.image)
        except ImageError as error:
            raise ProgramError(f"image: {error}") from None
        self.fetched: list[int] = []
        for walk in job.walks:
            if walk.count < 1 or walk.entries.stop > len(self.entries):
                raise ProgramError(
                    f"a walk must stay in a table of {len(self.entries)} entries, "
                    f"not take {walk.count} from {walk.first} on"
                )
            self.fetched += walk.entries
        for number in set(self.fetched):
            self._check(number, self.entries[number])

    def _check(self, number: int, entry: ImageEntry) -> None:
        """Raise unless the array can take an entry."""
        most, count = self._shape.rows_per_group, entry.channels * entry.length
        if entry.is_table_set:
            return
        if not 1 <= entry.virtual_lanes <= most:
            raise ProgramError(f"entry {number} must have 1 to {most} virtual lanes, not {entry.virtual_lanes}")
        if not count:
            raise ProgramError(f"entry {number} must have weights, not {(entry.channels, entry.length)}")
        if entry.kind is ImageKind.PLAIN and entry.words != -(-count // WORD_BYTES):
            raise ProgramError(f"entry {number} must have the words of {count} bytes, not {entry.words}")

    def data(self, number: int) -> bytes:
        """Return the words of an entry."""
        entry = self.entries[number]
        return self._image[entry.offset : entry.offset + entry.words * WORD_BYTES]

    def table_set(self, number: int) -> TableSet:
        """Return the table set of an entry; a `ProgramError` where it is damaged, or the array cannot load it."""
        try:
            return TableSet.from_bytes(self.data(number), max_shift=self._shape.limits.low_bits)
        except VerdictError as error:
            raise ProgramError(f"entry {number}: the table set ends with {error.verdict.label!r}") from None

    def weights(self, number: int, tables: TableSet | None) -> NDArray[np.int8]:
        """Return the weights of an entry, int8 [channels, length].

        Parameters
        ----------
        tables
            Table set of its stream; None where it needs none.

        Raises
        ------
        ProgramError
            Its stream is damaged, needs another table set, or is not what the entry says.
        """
        entry, data, where = self.entries[number], self.data(number), f"entry {number}"
        wanted = (entry.channels, entry.length)
        if entry.kind is ImageKind.PLAIN:
            weights = np.frombuffer(data, np.int8, entry.channels * entry.length)
            return channels_from_passes(weights, *wanted, entry.virtual_lanes)
        decoded = fast.decode(data, tables, self._shape.limits)
        if decoded.codes is None or decoded.header is None:
            raise ProgramError(f"{where}: the stream ends with {decoded.verdict.label!r}")
        if decoded.header.codec != Codec.ANS:
            raise ProgramError(f"{where} must be an ans stream, whose order is that of the tiles")
        if decoded.codes.shape != wanted or decoded.header.lanes != entry.virtual_lanes:
            raise ProgramError(f"{where} says {wanted} in {entry.virtual_lanes} lanes, and its stream does not")
        return decoded.codes.astype(np.int8)

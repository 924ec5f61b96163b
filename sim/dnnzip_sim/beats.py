"""Payloads of the decompressor's ports as numbers: words of its input, beats of its output."""

from dataclasses import dataclass

from dnnzip.format import CAUSE_BITS, WORD_BITS, WORD_BYTES, Verdict


def payloads(stream: bytes) -> list[int]:
    """Return the stream as payloads of the input: words, the final one with ``last`` above it."""
    words = [int.from_bytes(stream[at : at + WORD_BYTES], "little") for at in range(0, len(stream), WORD_BYTES)]
    words[-1] |= 1 << WORD_BITS
    return words


@dataclass(frozen=True)
class Beat:
    """Contents of a beat."""

    weights: tuple[int, ...]  # codes of the lanes that gave one, in the order of the lanes
    cause: Verdict | None  # the stream's verdict where this is its end beat, else None


@dataclass(frozen=True)
class BeatLayout:
    """The payload of the decompressor's output, least significant first: weights, mask, last, cause."""

    lanes: int  # weights that a beat carries at most
    weight_bits: int  # width of each

    @property
    def mask_offset(self) -> int:
        """Position of the mask, a bit per lane."""
        return self.lanes * self.weight_bits

    @property
    def last_offset(self) -> int:
        """Position of the bit that marks the end beat."""
        return self.mask_offset + self.lanes

    @property
    def cause_offset(self) -> int:
        """Position of the cause."""
        return self.last_offset + 1

    @property
    def bits(self) -> int:
        """Width of the payload."""
        return self.cause_offset + CAUSE_BITS

    def unpack(self, payload: int) -> Beat:
        """Return the contents of a payload.

        Raises
        ------
        ValueError
            If it is an end beat with weights or with a cause that is no verdict.
        """
        weights = tuple(self._weight(payload, lane) for lane in range(self.lanes) if self._active(payload, lane))
        if not payload >> self.last_offset & 1:
            return Beat(weights, None)
        if weights:
            raise ValueError(f"an end beat must carry no weights, not {len(weights)}")
        return Beat((), Verdict(payload >> self.cause_offset & (1 << CAUSE_BITS) - 1))

    def _active(self, payload: int, lane: int) -> bool:
        return bool(payload >> self.mask_offset + lane & 1)

    def _weight(self, payload: int, lane: int) -> int:
        half = 1 << self.weight_bits - 1
        return (payload >> lane * self.weight_bits & 2 * half - 1 ^ half) - half

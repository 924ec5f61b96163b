"""The processing elements: weights that stay, activations that pass by, a sum for each row."""

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import NARROW_BITS
from dnnzip_hw.array.layouts import PRODUCT_BITS, operands_layout, sums_layout, tile_write_layout
from dnnzip_hw.array.parameters import ArrayParameters

ADDENDS = 4
"""Numbers that are added between two registers."""


def adder_levels(columns: int) -> list[tuple[int, int]]:
    """Return, for each register between a row's products and their sum, how many numbers there are and how wide.

    Widths grow by what the sum of as many numbers needs.
    """
    levels = [(columns, PRODUCT_BITS)]
    while (count := levels[-1][0]) > 1:
        addends = min(ADDENDS, count)
        levels.append((-(-count // addends), levels[-1][1] + (addends - 1).bit_length()))
    return levels


class PERow(wiring.Component):
    """The processing elements of a row: a product for each column, and their sum.

    Throughput: a vector per cycle. Latency: a cycle for each level; see ``adder_levels``. There is no back-pressure.
    Reset: the sum is 0 until a vector has passed.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    weights : In
        A weight for each column.
    operands : In
        An operand for each column.
    sum : Out
        The sum of the products.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        self.levels = adder_levels(parameters.columns)
        super().__init__(
            {
                "weights": In(data.ArrayLayout(signed(NARROW_BITS), parameters.columns)),
                "operands": In(operands_layout(parameters)),
                "sum": Out(signed(self.levels[-1][1])),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        terms: list[Value] = []
        for column in range(self.parameters.columns):
            product = Signal(signed(PRODUCT_BITS), name=f"product_{column}")
            m.d.sync += product.eq(self.weights[column] * self.operands[column])
            terms.append(product)
        for number, (count, width) in enumerate(self.levels[1:]):
            sums = [Signal(signed(width), name=f"sum_{number}_{index}") for index in range(count)]
            for index, total in enumerate(sums):
                m.d.sync += total.eq(sum(terms[index * ADDENDS : (index + 1) * ADDENDS][1:], terms[index * ADDENDS]))
            terms = list(sums)
        m.d.comb += self.sum.eq(terms[0])
        return m


class PEArray(wiring.Component):
    """Rows of processing elements with two tiles of weights: one that multiplies, and the next one, that is written.

    Throughput: a vector per cycle. Latency: ``latency`` cycles from the operands to the sums. There is no
    back-pressure. Reset: all weights are 0. A vector that comes with ``take`` is multiplied with the tile that is
    taken.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    write_en_<g> : In(1), write_<g> : In(tile_write_layout)
        For each group, a write into its next tile.
    take : In
        A bit for each group: its next tile takes the place of the one that multiplies.
    operands : In(operands_layout)
        A vector; it is multiplied in the next cycle.
    sums : Out(sums_layout)
        A sum for each row.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        members: dict[str, wiring.Member] = {
            "take": In(parameters.groups),
            "operands": In(operands_layout(parameters)),
            "sums": Out(sums_layout(parameters)),
        }
        for group in range(parameters.groups):
            members[f"write_en_{group}"] = In(1)
            members[f"write_{group}"] = In(tile_write_layout(parameters))
        super().__init__(members)

    @property
    def latency(self) -> int:
        """Cycles from a vector to its sums."""
        return 1 + len(adder_levels(self.parameters.columns))

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        parameters = self.parameters
        lanes, slots = parameters.decompressor.lanes, parameters.decompressor.slots
        operands = Signal(operands_layout(parameters))
        m.d.sync += operands.eq(self.operands)
        for group in range(parameters.groups):
            enable, write = getattr(self, f"write_en_{group}"), getattr(self, f"write_{group}")
            rows = []
            for slot in range(slots):
                for lane in range(lanes):
                    row = group * parameters.rows_per_group + slot * lanes + lane
                    m.submodules[f"row_{row}"] = element = PERow(parameters)
                    m.d.comb += [element.operands.eq(operands), self.sums[row].eq(element.sum)]
                    rows.append(element)
            for column in range(parameters.columns):
                here = Signal(name=f"here_{group}_{column}")
                m.d.comb += here.eq(enable & (write.column == column))
                for slot in range(slots):
                    # The weights of a slot's rows in one column.
                    layout = data.ArrayLayout(signed(NARROW_BITS), lanes)
                    following = Signal(layout, name=f"next_{group}_{slot}_{column}")
                    present = Signal(layout, name=f"tile_{group}_{slot}_{column}")
                    with m.If(here & (write.slot == slot)):
                        m.d.sync += following.eq(write.weights)
                    with m.If(self.take[group]):
                        m.d.sync += present.eq(following)
                    for lane in range(lanes):
                        m.d.comb += rows[slot * lanes + lane].weights[column].eq(present[lane])
        return m

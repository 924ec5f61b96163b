"""Networks with stated bits, and records of measurements, for the tests of the paper's claim."""

from dnnzip.accelerator import Kind, Layer, load_accelerator
from dnnzip.accelerator.nocnn import Nocnn
from dnnzip_bench.departures import PRESET
from dnnzip_bench.storage.claim import STATED, Subject
from dnnzip_bench.storage.records import Record
from dnnzip_bench.storage.savings import counted, with_bits
from dnnzip_bench.storage.trained import Right

TOOL = Nocnn(load_accelerator(PRESET))


def subject(name, network, bits, source=STATED, drop=None):
    packed = with_bits(network, {layer.name: bits for layer in network.layers if layer.weights})
    return Subject(name, source, packed, drop, tuple(counted(packed, TOOL)))


def dense(name, weights, units=10):
    return Layer(
        name=name, operator="Gemm", kind=Kind.DENSE, units=units, reduction=weights // units, positions=1, groups=1,
        weights=weights, inputs=weights // units, outputs=units,
    )  # fmt: skip


def record(bits, weights):
    return Record("ans", "1%", weights, bits, Right(1.0, 1.0))

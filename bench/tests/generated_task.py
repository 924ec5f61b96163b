"""The task of the comparison on generated weights, small."""

from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Bound
from dnnzip_bench.coders.task import Task, generated_model, per_channel_int8


def generated_task(bound="1%", name="generated"):
    """Return generated weights under a bound, as int8 where that is one in steps."""
    weights, _ = find_weights(generated_model(20_000))
    if bound.endswith("lsb"):
        weights = [per_channel_int8(weight) for weight in weights]
    return Task(name, weights, Bound.parse(bound))

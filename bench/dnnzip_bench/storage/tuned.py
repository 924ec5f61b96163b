"""Networks that ``dnnzip tune`` has tuned: their bits, and what they lost on samples that no search saw."""

import json
from dataclasses import dataclass
from pathlib import Path

import onnx

from dnnzip.errors import InputError
from dnnzip.onnx.opening import open_compressed_file
from dnnzip_bench.command import BUILD
from dnnzip_bench.storage.methods import TUNED, stored
from dnnzip_bench.storage.records import Record
from dnnzip_bench.storage.trained import Drop, Right, TrainedNetwork

FOLDER = BUILD / "tune"

RIGHT = "tune it anew"


@dataclass(frozen=True, eq=False)
class Tuned:
    """A tuned network."""

    record: Record  # its bits; how often it is right is what its own confirmation says
    drop: Drop  # what it lost on samples that no search saw
    model: onnx.ModelProto  # the network that is left


def load_tuned(network: TrainedNetwork, folder: Path = FOLDER) -> Tuned | None:
    """Read what tuning gave for a network: ``NAME.dnz.onnx`` and ``NAME.json``; None where they are not there.

    Raises
    ------
    InputError
        They are of another network, or a tensor was left out.
    """
    model, facts = folder / f"{network.name}.dnz.onnx", folder / f"{network.name}.json"
    if not (model.is_file() and facts.is_file()):
        return None
    content = json.loads(facts.read_text(encoding="utf-8"))
    result = stored(open_compressed_file(model))
    sizes = result.bits
    weights = {weight.name: weight.weights for weight in network.weights}
    if sizes.keys() != weights.keys():
        raise InputError(str(model), f"does not have the weights of {network.name}", RIGHT)
    accuracy = content["accuracy"]
    samples, folds = int(accuracy["samples"]), int(accuracy["folds"])
    setting = f"{samples:,} samples" + (f", {folds} folds" if folds > 1 else "")
    share = float(accuracy["tuned_top1"])
    record = Record(TUNED, setting, weights, dict(sizes), Right(share, share))
    return Tuned(record, Drop(None, 100 * float(accuracy["drop"])), result.model)

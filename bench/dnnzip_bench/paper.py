"""Savings of compressed weights on the paper's networks, and other ways to store them: ``make paper``, docs/paper.md.

Bits per weight and accuracy are measured on trained networks, latency and energy estimated from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from onnx import numpy_helper

from dnnzip.accelerator import Network, estimator_of, load_accelerator
from dnnzip.errors import CheckFailedError
from dnnzip.usecases.estimate import read_network
from dnnzip.usecases.provenance import provenance
from dnnzip_bench.catalogue import zoo_folder
from dnnzip_bench.command import BUILD, json_option, page_option, run, show, write_json
from dnnzip_bench.pages import fill, made_with
from dnnzip_bench.storage.claim import ONE_BOUND, TUNED, Lenet, Subject, check_goals, highest_bits, subjects
from dnnzip_bench.storage.equal import LIMIT, Equal, Judges, best_of_each, best_of_ladders
from dnnzip_bench.storage.methods import ANS_LADDERS, with_weights
from dnnzip_bench.storage.records import Records
from dnnzip_bench.storage.tables import claim_table, equal_table, highest_table, ways_table
from dnnzip_bench.storage.trained import ENTRIES, load_trained
from dnnzip_bench.storage.tuned import FOLDER as TUNED_FOLDER
from dnnzip_bench.storage.tuned import Tuned, load_tuned

FOLDER = BUILD / "paper"
CLAIM_LIMIT = 0.5
"""Points that LeNet-5 may lose in the claim."""

LENET = "lenet5_mnist"

CLAIM = "claim"
"""Where, in the folder of measurements, LeNet-5 may be that was tuned for the claim's limit."""


@click.command()
@page_option
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, help="Where measurements are kept.")
@click.option(
    "--tuned", type=click.Path(path_type=Path), default=TUNED_FOLDER, help="Where 'make tune' leaves tuned networks."
)
@json_option
def paper(page: Path | None, folder: Path, tuned: Path, json_file: Path | None) -> None:
    """Repeat the paper's claim on its family's networks; compare ways to store weights at equal accuracy."""
    rows, found, highest = everything(folder, tuned)
    parts = {
        "claim": claim_table(found),
        "highest": highest_table(highest),
        "equal": equal_table(rows),
        "ways": ways_table(found),
    }
    show(*parts.values())
    if page:
        made = made_with(provenance(("numpy", "onnxruntime")))
        fill(page, "paper", {name: table.markdown() for name, table in parts.items()} | {"made": made})
    write_json(json_file, as_json(rows, found, highest, provenance()))
    faults = check_goals(found)
    if faults:
        raise CheckFailedError("paper: " + "; ".join(faults))


def everything(folder: Path, tuned_folder: Path) -> tuple[list[Equal], list[Subject], dict[str, tuple[float, str]]]:
    """Measure and estimate all of it.

    Parameters
    ----------
    folder
        Where measurements are kept.
    tuned_folder
        Where tuned networks are; one that is not there has one bound.

    Returns
    -------
    Methods at equal accuracy; networks of the claim; bits that represent networks without weights.

    Raises
    ------
    InputError
        A network or its samples are not there.
    """
    judges, rows, ours = Judges(), [], []
    lenet = None
    for entry in ENTRIES:
        network = load_trained(entry, zoo_folder())
        records = Records(network, folder)
        layers = replace(read_network(network.path), name=entry.model)
        before = records.plain()
        methods = best_of_each(records)
        rows += [judges.judge(layers, record, record.right.drop(before)) for record in methods]
        tuned = load_tuned(network, tuned_folder)
        if tuned is not None:
            rows.append(judges.judge(layers, tuned.record, tuned.drop))
        ours.append((layers, tuned.record if tuned else methods[-1]))
        if entry.model == LENET:
            lenet = _lenet(records, layers, load_tuned(network, folder / CLAIM) or tuned)
    assert lenet is not None, "LeNet-5 is in the zoo"
    highest = highest_bits(ours)
    return rows, subjects(estimator_of(load_accelerator("paper-mesh-8x8")), lenet, highest), highest


def _lenet(records: Records, layers: Network, tuned: Tuned | None) -> Lenet:
    """Return the trained LeNet-5, tuned where it has been tuned, else with one bound."""
    network, before = records.network, records.plain()
    if tuned is not None:
        record, drop, source, left = tuned.record, tuned.drop, TUNED, tuned.model
    else:
        best = best_of_ladders(records, ANS_LADDERS, CLAIM_LIMIT)
        assert best is not None, "the smallest bound loses nothing"
        record, drop, source = best, best.right.drop(before), ONE_BOUND
        method = next(each for ladder in ANS_LADDERS for each in ladder if each.setting == best.setting)
        left = method.store(network).model
    largest = max(network.weights, key=lambda weight: weight.weights).name
    array = next(numpy_helper.to_array(tensor) for tensor in left.graph.initializer if tensor.name == largest)
    after = network.right(with_weights(network.model, {largest: np.asarray(array, np.float32)}))
    lost = 50 * (before.seen + before.unseen - after.seen - after.unseen)
    return Lenet(layers, record, source, drop, lost)


def as_json(
    rows: Sequence[Equal],
    found: Sequence[Subject],
    highest: Mapping[str, tuple[float, str]],
    facts: Mapping[str, str],
) -> dict[str, Any]:
    """Return every figure: shares from 0 to 1, accuracy in points."""
    return {
        "provenance": dict(facts),
        "limit_points": LIMIT,
        "equal_accuracy": [asdict(row) | {"keeps_limit": not row.is_over} for row in rows],
        "claim": [
            {
                "network": subject.name,
                "bits_from": subject.source,
                "bits_per_weight": subject.bits_per_weight,
                "drop": asdict(subject.drop) if subject.drop else None,
                "largest_drop": subject.largest_drop,
                "layers": {layer.name: layer.bits_per_weight for layer in subject.network.layers if layer.weights},
                "ways": [asdict(way) for way in subject.ways],
            }
            for subject in found
        ],
        "highest_bits": {role: {"bits_per_weight": bits, "network": name} for role, (bits, name) in highest.items()},
    }


if __name__ == "__main__":
    run(paper)

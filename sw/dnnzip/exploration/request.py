"""Plan of an exploration, from the user's options: every option is checked before any work is done."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import onnx

from dnnzip.accelerator import Accelerator, Timing, load_accelerator
from dnnzip.codec import CodecOptions
from dnnzip.errors import InputError, field_name
from dnnzip.evaluation.accuracy import score_output
from dnnzip.evaluation.dataset import RIGHT as DATA
from dnnzip.evaluation.dataset import Dataset, load_dataset
from dnnzip.exploration.facts import Grid, Request
from dnnzip.exploration.layer_sets import LayerSet, layer_sets
from dnnzip.exploration.schemas import TUNED
from dnnzip.exploration.task import Encoding, TunedEncoding
from dnnzip.exploration.workload import Files, Workload, digest_of, read_files
from dnnzip.format import AUTO, codec_choices
from dnnzip.format.array import Placement
from dnnzip.inputs.json_text import check_seed
from dnnzip.inputs.reading import digest_of_file
from dnnzip.onnx.compressed import is_compressed
from dnnzip.onnx.files import load_model, open_model
from dnnzip.onnx.opening import open_compressed_file
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.tolerance import ranges_of
from dnnzip.usecases.compress import CompressionOptions, plan
from dnnzip.usecases.estimate import check_batch
from dnnzip.usecases.provenance import provenance

OWN_PLACEMENT = "own"
"""The accelerator's own placement of the decompressors."""


OUTPUT = field_name("output_name")
"""The option that names the output of the scores; ``--output`` is the folder here."""


@dataclass(frozen=True)
class Options:
    """Options of an exploration; each axis is a list of texts as they were given."""

    # Files.
    model: str
    data: str
    # Of the encodings; see `layer_sets` for the last.
    max_error: tuple[str, ...]
    error_scope: tuple[str, ...] = (Scope.TENSOR.value,)
    codec: tuple[str, ...] = (AUTO,)
    layers: tuple[str, ...] = ("all",)
    # Of the estimates: presets or files; ``pe``, ``memory-interface`` or ``own``; ``serial`` or ``overlap``.
    accelerator: tuple[str, ...] = ("edge-lpddr4",)
    placement: tuple[str, ...] = (OWN_PLACEMENT,)
    timing: tuple[str, ...] = (Timing.SERIAL.value, Timing.OVERLAP.value)
    samples: int | None = None  # on how many samples accuracy is measured; None for all
    seed: int | None = None  # by which the samples are drawn; None for the first ones
    tuned: str | None = None  # a compressed model that is to be a point by itself
    # Samples at once, and bits of a plain weight; None for the accelerator's.
    batch: int = 1
    weight_bits: int | None = None
    # Name of the output that holds the scores; None for the only one of such a type and shape.
    scores: str | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """An exploration that can begin."""

    request: Request  # the content of the folder's `request.json`
    workload: Workload  # the data that all tasks share
    encodings: tuple[Encoding, ...]  # the tasks, each with a hash of its own


def plan_exploration(options: Options) -> Plan:
    """Read the files, check every option, and list the tasks.

    Raises
    ------
    InputError
        A file cannot be read, an option is none of its values or is given twice, or does not suit the network.
    """
    check_batch(options.batch)
    check_words(field_name("error_scope"), options.error_scope, [scope.value for scope in Scope])
    check_words(field_name("codec"), options.codec, codec_choices())
    check_words(field_name("placement"), options.placement, [*(place.value for place in Placement), OWN_PLACEMENT])
    check_words(field_name("timing"), options.timing, [timing.value for timing in Timing])
    for option, axis in ((field_name("max_error"), options.max_error), (field_name("layers"), options.layers)):
        _check_axis(option, axis)
    bounds = [Bound.parse(text) for text in options.max_error]
    accelerators = _accelerators(options)
    dataset = drawn(load_dataset(options.data), options.samples, options.seed)
    files = read_files(options.model)
    model = open_model(options.model)
    if is_compressed(model):
        raise InputError(
            options.model, "is compressed already", f"give the plain model; {field_name('tuned')} adds a compressed one"
        )
    sets = _checked_sets(model, options, bounds)
    tuned = _tuned(options.tuned)
    # Loads all of the network, and runs it: what does not suit it is said before any task is handed out.
    output = score_output(load_model(options.model), dataset, options.model, options.scores, OUTPUT)
    # The output that is found by itself stands in no hash: it follows from the model.
    measured = (digest_of(files), _digest_of_samples(dataset), *([options.scores] if options.scores else []))
    encodings: dict[str, Encoding] = {}
    for layers, bound, scope, codec in product(sets, bounds, options.error_scope, options.codec):
        encoding = Encoding(layers.label, layers.names, bound.text, scope, codec, measured)
        encodings.setdefault(encoding.hash, encoding)
    if tuned:
        given = TunedEncoding(TUNED, (), TUNED, TUNED, TUNED, (*measured, digest_of(tuned)))
        encodings[given.hash] = given
    workload = Workload(
        model=files,
        where=options.model,
        x=dataset.x,
        y=dataset.y,
        data_where=options.data,
        accelerators=tuple(accelerators),
        timings=tuple(Timing(timing) for timing in options.timing),
        batch=options.batch,
        weight_bits=options.weight_bits,
        tuned=(tuned, str(options.tuned)) if tuned else None,
        output=output,
    )
    facts = provenance()
    request = Request(
        model=options.model,
        model_sha256=measured[0],
        data=options.data,
        data_sha256=digest_of_file(options.data, DATA),
        samples=len(dataset.x),
        seed=options.seed,
        tuned=options.tuned,
        tuned_sha256=digest_of(tuned) if tuned else None,
        batch=options.batch,
        weight_bits=options.weight_bits,
        output=options.scores,
        grid=Grid(
            layers=tuple(layers.label for layers in sets),
            max_error=tuple(bound.text for bound in bounds),
            error_scope=options.error_scope,
            codec=options.codec,
            accelerator=options.accelerator,
            placement=options.placement,
            timing=options.timing,
        ),
        accelerator_sha256={item.name: _digest_of_accelerator(item) for item in accelerators},
        points=len(encodings) * len(accelerators) * len(options.timing),
        encodings=len(encodings),
        command=facts["command"],
        provenance=facts,
    )
    return Plan(request, workload, tuple(encodings.values()))


def _checked_sets(model: onnx.ModelProto, options: Options, bounds: Sequence[Bound]) -> list[LayerSet]:
    """Return the sets of layers, after bounds and weights have been checked."""
    whole = CompressionOptions(bounds[0], codec=CodecOptions(options.codec[0]))
    weights = plan(model, whole, options.model).weights
    sets = layer_sets(options.layers, weights)
    chosen = {name for layers in sets for name in layers.names}
    for weight in weights:
        if weight.name in chosen:
            ranges_of(weight, Scope.TENSOR)  # refuses weights that are not finite
    # A percentage suits every selection; other bounds may not suit one of them.
    for bound, layers in product(bounds, sets):
        if bound.unit is not Unit.SHARE:
            plan(model, CompressionOptions(bound, layers=layers.names), options.model)
    return sets


def drawn(dataset: Dataset, samples: int | None, seed: int | None) -> Dataset:
    """Return a number of samples: the first ones, or those drawn by a seed, in the order of the data set.

    Parameters
    ----------
    dataset
        The samples to choose from.
    samples
        Number of samples; None for all.
    seed
        From 0, below 2^64; None takes the first ones.

    Raises
    ------
    InputError
        The data set has fewer samples, or the seed has more than 64 bits.
    """
    check_seed(seed or 0)
    count = len(dataset.x) if samples is None else samples
    if not 1 <= count <= len(dataset.x):
        raise InputError(
            f"{field_name('samples')} {count}",
            f"{dataset.where} has {len(dataset.x)} samples",
            f"give 1 to {len(dataset.x)}",
        )
    if seed is None:
        return dataset.first(count)
    chosen = np.sort(np.random.default_rng(seed).choice(len(dataset.x), count, replace=False))
    return Dataset(dataset.x[chosen], dataset.y[chosen], dataset.where)


def _accelerators(options: Options) -> list[Accelerator]:
    """Return each accelerator in each placement, without those that are equal."""
    _check_axis(field_name("accelerator"), options.accelerator)
    loaded = [load_accelerator(name) for name in options.accelerator]
    names = [accelerator.name for accelerator in loaded]
    for name in names:
        if names.count(name) > 1:
            raise InputError(field_name("accelerator"), f"two are called {name!r}", "give each a name of its own")
    placed: list[Accelerator] = []
    for accelerator in loaded:
        for placement in options.placement:
            own = accelerator if placement == OWN_PLACEMENT else accelerator.placed(Placement(placement))
            placed += [own] if own not in placed else []
    return placed


def check_words(option: str, words: Sequence[str], known: Sequence[str]) -> None:
    """Check the values of an option that takes several words.

    Raises
    ------
    InputError
        One is empty, given twice, or not known.
    """
    _check_axis(option, words)
    for word in words:
        if word not in known:
            raise InputError(f"{option} {word!r}", "is not known", f"give one or several of {', '.join(known)}")


def _check_axis(option: str, words: Sequence[str]) -> None:
    if not words or "" in words:
        raise InputError(option, "has an empty value", "give values with a comma between two of them")
    for word in words:
        if list(words).count(word) > 1:
            raise InputError(f"{option} {word!r}", "is given twice", "give each value once")


def _tuned(path: str | None) -> Files | None:
    if path is None:
        return None
    open_compressed_file(path)
    return read_files(path)


def _digest_of_samples(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for array in (dataset.x, dataset.y):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _digest_of_accelerator(accelerator: Accelerator) -> str:
    own = accelerator.model_dump_json(exclude={"decompressor": {"placement"}})
    return hashlib.sha256(own.encode()).hexdigest()

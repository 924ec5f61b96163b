"""JSON files of an exploration's folder: what was asked, and the plain network."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

FORM = 2
"""Version of the folder's form; a change of a file's meaning raises it."""

Facts = TypeVar("Facts", bound="FactsFile")


class FactsFile(BaseModel):
    """Content of a JSON file of the folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    form: int = FORM


class Grid(BaseModel):
    """The values of each axis, as the user gave them; an exploration is their product.

    Parameters
    ----------
    layers
        Labels of the sets of layers.
    max_error, error_scope, codec
        Of the encodings.
    accelerator, placement, timing
        Of the estimates; a placement of ``own`` is the accelerator's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: tuple[str, ...]
    max_error: tuple[str, ...]
    error_scope: tuple[str, ...]
    codec: tuple[str, ...]
    accelerator: tuple[str, ...]
    placement: tuple[str, ...]
    timing: tuple[str, ...]


class Request(FactsFile):
    """Request of an exploration.

    Parameters
    ----------
    model, data
        Files as the user named them.
    model_sha256, data_sha256
        Digests of their content; that of a model with arrays in files of their own includes these.
    samples
        Number of samples that accuracy is measured on.
    seed
        By which they were drawn; None where they are the first ones.
    tuned, tuned_sha256
        The compressed model that is a point by itself, and its digest; None without one.
    batch
        Samples at once on the accelerator.
    weight_bits
        Of a plain weight on the accelerator; None for the accelerator's.
    output
        The output of the scores as the user named it; None for the only one of such a type and shape.
    grid
        The axes.
    accelerator_sha256
        Digest of each accelerator's configuration, by its name.
    points, encodings
        Number of each in the whole exploration.
    command
        The command line.
    provenance
        Commit, versions and command of the first run, see `dnnzip.usecases.provenance`.
    """

    model: str
    model_sha256: str
    data: str
    data_sha256: str
    samples: PositiveInt
    seed: int | None
    tuned: str | None
    tuned_sha256: str | None
    batch: PositiveInt
    weight_bits: int | None
    output: str | None = None
    grid: Grid
    accelerator_sha256: dict[str, str]
    points: NonNegativeInt
    encodings: NonNegativeInt
    command: str
    provenance: dict[str, str]

    def same_as(self, other: "Request") -> bool:
        """Return True if two runs ask for the same points, whatever their files' names and their versions are."""
        return self._asked() == other._asked()

    def _asked(self) -> dict[str, Any]:
        asked = self.model_dump(exclude={"model", "data", "tuned", "command", "provenance"})
        return asked | {"grid": {axis: sorted(values) for axis, values in asked["grid"].items()}}


class LayerFacts(BaseModel):
    """A layer with weights, of the plain network.

    Parameters
    ----------
    name
        Name of its weights' initializer.
    operator
        The ONNX operator that reads it; None where that one takes no part in the estimate.
    shape, weights
        Of its weights.
    macs
        Multiplications for one sample; None where the operator is None.
    bits
        Of a weight as it is stored.
    compressible
        Whether it can be compressed.
    reason
        The rule that leaves it out where it cannot; None otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    operator: str | None
    shape: tuple[NonNegativeInt, ...]
    weights: NonNegativeInt
    macs: NonNegativeInt | None
    bits: NonNegativeInt
    compressible: bool
    reason: str | None = None


class NetworkFacts(FactsFile):
    """The plain network.

    Parameters
    ----------
    name
        The file's name, without its folder.
    top1
        Share of the samples that it gets right.
    samples
        Number of samples.
    weights, bytes
        Of all layers together, as stored.
    layers
        In the order in which they are stored.
    """

    name: str
    top1: Annotated[float, Field(ge=0, le=1)]
    samples: PositiveInt
    weights: NonNegativeInt
    bytes: NonNegativeInt
    layers: tuple[LayerFacts, ...]

"""Measurements of methods on networks, kept in a file so that a run that was stopped resumes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dnnzip
from dnnzip_bench.coders import zero_runs
from dnnzip_bench.command import told, write_json
from dnnzip_bench.storage.methods import Method
from dnnzip_bench.storage.trained import Right, TrainedNetwork

SOURCES = (
    *(Path(dnnzip.__file__).parent / part for part in ("format", "codec", "quantize", "onnx", "usecases")),
    *(Path(__file__).parent / f"{name}.py" for name in ("methods", "rounding", "trained")),
    Path(zero_runs.__file__),
)
"""Folders and files that a measurement depends on."""


@dataclass(frozen=True)
class Record:
    """A method on a network."""

    method: str
    setting: str
    weights: Mapping[str, int]
    bits: Mapping[str, float]  # of each tensor, everything counted
    right: Right  # how often the network that is left is right

    @property
    def bits_per_weight(self) -> float:
        """Bits of all tensors per weight."""
        return sum(self.bits.values()) / sum(self.weights.values())

    @property
    def each(self) -> dict[str, float]:
        """Bits per weight of each tensor."""
        return {name: self.bits[name] / count for name, count in self.weights.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Record":
        """Make it of what ``dataclasses.asdict`` gave."""
        return cls(**{**values, "right": Right(**values["right"])})


class Records:
    """Measurements of one network; what is known is not measured again.

    A file in the folder of another network, other samples or other sources of dnnzip counts as none.
    """

    def __init__(self, network: TrainedNetwork, folder: Path) -> None:
        self.network = network
        self._path = folder / f"{network.name}.json"
        self._key = f"{network.digest} {sources()}"
        self._known: dict[str, Any] = {}
        if self._path.is_file():
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["key"] == self._key:
                self._known = content["records"]

    def plain(self) -> Right:
        """Return the accuracy of the plain network."""
        if "" not in self._known:
            self._keep("", asdict(self.network.right(self.network.model)))
        return Right(**self._known[""])

    def measure(self, method: Method) -> Record:
        """Return the record of a method."""
        if method.key not in self._known:
            told(f"{self.network.name}: {method.key}")
            stored = method.store(self.network)
            record = Record(
                method.name,
                method.setting,
                {weight.name: weight.weights for weight in self.network.weights},
                dict(stored.bits),
                self.network.right(stored.model),
            )
            self._keep(method.key, asdict(record))
        return Record.from_json(self._known[method.key])

    def _keep(self, key: str, values: Mapping[str, Any]) -> None:
        self._known[key] = values
        write_json(self._path, {"key": self._key, "records": self._known})


@cache
def sources() -> str:
    """Return a digest of the sources that make measurements."""
    digest = hashlib.sha256()
    for place in SOURCES:
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(place.parent).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()

"""The columns of an exploration's tables: a row for each estimate, and one for each of its layers."""

import pyarrow as pa

ENERGY_PARTS = ("memory", "communication", "computation", "decompressor", "leakage")
"""Parts of the energy; local memory counts as memory."""

FIGURES = ("latency_cycles", "latency_s", "energy_J", *(f"energy_{part}_J" for part in ENERGY_PARTS))
"""Figures of an estimate: cycles, seconds, J, for a batch of samples. The parts add up to ``energy_J``."""

PLAIN = "plain_"
"""Before the name of a figure: the same for weights that are not compressed."""

NOT_COMPRESSED = "none"
"""Codec of a layer whose weights are not compressed, or that has none."""

TUNED = "tuned"
"""Label of the layers of a point that is a compressed model as it was given."""


def _columns(kind: pa.DataType, *names: str, nullable: bool = False) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=nullable) for name in names]


_ESTIMATES = _columns(pa.float64(), *FIGURES, *(PLAIN + name for name in FIGURES))

POINT_SCHEMA = pa.schema(
    [
        *_columns(pa.string(), "point", "encoding", "layers", "max_error"),
        *_columns(pa.float64(), "bound_order", nullable=True),
        *_columns(pa.string(), "scope", "codec", "accelerator", "placement", "timing"),
        *_columns(pa.int64(), "samples"),
        *_columns(pa.float64(), "top1", "top1_plain", "bits_per_weight"),
        *_columns(pa.int64(), "stream_bytes", "side_bytes", "left_out_bytes"),
        *_columns(pa.float64(), "ratio"),
        *_ESTIMATES,
        *_columns(pa.float64(), "latency_reduction", "energy_reduction"),
    ]
)
"""A row for each encoding, accelerator, placement and timing.

``point``, ``encoding``
    Hashes of the setting, the same in every run; ``encoding`` is that of the layers, the bound, the scope and the
    codec, equal for all accelerators.
``layers``
    Label of the compressed layers: ``all``, a layer's name, ``all but`` a name, ``largest``, a glob, or ``tuned``.
``max_error``, ``bound_order``
    The bound as given, and its number for sorting (of a percentage the fraction); null for ``tuned``.
``top1``, ``top1_plain``
    Shares of the ``samples`` that the network gets right, compressed and plain.
``bits_per_weight``
    Over all weights: streams with headers and tables, steps and zero points, left-out weights at their own width.
``stream_bytes``, ``side_bytes``, ``left_out_bytes``, ``ratio``
    Of the streams, of steps and zero points, of left-out weights, and the bytes of all plain weights over their sum.
``latency_reduction``, ``energy_reduction``
    Shares saved, below 0 where there is more.
"""

LAYER_SCHEMA = pa.schema(
    [
        *_columns(pa.string(), "encoding", "layer"),
        *_columns(pa.int64(), "weights"),
        *_columns(pa.string(), "codec"),
        *_columns(pa.float64(), "bits_per_weight", "bound", "largest_error", "mse", nullable=True),
        *_columns(pa.string(), "unit", nullable=True),
        *_columns(pa.string(), "accelerator", "placement", "timing"),
        *_ESTIMATES,
    ]
)
"""A row for each encoding, layer, accelerator, placement and timing; in the order in which the layers run.

All layers that take time are there, poolings with 0 weights too, so that a point is the sum of its layers. ``codec`` is
`NOT_COMPRESSED` where nothing is compressed: then ``bits_per_weight`` is the weight's own width (null without weights),
and ``bound``, ``largest_error``, ``mse`` and ``unit`` are null. Those are in ``unit``: ``absolute`` in the weights' own
unit, ``lsb`` in steps of integer weights; ``mse`` in its square.
"""

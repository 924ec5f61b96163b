"""Random programs for the PE array, and their sums by plain arithmetic."""

from dataclasses import dataclass

import numpy as np

from dnnzip.array.job import ArrayJob
from dnnzip.codec import CodecOptions, CodeTensor, encode_network
from dnnzip.format import ImageEntry, ImageKind, ImageLayout, WeightStream, table_set_entry
from dnnzip.format.program import Run, Walk


@dataclass
class Layer:
    """A layer to make a program for: per part int8 weights [channels, length], and vectors [vectors, length].

    With ``conv_groups`` above 1 each has its own vectors: [conv_groups, vectors, length].
    """

    parts: list[np.ndarray]
    vectors: np.ndarray
    zero_point: int
    signed: bool
    plain: list[bool]
    conv_groups: int = 1


def random_layer(rng, parameters, *, most_length=90, most_vectors=60, parts=None):
    """Return a layer with parts of random sizes and extreme values now and then."""
    length = int(rng.choice([1, 2, parameters.columns, parameters.columns + 1, int(rng.integers(1, most_length + 1))]))
    count = parts or int(rng.integers(1, 2 * parameters.groups + 1))
    conv_groups = int(rng.choice([1, 1, 1, 2, 3]))
    weights, plain = [], []
    for _ in range(count):
        channels = int(rng.choice([1, 2, 5, parameters.rows_per_group, int(rng.integers(1, 40))])) * conv_groups
        spread = float(rng.choice([0.5, 3, 20, 60]))
        codes = np.clip(np.round(rng.normal(0, spread, (channels, length))), -128, 127)
        if rng.integers(6) == 0:
            codes = rng.choice([-128, 127], (channels, length))
        weights.append(codes.astype(np.int16))
        plain.append(bool(rng.integers(2)))
    signed = bool(rng.integers(2))
    low, high = (-128, 127) if signed else (0, 255)
    zero_point = int(rng.choice([low, high, int(rng.integers(low, high + 1))]))
    vectors = int(rng.choice([1, 2, 3, int(rng.integers(1, most_vectors + 1))]))
    values = rng.integers(low, high + 1, (conv_groups, vectors, length))
    if rng.integers(6) == 0:
        values = rng.choice([low, high], values.shape)
    return Layer(weights, values, zero_point, signed, plain, conv_groups)


def plain_bytes(weights, lanes):
    """Return a part's bytes in the order of a stream."""
    return b"".join(
        np.ascontiguousarray(weights[start : start + lanes].T).astype(np.int8).tobytes()
        for start in range(0, len(weights), lanes)
    )


def make_program(layers, parameters, *, virtual_lanes=None, log2_states=9):
    """Return the program of the layers, one after the other, and the sums that it must give.

    The expected sums come as a list of (vectors x rows values, vectors x rows bool: which of them have a meaning).
    """
    lanes = virtual_lanes or parameters.rows_per_group
    tensors = [
        CodeTensor(f"{number}.{part}", weights)
        for number, layer in enumerate(layers)
        for part, weights in enumerate(layer.parts)
    ]
    encoded = encode_network(tensors, CodecOptions(codec="ans", virtual_lanes=min(lanes, 16), log2_states=log2_states))
    streams = iter(encoded.streams)
    entries, blobs = [], []
    if encoded.tables:
        entries.append(table_set_entry(encoded.tables))
        blobs.append(encoded.tables)
    firsts = []
    for number, layer in enumerate(layers):
        firsts.append(len(entries))
        channel = 0
        for part, (weights, plain) in enumerate(zip(layer.parts, layer.plain, strict=True)):
            (stream,) = WeightStream.split(next(streams))
            used = lanes if plain else stream.header.lanes
            blob = plain_bytes(weights, used) if plain else stream.data
            blob += bytes(len(blob) % 2)
            kind = ImageKind.PLAIN if plain else ImageKind.STREAM
            entries.append(ImageEntry(0, 0, len(blob) // 2, number, part, channel, *weights.shape, kind, used))
            blobs.append(blob)
            channel += len(weights)
    layout = ImageLayout(entries, parameters.bus_bytes)
    image = b"".join(layout.content(len(layers), blobs))
    walks = [Walk(0, 1)] if encoded.tables else []
    runs, vectors, expected = [], [], []
    for layer, first in zip(layers, firsts, strict=True):
        walks.append(Walk(first, len(layer.parts)))
        for start in range(0, len(layer.parts), parameters.groups):
            lanes_of = [
                entries[first + start + group].virtual_lanes
                for group in range(len(layer.parts[start:][: parameters.groups]))
            ]
            add_round(
                layer, layer.parts[start : start + parameters.groups], lanes_of, parameters, runs, vectors, expected
            )
    columns = parameters.columns
    joined = np.concatenate(vectors) if vectors else np.zeros((0, columns), np.uint8)
    return ArrayJob(image, walks, runs, joined), expected


def add_round(layer, parts, lanes_of, parameters, runs, vectors, expected):
    """Append the runs of parts that go to the groups side by side."""
    columns, count = parameters.columns, layer.vectors.shape[1]
    length = layer.vectors.shape[2]
    blocks = -(-length // columns)
    passes = max(-(-len(part) // lanes) for part, lanes in zip(parts, lanes_of, strict=True))
    padded = np.full((layer.conv_groups, count, blocks * columns), layer.zero_point)
    padded[:, :, :length] = layer.vectors
    for number in range(passes):
        take = sum(
            1 << group
            for group, (part, lanes) in enumerate(zip(parts, lanes_of, strict=True))
            if number * lanes < len(part)
        )
        for block in range(blocks):
            for conv_group in range(layer.conv_groups):
                runs.append(
                    Run(
                        count,
                        conv_group * count,
                        take if conv_group == 0 else 0,
                        layer.zero_point,
                        layer.signed,
                        block == 0,
                        block == blocks - 1,
                    )
                )
                piece = padded[conv_group, :, block * columns : (block + 1) * columns]
                vectors.append((piece & 0xFF).astype(np.uint8))
        for conv_group in range(layer.conv_groups):
            sums = np.zeros((count, parameters.rows), np.int64)
            known = np.zeros((count, parameters.rows), bool)
            operands = layer.vectors[conv_group].astype(np.int64) - layer.zero_point
            for group, (part, lanes) in enumerate(zip(parts, lanes_of, strict=True)):
                channels = part[number * lanes : (number + 1) * lanes].astype(np.int64)
                first = group * parameters.rows_per_group
                sums[:, first : first + len(channels)] = operands @ channels.T
                known[:, first : first + len(channels)] = True
            expected.append((sums, known))


def check_sums(result, expected, seed):
    """Compare the sums that have a meaning; a failure names the vector, the row, what was expected and what came."""
    wanted = np.concatenate([sums for sums, _ in expected])
    known = np.concatenate([known for _, known in expected])
    wrong = np.argwhere(known & (result.sums != wanted))
    assert not len(wrong), (
        f"seed {seed}: {len(wrong)} of {known.sum()} sums differ, first of vector {wrong[0][0]} row {wrong[0][1]}: "
        f"expected {wanted[tuple(wrong[0])]}, got {result.sums[tuple(wrong[0])]}"
    )
    return int(known.sum())

"""The codec: a slow reference that is the norm, and the fast encoder and decoder that equal it byte for byte."""

from dnnzip.codec.network import (
    CodecOptions,
    CodeTensor,
    EncodedNetwork,
    RawTensor,
    TensorSource,
    decode_tensor,
    encode_network,
    encode_streams,
    join_parts,
    original_bytes,
    split_streams,
    stream_count,
    train_tables,
)

__all__ = [
    "CodeTensor",
    "CodecOptions",
    "EncodedNetwork",
    "RawTensor",
    "TensorSource",
    "decode_tensor",
    "encode_network",
    "encode_streams",
    "join_parts",
    "original_bytes",
    "split_streams",
    "stream_count",
    "train_tables",
]

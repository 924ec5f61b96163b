"""The codecs: of each a slow reference that is the norm, and a fast encoder and decoder that equal it byte for byte."""

from dnnzip.codec.ans.planning import train_tables
from dnnzip.codec.network import EncodedNetwork, encode_network, encode_streams
from dnnzip.codec.raw.choices import original_bytes
from dnnzip.codec.registry import codec_for
from dnnzip.codec.streams import decode_tensor, join_parts, stream_count
from dnnzip.codec.tensors import CodecOptions, CodeTensor, RawTensor

__all__ = [
    "CodeTensor",
    "CodecOptions",
    "EncodedNetwork",
    "RawTensor",
    "codec_for",
    "decode_tensor",
    "encode_network",
    "encode_streams",
    "join_parts",
    "original_bytes",
    "stream_count",
    "train_tables",
]

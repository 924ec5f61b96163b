"""The ``ans`` codec: tANS tables chosen by scale class and neighbours, on virtual lanes."""

from dnnzip.codec.ans import fast, planning, reference
from dnnzip.codec.spec import CodecSpec
from dnnzip.format import CODECS, Codec

SPEC = CodecSpec(CODECS[Codec.ANS], reference.decode, fast.decode, planning.open_encoder)

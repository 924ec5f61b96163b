"""The ``raw`` codec: items as they are."""

from dnnzip.codec.raw import choices, fast, reference
from dnnzip.codec.spec import CodecSpec, each_alone
from dnnzip.format import CODECS, Codec

SPEC = CodecSpec(CODECS[Codec.RAW], reference.decode, fast.decode, each_alone(choices.encode), keeps_floats=True)

"""The ``line`` codec: straight segments over the codes, a baseline to compare with."""

from dnnzip.codec.line import choices, fast, reference
from dnnzip.codec.spec import CodecSpec, each_alone
from dnnzip.format import CODECS, Codec

SPEC = CodecSpec(CODECS[Codec.LINE], reference.decode, fast.decode, each_alone(choices.encode), fit=choices.fit_lines)

"""A fourth codec, for the test of the registry: the difference of each code from the one before it, as words."""

from differences import fast, reference
from dnnzip.codec.spec import CodecSpec, each_alone
from dnnzip.format import CodecRules

CODE, NAME = 3, "differences"


def is_consistent(header):
    """Check for one lane, 16 bits, and a word for each weight."""
    return header.log2_lanes == 0 and bool(header.wide) and header.payload_words == header.weights


SPEC = CodecSpec(CodecRules(CODE, NAME, is_consistent), reference.decode, fast.decode, each_alone(fast.encode))

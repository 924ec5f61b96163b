"""The table of codecs, by name.

A new codec is a package that makes a `CodecSpec`, and a row here. Every list of codecs follows from the rows: those of
the command line, the Python API, exploration, the decoders, and of what a header may declare.
"""

from dnnzip.codec import ans, line, raw
from dnnzip.codec.spec import CodecSpec
from dnnzip.format import AUTO, CODECS, WeightHeader

SPECS: dict[str, CodecSpec] = {}


def register(spec: CodecSpec) -> None:
    """Add a codec; a ``ValueError`` where its name or its number is another codec's."""
    rules = spec.rules
    if rules.name in (AUTO, *SPECS) or CODECS.get(rules.code, rules) != rules:
        raise ValueError(f"a codec's name and number must be its own, not {rules.name!r} and {rules.code}")
    SPECS[rules.name] = spec
    CODECS[rules.code] = rules


for row in (ans.SPEC, line.SPEC, raw.SPEC):
    register(row)


def codec_of(header: WeightHeader) -> CodecSpec:
    """Return the codec that a header declares, which must be a known one."""
    return SPECS[CODECS[header.codec].name]


def codec_for(choice: str) -> CodecSpec:
    """Return the codec of one of ``codec_choices``; for ``AUTO`` ``ans``, taken where it is smaller than ``raw``."""
    return ans.SPEC if choice == AUTO else SPECS[choice]

"""One host API over everything that decodes streams: the golden model, simulated RTL, a board on a serial port."""

from dnnzip.link.api import Link, LinkRun, StreamResult, open_link
from dnnzip.link.order import codes_from_beats

__all__ = ["Link", "LinkRun", "StreamResult", "codes_from_beats", "open_link"]

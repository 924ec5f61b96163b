"""One host API over everything that decodes streams: the golden model, simulated RTL, a board on a serial port."""

from dnnzip.link.api import Link, LinkRun, StreamResult, open_link

__all__ = ["Link", "LinkRun", "StreamResult", "open_link"]

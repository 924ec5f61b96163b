"""dnnzip: hardware-in-the-loop compression of neural-network weights with a bounded error."""

__version__ = "0.1.0"

"""Simulation of the dnnzip RTL: tools, Verilator build cache, test runs, stream sources and sinks, the simulated link.

Needs the ``sim`` extra. Importing the package imports none of its tools.
"""

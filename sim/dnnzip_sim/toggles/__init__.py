"""``make toggles``: how often the decompressor's gates change while it decodes, and the energy that this takes.

The decompressor is mapped to the gates that `dnnzip_hw.asic` counts, and the netlist itself is simulated: Verilator
runs it in the harness of every other simulation, and each output of a gate or flip-flop is compared with its value one
clock before. There are no delays, so a gate changes at most once per clock. What a change takes comes from a 32-bit
addition of known energy, whose gates are counted in the same way.
"""

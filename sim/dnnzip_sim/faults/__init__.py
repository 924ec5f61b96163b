"""Faults: broken streams and resets by the hundred thousand through the Verilator build, ``make faults``.

``streams`` makes sound streams and breaks them, ``campaign`` sends them through the harness and compares every end with
the software decoders. See ``docs/faults.md``.
"""

"""Proofs about the decompressor's RTL, ``make formal``.

``wrapper`` puts a block between free inputs and a property's assertions; ``properties`` lists what is proved, and for
each property the bugs that must break it; ``prover`` runs SymbiYosys with Z3. See ``docs/formal.md``.
"""

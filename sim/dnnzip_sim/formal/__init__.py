"""Proofs about the RTL, ``make formal``.

``wrapper`` puts a block between free inputs and a property's assertions, ``opened`` lets them look into it; the modules
of ``catalogue`` list what is proved, and for each property the bugs that must break it; ``prover`` runs SymbiYosys with
Z3. See ``docs/formal.md``.
"""

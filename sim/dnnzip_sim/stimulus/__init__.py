"""Streams to decode, sound and damaged, for every decoder: reference, fast, C and RTL, and for the fuzzers.

``table_sets`` and ``streams`` generate what is sound, ``damage`` changes it, ``cases`` puts both together, and
``outcomes`` says what a decoder has to make of them. All randomness comes from the generator or seed that is passed in.
Needs the package ``dnnzip`` alone.
"""

"""Use cases: compress, simulate, verify, run, estimate, image; each a function with a typed result."""

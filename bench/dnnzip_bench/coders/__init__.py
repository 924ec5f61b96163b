"""Compressors on the same weights at the same bound: dnnzip, others, and a bound on what any of them may reach."""

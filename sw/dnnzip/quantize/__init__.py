"""Quantization of weights under an error bound: bounds, steps, integer codes; NumPy alone."""

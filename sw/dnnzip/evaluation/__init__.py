"""Accuracy of a network on labelled samples, measured with onnxruntime."""

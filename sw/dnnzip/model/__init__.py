"""ONNX in and out: which initializers are weights, their grid under an error bound, the container, accuracy.

Import the module that is needed; this file imports none, so that ``import dnnzip`` stays cheap.
"""

"""ONNX networks: operators, weights, graph, files, the compressed container; ``where`` names the file in messages."""

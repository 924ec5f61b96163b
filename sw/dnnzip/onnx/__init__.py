"""ONNX networks: operators, weights, graph, files and the compressed container."""

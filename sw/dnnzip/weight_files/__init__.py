"""Files of named tensors without a network: safetensors, NumPy's .npz, GGUF; plain, and compressed by dnnzip."""

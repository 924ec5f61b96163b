"""Networks through the simulated PE array, layer by layer."""

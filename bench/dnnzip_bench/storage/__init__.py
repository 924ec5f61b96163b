"""Ways to store a network's weights, their accuracy, and what they save on an accelerator."""

"""Modules of cocotb tests. They are imported inside the simulator; ``dnnzip_sim.run`` starts them."""

"""The simulated board: the UART top under Verilator, its pins tied to a pseudo-terminal, which pyserial opens.

``python -m dnnzip_sim.board`` starts one and prints the name of its port.
"""

from dnnzip_sim.board.simulated import BoardRun, SimulatedBoard

__all__ = ["BoardRun", "SimulatedBoard"]

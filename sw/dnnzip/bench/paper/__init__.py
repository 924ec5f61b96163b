"""``make paper``: what compressed weights save, on the paper family's networks and beside other ways to store them.

Bits per weight and accuracy are measured on trained networks, latency and energy estimated from them.
"""

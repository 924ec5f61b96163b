"""From an 8-bit network to the PE array: its layers, their memory image and programs, and the network run with them.

Import the module that is needed; this file imports none.
"""

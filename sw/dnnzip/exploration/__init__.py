"""Many settings of a compression at once: layers, bounds, codecs, accelerators and placements, on a cluster of workers.

``record`` says what an exploration's folder holds, for those who only read one.
"""

"""One model opened in onnxruntime: ``python -m dnnzip_bench.load_one KIND MODEL`` prints peaks in bytes, and seconds.

It loads nothing else: the peak is that of a process which runs the network.
"""

import resource
import sys
import time

from dnnzip_bench.coders.memory import KIBIBYTE, own_peak

PLAIN, COMPRESSED = "plain", "compressed"


def main(kind: str, model: str) -> None:
    """Open a model, and print the peak of this process, that of the one that decodes, and the seconds it took."""
    if kind == PLAIN:
        from onnxruntime import InferenceSession
    else:
        from dnnzip.onnxruntime import InferenceSession
    start = time.monotonic()
    InferenceSession(model, providers=["CPUExecutionProvider"])
    seconds = time.monotonic() - start
    decoder = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * KIBIBYTE if kind == COMPRESSED else 0
    print(own_peak(), decoder, seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])

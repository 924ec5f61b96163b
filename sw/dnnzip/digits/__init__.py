"""A small real network to try everything on: LeNet-5 on scikit-learn's handwritten digits.

``train.py`` next to this file made both files, from its fixed seed.

Members
-------
MODEL
    The trained network, ONNX. Input ``x``: float32 [N, 1, 8, 8], grey values 0 to 16 as scikit-learn stores them;
    scaling to 32 x 32 is part of the graph. Output ``logits``: float32 [N, 10].
TEST_SET
    The images that took no part in training or in choosing anything: ``x`` float32 [N, 1, 8, 8] and ``y`` int64 [N],
    the digit that each one shows.
"""

from pathlib import Path

MODEL = Path(__file__).parent / "lenet5_digits.onnx"
TEST_SET = Path(__file__).parent / "digits_test.npz"

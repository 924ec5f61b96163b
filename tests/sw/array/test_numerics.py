"""From sums to results at the values where rounding and saturation decide."""

import numpy as np
import pytest

from dnnzip.array.numerics import Requantised, Scaled, Unscaled, quantised


def requantised(sums, scale, zero_point=0, bias=0, dtype=np.int8, low=None, high=None):
    limits = np.iinfo(dtype)
    finish = Requantised(
        np.array([scale], np.float32),
        np.array([bias], np.int32),
        zero_point,
        limits.min if low is None else low,
        limits.max if high is None else high,
        np.dtype(dtype),
    )
    result = finish.finish(np.array(sums, np.int32).reshape(-1, 1))
    assert result.dtype == dtype
    return result.reshape(-1).tolist()


def test_half_goes_to_even():
    assert requantised([1, 3, 5, 7, -1, -3, -5], 0.5) == [0, 2, 2, 4, 0, -2, -2]


def test_the_zero_point_comes_after_rounding():
    # Before it, 0.5 + 1 would become 2 and 1.5 + 1 would stay 2.
    assert requantised([1, 3], 0.5, zero_point=1) == [1, 3]


def test_saturation_comes_last():
    assert requantised([126, 127, 128, 129, -128, -129], 1.0) == [126, 127, 127, 127, -128, -128]
    assert requantised([126, 127, 128, -129], 1.0, zero_point=-2) == [124, 125, 126, -128]
    assert requantised([127, 128, 256, -1], 1.0, dtype=np.uint8) == [127, 128, 255, 0]
    assert requantised([127, 128, 256, -1], 1.0, zero_point=255, dtype=np.uint8) == [255, 255, 255, 254]


@pytest.mark.parametrize("scale", [1.0, 3e38, 1e-38])
def test_the_largest_sums(scale):
    limits = [2**31 - 1, -(2**31), 0]
    assert requantised(limits, scale) == ([127, -128, 0] if scale >= 1 else [0, 0, 0])


def test_the_product_is_float32():
    # 16777217 is no float32: it becomes 16777216 before it is scaled.
    assert requantised([16777217], 2.0**-25) == [0]
    assert requantised([16777217], np.nextafter(np.float32(2.0**-25), np.float32(1))) == [1]


def test_the_bias_is_added_as_int32():
    assert requantised([100, 101], 0.5, bias=-99) == [0, 1]


def test_limits_of_a_folded_relu():
    assert requantised([-4, 0, 4], 1.0, zero_point=-5, low=-5) == [-5, -5, -1]


def test_float_results():
    finish = Scaled(np.array([0.5, 2], np.float32), np.array([1, -1], np.int32), np.array([0.25, 0], np.float32))
    assert finish.finish(np.array([[3, 3]], np.int32)).tolist() == [[2.25, 4.0]]
    sums = np.array([[3]], np.int32)
    assert Unscaled().finish(sums) is sums


def test_quantised_limits():
    assert [quantised(np.float32(v), np.float32(0.5), -5, np.dtype(np.int8)) for v in (0, 0.75, -np.inf, np.inf)] == [
        -5,
        -3,
        -128,
        127,
    ]


def test_a_scale_that_overflows_warns_of_nothing():
    """Warnings are errors here."""
    sums = np.full((1, 2), 1 << 30, np.int32)
    scale = np.full(2, 3e38, np.float32)
    finished = Scaled(scale, np.zeros(2, np.int32), np.full(2, -np.inf, np.float32)).finish(sums)
    assert np.isnan(finished).all()

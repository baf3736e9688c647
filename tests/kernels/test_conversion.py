"""QUANTIZE, DEQUANTIZE, FAKE_QUANT: rounding, saturation, per channel, narrow types, overflow, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, QCoreError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def quantize(x: Any, output: T, q: tuple[Any, ...] = ()) -> Any:
    x = np.asarray(x)
    output.shape = x.shape
    return run_qcore(one_operator("QUANTIZE", [T(x.dtype.name, x.shape, *q)], [output]), [x])[0]


def dequantize(input: T) -> Any:
    return run_qcore(one_operator("DEQUANTIZE", [input], [T("float32", input.shape)]), [])[0]


def fake_quant(x: Any, low: float, high: float, bits: int = 8, narrow_range: bool = False) -> Any:
    x = np.asarray(x, np.float32)
    options = {"min": low, "max": high, "num_bits": bits, "narrow_range": narrow_range}
    return run_qcore(one_operator("FAKE_QUANT", [T("float32", x.shape)], [T("float32", x.shape)], options), [x])[0]


def test_quotients_are_rounded_half_away_and_saturate() -> None:
    x = np.float32([-1000, -0.75, -0.25, 0, 0.25, 0.75, 1000])
    assert quantize(x, T("int8", (), 0.5, 10)).tolist() == [-128, 8, 9, 10, 11, 12, 127]
    assert quantize(x, T("uint8", (), 0.5, 10)).tolist() == [0, 8, 9, 10, 11, 12, 255]
    assert quantize(x, T("int16", (), 0.5, 0)).tolist() == [-2000, -2, -1, 0, 1, 2, 2000]
    assert quantize(x, T("int4", (), 0.5, 1)).tolist() == [-8, -1, 0, 1, 2, 3, 7]


def test_what_no_int32_holds_becomes_the_least_int32() -> None:
    """The processor's answer; with a negative zero point the sum wraps round to the greatest."""
    x = np.float32([1e12, -1e12, np.inf, -np.inf, np.nan])
    assert quantize(x, T("int8", (), 0.5, 10)).tolist() == [-128] * 5
    assert quantize(x, T("int8", (), 0.5, -10)).tolist() == [127] * 5


def test_channels_have_their_own_parameters() -> None:
    x = np.float32([[1, 1], [2, 2]])
    assert quantize(x, T("int8", (), [0.5, 0.25], [0, 3], 1)).tolist() == [[2, 7], [4, 11]]
    assert quantize(x, T("int8", (), [0.5, 0.25], [0, 3], 0)).tolist() == [[2, 2], [11, 11]]
    codes = [[2, 7], [4, 11]]
    assert dequantize(T("int8", (2, 2), [0.5, 0.25], [0, 3], 1, value=codes)).tolist() == x.tolist()
    assert dequantize(T("int4", (2, 2), [0.5, 0.25], [0, 3], 0, value=[[2, 7], [-8, 3]])).tolist() == [[1, 3.5], [-2.75, 0]]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int4", "uint4", "int2"])
def test_every_code_is_scale_times_its_distance_from_the_zero_point(dtype: str) -> None:
    bits = int(dtype.lstrip("uint"))
    low = 0 if dtype[0] == "u" else -(1 << (bits - 1))
    codes = np.arange(low, low + (1 << bits))
    zero_point = 0 if dtype == "int16" else low + 1
    scale = np.float32(0.3)
    expected = (np.float64(scale) * (codes - zero_point)).astype(np.float32)
    np.testing.assert_array_equal(dequantize(T(dtype, codes.shape, 0.3, zero_point, value=codes)), expected)


def test_float16_is_widened() -> None:
    x = np.float16([1.5, -65504, 6e-8, np.inf, np.nan])
    np.testing.assert_array_equal(dequantize(T("float16", x.shape, value=x)), x.astype(np.float32))


def test_codes_are_rescaled() -> None:
    x = np.array([-128, 9, 10, 11, 127], np.int8)
    assert quantize(x, T("int8", (), 0.5, 0), (0.5, 10)).tolist() == [-128, -1, 0, 1, 117]
    assert quantize(x, T("uint8", (), 0.5, 138), (0.5, 10)).tolist() == [0, 137, 138, 139, 255]
    assert quantize(x, T("int16", (), 0.25, -7), (0.5, 10)).tolist() == [-283, -9, -7, -5, 227]
    wide = np.array([-(2**31) + 1, -300, 0, 300, 2**31 - 1], np.int32)
    assert quantize(wide, T("int8", (), 1.0, 5), (0.125, 0)).tolist() == [-128, -33, 5, 43, 127]
    assert quantize(np.array([-32768, 3], np.int16), T("int32", (), 0.5, 1), (1.0, 1)).tolist() == [-65537, 5]


def test_uint8_and_int8_are_128_apart() -> None:
    x = np.arange(256, dtype=np.uint8)
    expected = (np.arange(256) - 128).astype(np.int8)
    np.testing.assert_array_equal(quantize(x, T("int8", (), 0.1, -5), (0.1, 123)), expected)


def test_types_without_a_kernel_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="output is int32, qcore has int8, uint8, int16, int4, uint4"):
        quantize(np.zeros(3, np.float32), T("int32", (), 0.1))
    with pytest.raises(UnsupportedError, match="output is int4, qcore has int8, uint8, int16 for"):
        quantize(np.zeros(2, np.float32), T("int4", (), [0.1, 0.2], [0, 0], 0))
    with pytest.raises(UnsupportedError, match="output is uint8, qcore has int8, int16, int32"):
        quantize(np.zeros(3, np.int16), T("uint8", (), 0.1), (0.1,))
    with pytest.raises(UnsupportedError, match="input 0 is float64"):
        quantize(np.zeros(3, np.float64), T("int8", (), 0.1))
    with pytest.raises(UnsupportedError, match="output is float16, qcore has float32"):
        run_qcore(one_operator("DEQUANTIZE", [T("int8", (3,), 0.1)], [T("float16", (3,))]), [np.zeros(3, np.int8)])


def test_parameters_that_do_not_fit_are_refused() -> None:
    for output in (T("int8", (), [0.1] * 3, [0] * 3, 1), T("int8", (), [0.1] * 3, [0] * 3, 2)):
        with pytest.raises(ModelError):
            quantize(np.zeros((3, 2), np.float32), output)
    with pytest.raises(QCoreError, match="scale"):
        quantize(np.zeros(3, np.float32), T("int8", ()))
    with pytest.raises(ModelError, match="int16 with zero point 1, expected 0"):
        quantize(np.zeros(3, np.int16), T("int16", (), 0.1, 1), (0.1, 0))
    with pytest.raises(ModelError, match="int16 with zero point 1, expected 0"):
        dequantize(T("int16", (3,), 0.1, 1, value=[0, 0, 0]))
    with pytest.raises(ModelError, match="int16 with a scale per channel"):
        dequantize(T("int16", (2,), [0.1, 0.2], [0, 0], value=[0, 0]))


def test_fake_quant_moves_the_range_so_that_zero_is_a_step() -> None:
    x = np.array([-1, -0.26, 0, 0.1, 0.26, 9, np.nan])
    got = fake_quant(x, -0.3, 1.0, bits=2)
    third = np.float32(1.3) / np.float32(3)
    np.testing.assert_allclose(got, [-third, -third, 0, 0, third, 2 * third, -third], rtol=1e-6)
    assert fake_quant([0.0], -0.1, 25.4).tolist() == [0.0]


def test_fake_quant_refuses_what_has_no_steps() -> None:
    for low, high in ((0.5, 1.0), (-1.0, -0.5), (0.0, 0.0), (1.0, -1.0), (np.nan, 1.0), (-np.inf, 1.0), (-3e38, 3e38)):
        with pytest.raises(ModelError, match="range"):
            fake_quant([0.0], low, high)
    for bits in (0, 17, -1):
        with pytest.raises(ModelError, match="num_bits"):
            fake_quant([0.0], -1.0, 1.0, bits)
    with pytest.raises(UnsupportedError, match="narrow_range"):
        fake_quant([0.0], -1.0, 1.0, narrow_range=True)


def test_empty_and_scalar_tensors_keep_their_shape() -> None:
    for shape in ((), (0,), (2, 0)):
        assert quantize(np.zeros(shape, np.float32), T("int8", (), 0.1)).shape == shape
        assert quantize(np.zeros(shape, np.int32), T("int8", (), 0.1), (0.1,)).shape == shape
        assert fake_quant(np.zeros(shape), -1.0, 1.0).shape == shape

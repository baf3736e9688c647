"""Tables of functions: every code, against the rule written out one code at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from qcore.numerics.lookup_table import all_codes, direct_table, in_float64, interpolated, look_up, lookup_table, sampled_table


def away(x: float) -> int:
    return math.floor(abs(x) + 0.5) * (1 if x >= 0 else -1)


def identity(x: Any) -> Any:
    return x


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_tables_are_in_the_order_of_bits(dtype: str) -> None:
    codes = all_codes(dtype)
    assert codes[:3].tolist() == [0, 1, 2]
    assert codes[-1] == (-1 if np.iinfo(dtype).min else 255)
    assert sorted(codes) == list(range(np.iinfo(dtype).min, np.iinfo(dtype).max + 1))
    every = codes.astype(dtype)
    np.testing.assert_array_equal(look_up(codes, every), codes)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_lookups_keep_the_shape_and_give_arrays(shape: tuple[int, ...]) -> None:
    found = look_up(all_codes("int8"), np.full(shape, -7, np.int8))
    assert isinstance(found, np.ndarray)
    assert found.shape == shape
    assert (found == -7).all()


@pytest.mark.parametrize(("dtype", "zero_points"), [("int8", (-128, 127)), ("int8", (3, -5)), ("uint8", (0, 255)), ("uint8", (128, 7))])
def test_eight_bits_are_the_function_of_each_code(dtype: str, zero_points: tuple[int, int]) -> None:
    """Scales are powers of two, so that the rule in Python's floats is the one in float32."""
    table = direct_table(dtype, np.square, 2**-4, zero_points[0], 2**-3, zero_points[1])
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for code in range(low, high + 1):
        wanted = away((2**-4 * (code - zero_points[0])) ** 2 * 2**3) + zero_points[1]
        assert look_up(table, np.array(code, dtype)) == min(max(wanted, low), high)


def test_eight_bits_saturate_at_infinity() -> None:
    table = lookup_table("int8", in_float64(np.exp), 8.0, 0, 0.1, -128)
    assert look_up(table, np.array([-128, 0, 127], np.int8)).tolist() == [-128, -118, 127]


def test_the_reciprocal_of_the_output_scale_is_rounded_first() -> None:
    """Of 255 * f32(1/255) steps; a quotient by 255 would be whole and never tie."""
    inverse = np.float32(1) / np.float32(255)
    table = direct_table("uint8", identity, 1.0, 0, 255.0, 0)
    assert look_up(table, np.array([127, 128], np.uint8)).tolist() == [away(float(np.float32(n) * inverse)) for n in (127, 128)]


def test_sixteen_bits_of_a_line_are_the_line() -> None:
    table = lookup_table("int16", identity, 2**-10, 0, 2**-9, 0)
    codes = np.arange(-32768, 32768).astype(np.int16)
    found = look_up(table, codes).astype(int)
    assert np.abs(found - codes / 2).max() <= 0.5
    assert found[[0, 32768, 65535]].tolist() == [-16384, 0, 16384]


def sample(function: Any, i: int, scale_in: Any, scale_out: Any) -> int:
    """One sample of a table between symmetric ranges, by the rule in float32."""
    f = np.float32
    step = (f(scale_in) * f(32767) - f(scale_in) * f(-32768)) / f(512)
    inverse = f(65536) / (f(scale_out) * f(32767) - f(scale_out) * f(-32768))
    start = f(scale_in) * f(-32768) + f(i) * step
    value, middle, following = (f(function(x)) * inverse for x in (start, start + step / f(2), f(scale_in) * f(-32768) + f(i + 1) * step))
    rounded = f(away(float(value)))
    error = away(float((following + rounded) / f(2))) - away(float(middle))
    return int(min(max(rounded - away(error / 2), -32768), 32767))


@pytest.mark.parametrize(("function", "scales"), [(np.square, (2e-4, 2e-3)), (np.sin, (1e-4, 3.1e-5)), (np.tanh, (3e-4, 2**-15))])
def test_samples_are_corrected_by_half_the_error_of_their_line(function: Any, scales: tuple[float, float]) -> None:
    table = sampled_table(function, scales[0], 0, scales[1], 0)
    assert table[:-1].tolist() == [sample(function, i, *scales) for i in range(512)]


def test_a_parabola_is_met_in_the_middle() -> None:
    """Samples lie half a line's error too low, middles of lines half of it too high: 128 codes of 2**-8 bend by 1/16."""
    table = lookup_table("int16", np.square, 2**-8, 0, 2**-8, 0)
    at_sample, at_middle = look_up(table, np.array([0, 64], np.int16)).astype(int) * 2**-8 - np.array([0, 1 / 16])
    assert at_sample == pytest.approx(-1 / 32, abs=2**-8)
    assert at_middle == pytest.approx(1 / 32, abs=2**-8)


def test_interpolation_is_between_samples_and_rounds_ties_up() -> None:
    samples = np.zeros(513, np.int16)
    samples[256:259] = 0, 1, -1
    table = interpolated(samples)
    assert look_up(table, np.array([0, 63, 64, 127, 128, 128 + 32, 128 + 33, 255], np.int16)).tolist() == [0, 0, 1, 1, 1, 1, 0, -1]


def test_a_slope_beyond_sixteen_bits_wraps() -> None:
    samples = np.zeros(513, np.int16)
    samples[256:258] = -32768, 32767
    assert look_up(interpolated(samples), np.array([0, 64, 127], np.int16)).tolist() == [-32768, -32768, 32767]


def test_what_is_not_a_number_becomes_zero_in_sixteen_bits() -> None:
    """Past the greatest float32, sample and correction are both infinite."""
    samples = sampled_table(in_float64(np.exp), 0.01, 0, 0.001, 0)
    assert samples[256] == 1000 - 205
    assert samples[-2] == 0
    assert samples[-1] == 32767


def test_float64_tables_differ_from_float32_ones() -> None:
    scales = 10 / 65535, 32767, 2 / 65535, 0
    wide = sampled_table(np.exp, *scales, precision=np.float64)
    narrow = sampled_table(np.exp, *scales)
    assert wide[-1] == 32767
    assert np.abs(wide.astype(int) - narrow).max() <= 2


def test_float64_functions_are_rounded_once() -> None:
    x = np.linspace(-80, 80, 1001, dtype=np.float32)
    got = in_float64(np.exp)(x)
    assert got.dtype == np.float32
    assert [float(v) for v in got[:50]] == [float(np.float32(math.exp(float(v)))) for v in x[:50]]

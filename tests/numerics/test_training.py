"""The float32 formulas of training: parameters, gradients, averages and observers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from qcore.errors import InputError
from qcore.numerics import choose_params, dequantize, quantize, symmetric_params
from qcore.numerics.training import (
    average_codes,
    fake_quantize_by_reciprocal,
    fake_quantize_gradient,
    kernel_params,
    moving_mean,
    trained_params,
)


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [(0, 255 / 256, 1 / 256, -128), (-1, 127 / 128, 1 / 128, 0), (-255 / 16, 0, 1 / 16, 127), (0, 255, 1, -128), (-127.5, 127.5, 1, -1)],
)
def test_ranges_that_operators_fix_have_their_scales_exactly(low: float, high: float, scale: float, zero_point: int) -> None:
    assert trained_params(low, high).single() == (scale, zero_point)


def test_sixteen_bits_are_about_zero_and_reach_the_greater_end() -> None:
    for low, high, reach in ((0, 6, 6), (-7, 3, 7), (-2, 2, 2), (0, 0, 1)):
        params = trained_params(low, high, 16)
        assert (params.dtype, params.quantized_min, params.quantized_max, params.zero_point) == ("int16", -32768, 32767, [0])
        np.testing.assert_allclose(params.scale, symmetric_params(reach, "int16").scale, rtol=2e-7)
    assert trained_params(-32767 / 32768, 32767 / 32768, 16).single() == (2**-15, 0)


def test_activations_of_other_bits_are_refused() -> None:
    with pytest.raises(InputError, match="got 4 bits, expected 8 or 16"):
        trained_params(-1, 1, 4)


def test_an_empty_range_is_widened_and_zero_is_always_a_code() -> None:
    np.testing.assert_allclose(trained_params(0, 0).single()[0], 1 / 255, rtol=1e-6)
    rng = np.random.default_rng(0)
    for low, high in zip(-rng.exponential(3, 200), rng.exponential(3, 200), strict=True):
        assert fake_quantize_by_reciprocal(0.0, trained_params(low, high)) == 0
        scale, zero_point = trained_params(low, high).single()
        other_scale, other_zero_point = choose_params(low, high).single()
        assert zero_point == other_zero_point
        np.testing.assert_allclose(scale, other_scale, rtol=4e-7)


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_rounded_kernel_gives_its_parameters_and_its_codes_again(bits: int) -> None:
    kernel = np.random.default_rng(bits).normal(size=(3, 3, 5, 64)).astype(np.float32)
    kernel[..., 7] = 0
    params = kernel_params(kernel, bits, -1)
    rounded = fake_quantize_by_reciprocal(kernel, params)
    again = kernel_params(rounded, bits, -1)
    codes = quantize(kernel, params)
    np.testing.assert_array_equal(quantize(rounded, again), codes)
    np.testing.assert_allclose(again.scale, params.scale, rtol=4e-7)
    greatest = np.abs(codes).max(axis=(0, 1, 2))
    assert set(greatest) == {0, 2 ** (bits - 1) - 1}
    assert params.dtype == ("int4" if bits <= 4 else "int8")


def test_kernels_of_other_bits_are_refused() -> None:
    with pytest.raises(InputError, match="got 1 bits, expected 2 to 8"):
        kernel_params(np.ones((2, 2)), 1, 0)


def test_gradients_are_those_of_x_within_the_range_or_everywhere() -> None:
    params = trained_params(-1, 127 / 128)
    x, upstream = np.array([-1.1, -1, -0.3, 0, 127 / 128, 1], np.float32), np.arange(1, 7, dtype=np.float32)
    np.testing.assert_array_equal(fake_quantize_gradient(upstream, x, params, "clipped"), [0, 2, 3, 4, 5, 0])
    np.testing.assert_array_equal(fake_quantize_gradient(upstream, x, params, "straight_through"), upstream)
    wide = trained_params(-0.5, 32767 / 32768, 16)
    np.testing.assert_array_equal(fake_quantize_gradient(upstream, x, wide, "clipped"), [0, 2, 3, 4, 5, 0])


@pytest.mark.parametrize(("bits", "count"), [*((8, n) for n in (2, 3, 4, 6, 9, 36, 64, 400)), *((16, n) for n in (2, 3, 4, 6, 9, 16, 25))])
def test_averages_round_as_integers_do(bits: int, count: int) -> None:
    """Sums of codes are exact in integers; in float32 they are not, and half of all averages of two are ties."""
    params = trained_params(-0.7, 1.9, bits)
    least, greatest = params.quantized_min, params.quantized_max
    codes = np.random.default_rng(count).integers(least, greatest + 1, (3000, count), params.dtype)
    expected = []
    for row in codes.astype(int).sum(axis=1).tolist():
        magnitude = int(Fraction(abs(row), count) + Fraction(1, 2))
        expected.append(magnitude if row > 0 else -magnitude)
    means = dequantize(codes, params).mean(axis=1, dtype=np.float32)
    np.testing.assert_array_equal(quantize(average_codes(means, params), params), expected)


def test_an_observer_is_a_plain_mean_first_and_forgets_later() -> None:
    batches = np.random.default_rng(0).normal(size=300).astype(np.float32)
    mean = np.float32(1000)
    for seen, batch in enumerate(batches):
        mean = moving_mean(mean, batch, seen)
        if seen < 99:
            np.testing.assert_allclose(mean, batches[: seen + 1].mean(), rtol=1e-3, atol=1e-5)
    expected = batches[:100].mean()
    for batch in batches[100:]:
        expected += 0.01 * (batch - expected)
    np.testing.assert_allclose(mean, expected, rtol=1e-4)

"""Functions in fixed point: integers that gemmlowp gives, an exact oracle in fractions, and closeness to the real functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from qcore.numerics.fixed_point_functions import (
    Width,
    exp_on_negative_values,
    inverse_sqrt_multiplier,
    log_of_positive,
    logistic,
    logistic_samples,
    one_over_one_plus_x,
    reciprocal,
    tanh,
)
from tests.oracles.fixed_point_functions import Grid, inverse_sqrt

# Inputs and results, as gemmlowp's and TensorFlow Lite's own C++ computed them.
EXP = {
    (5, 32): {0: 2**31 - 1, -1: 2147483124, -(2**26): 790015308, -12345678: 1786631188, -(2**30): 242, -(2**31): 0},
    (2, 32): {-1: 2147483153, -(2**29): 790015308, -987654321: 341177377},
    (7, 32): {-(2**24): 790015308, -(2**29): 0, -(2**29) - 1: 0},
    (4, 16): {0: 32767, -1: 32752, -2048: 12055, -5000: 2852, -32768: 0},
}
RECIPROCAL = {
    32: {0: 2**31 - 1, 1: 2**31 - 1, 2**29: 1717986914, 2**30: 1431655762, 2**31 - 1: 1073741820},
    16: {0: 32767, 8192: 26210, 24576: 18724, 32767: 16380},
}
LOGISTIC = {
    (4, 32): {0: 2**30, 2**27: 1569936226, -(2**27): 577547421, -(2**31): 241, 2**31 - 1: 2147483406},
    (3, 16): {0: 16384, 4096: 23952, -4096: 8815, -5678: 6557, 32767: 32756, -32768: 11},
}
TANH = {
    (4, 32): {0: 0, 2**27: 1635510876, -(2**27): -1635510876, -(2**31): 1 - 2**31, 2**31 - 1: 2**31 - 1},
    (3, 16): {0: 0, 4096: 24964, -4096: -24964, -2839: -19652, 32767: 32767, -32768: -32767},
    (0, 16): {-22714: -19652, 1: -8},
}
LOG = {2**19: 0, 2**19 + 1: 128, 3 * 2**19: 73726624, 1000 * 2**19: 463571608, 2**31 - 1: 558195838}
RECIPROCAL_OF_SUM = {5: (1717986914, -17), 2**19: (2**31 - 1, 0), 3 * 2**19: (1431655762, 1), 2**31 - 1: (1073741820, 11)}
INVERSE_SQRT = {
    0: (2**31 - 1, 0),
    1: (2**31 - 1, 0),
    2: (1518498372, 0),
    3: (1239850284, 0),
    100: (214748363, 0),
    65025: (269488147, -5),
    2**29: (379624593, -12),
    2**30: (268435457, -12),
    2**31 - 1: (189812531, -12),
}


def results(function: Callable[..., Any], table: dict[int, int], *args: Any) -> None:
    got = function(np.array(list(table)), *args)
    assert got.tolist() == list(table.values())


@pytest.mark.parametrize(("integer_bits", "bits"), EXP)
def test_exponential_is_gemmlowps(integer_bits: int, bits: Any) -> None:
    results(exp_on_negative_values, EXP[integer_bits, bits], integer_bits, bits)


@pytest.mark.parametrize("bits", RECIPROCAL)
def test_reciprocal_of_one_plus_is_gemmlowps(bits: Any) -> None:
    results(one_over_one_plus_x, RECIPROCAL[bits], bits)


@pytest.mark.parametrize(("integer_bits", "bits"), LOGISTIC)
def test_logistic_is_gemmlowps(integer_bits: int, bits: Any) -> None:
    results(logistic, LOGISTIC[integer_bits, bits], integer_bits, bits)


@pytest.mark.parametrize(("integer_bits", "bits"), TANH)
def test_tanh_is_gemmlowps(integer_bits: int, bits: Any) -> None:
    results(tanh, TANH[integer_bits, bits], integer_bits, bits)


def test_logarithm_is_tensorflow_lites() -> None:
    results(log_of_positive, LOG, 12, 5)


def test_reciprocal_of_a_sum_is_tensorflow_lites() -> None:
    mantissa, exponent = reciprocal(np.array(list(RECIPROCAL_OF_SUM)), 12)
    assert list(zip(mantissa.tolist(), exponent.tolist(), strict=True)) == list(RECIPROCAL_OF_SUM.values())


def test_inverse_root_is_tensorflow_lites() -> None:
    multiplier, shift = inverse_sqrt_multiplier(np.array(list(INVERSE_SQRT)))
    assert list(zip(multiplier.tolist(), shift.tolist(), strict=True)) == list(INVERSE_SQRT.values())


def random_numbers(rng: np.random.Generator, bits: int, count: int = 60) -> list[int]:
    """Positive numbers of all magnitudes, and the ends of the range."""
    limit = 2 ** (bits - 1)
    return [1, 2, 3, limit - 1, limit // 2, *(int(2 ** rng.uniform(0, bits - 1)) for _ in range(count))]


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("integer_bits", range(1, 7))
def test_functions_equal_the_oracle(integer_bits: int, bits: Any) -> None:
    grid, rng = Grid(bits), np.random.default_rng(integer_bits)
    positive = random_numbers(rng, bits)
    both = [*positive, *(-n for n in positive), -(2 ** (bits - 1)), 0]

    def expected(function: Callable[..., Fraction], numbers: list[int], i: int, *args: int) -> list[int]:
        return [int(function(n * grid.step(i), *args) / grid.step(0)) for n in numbers]

    negative = [n for n in both if n <= 0]
    i = integer_bits
    assert exp_on_negative_values(np.array(negative), i, bits).tolist() == expected(grid.exp, negative, i, i)
    assert one_over_one_plus_x(np.array(positive), bits).tolist() == expected(grid.one_over_one_plus, positive, 0)
    assert logistic(np.array(both), i, bits).tolist() == expected(grid.logistic, both, i, i)
    assert tanh(np.array(both), i, bits).tolist() == expected(grid.tanh, both, i, i)


def test_inverse_root_equals_the_oracle() -> None:
    numbers = [n for n in random_numbers(np.random.default_rng(0), 32, 200) if n > 1]
    multiplier, shift = inverse_sqrt_multiplier(np.array(numbers))
    assert [m * Fraction(2) ** (s - 31) for m, s in zip(multiplier.tolist(), shift.tolist(), strict=True)] == [
        inverse_sqrt(n) for n in numbers
    ]


def test_every_16_bit_number_is_close_to_the_real_function() -> None:
    """Errors in steps of the result: what 16 bits and Newton's three steps leave."""
    x = np.arange(-32768, 32768)
    real = x / 4096
    for function, exact, steps in ((logistic, 1 / (1 + np.exp(-real)), 17), (tanh, np.tanh(real), 27)):
        assert np.abs(function(x, 3, 16) - 32768 * exact).max() < steps


def test_32_bit_functions_are_close_to_the_real_ones() -> None:
    """Errors in parts of 2**31."""
    x = -np.arange(0, 2**31, 104729)
    assert np.abs(exp_on_negative_values(x, 5) - 2.0**31 * np.exp(x / 2.0**26)).max() < 800
    sums = np.arange(2**19, 2**31, 104729)
    mantissa, exponent = reciprocal(sums, 12)
    np.testing.assert_allclose(mantissa / 2.0**31 / 2.0**exponent, 2.0**19 / sums, rtol=2e-8)
    np.testing.assert_allclose(log_of_positive(sums, 12, 5) / 2.0**26, np.log(sums / 2.0**19), atol=2e-7)
    multiplier, shift = inverse_sqrt_multiplier(sums)
    np.testing.assert_allclose(multiplier * 2.0 ** (shift - 31), 1 / np.sqrt(sums), rtol=2e-6)


def test_reciprocal_of_a_sum_takes_sums_that_int32_does_not_hold() -> None:
    mantissa, exponent = reciprocal(np.array([2**31, 2**32 - 1]), 12)
    assert exponent.tolist() == [12, 12]
    assert mantissa.tolist() == [2**31 - 1, 2**30 - 4]


def test_shape_and_type_are_kept() -> None:
    assert exp_on_negative_values(np.zeros((2, 0, 3), np.int32), 5).shape == (2, 0, 3)
    assert tanh(np.zeros((2, 3), np.int16), 3, 16).dtype == np.int16
    assert logistic(np.zeros((), np.int32), 4).dtype == np.int32


def test_shift_by_the_whole_width_leaves_the_sign() -> None:
    x = np.array([-32768, -1, 0, 1, 32767])
    assert Width(16).scale_down(x, 15).tolist() == [-1, 0, 0, 0, 1]
    assert Width(16).scale_down(x, 16).tolist() == [-1, -1, 1, 1, 1]


def test_logistic_samples_halve_the_error_of_straight_lines() -> None:
    samples = logistic_samples()
    assert samples[[0, 1, 2, 100, 254, 255]].tolist() == [32768, 33451, 34133, 64536, 65534, 65535]
    places = np.linspace(0, 254, 10000)
    lines = np.interp(places, np.arange(256), samples)
    exact = np.array([65536 / (1 + math.exp(-p / 24)) for p in places])
    assert np.abs(lines - exact).max() < 1.37 / 2 + 0.5

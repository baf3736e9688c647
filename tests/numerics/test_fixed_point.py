"""Multipliers and requantizations, against Python's unbounded integers and fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.errors import InputError, QuantizationError
from qcore.numerics import (
    DoubleRounding,
    Float32Rounding,
    Float64Rounding,
    HalfUpRounding,
    ReducedMultiplier,
    Requantizer,
    SingleRounding,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from qcore.numerics.fixed_point import divide_by_pot_in_place
from tests.oracles import fixed_point as oracle

INT32 = st.integers(oracle.INT32_MIN, oracle.INT32_MAX)
EDGES = sorted({x for sign in (-1, 1) for p in range(32) for d in (-1, 0, 1) if -(2**31) <= (x := sign * 2**p + d) < 2**31})
MULTIPLIERS = [0, 2**30, 2**30 + 1, 1518500250, 1079877497, 2**31 - 1]

FORMS: list[tuple[type[Any], Callable[[int, int, int], int], int]] = [
    (DoubleRounding, oracle.double_rounding, 31),
    (HalfUpRounding, oracle.half_up_rounding, 31),
    (SingleRounding, oracle.single_rounding, 30),
    (ReducedMultiplier, oracle.reduced_multiplier, 14),
]


def near_ties(factor: Fraction) -> list[int]:
    """Accumulators whose products with the factor lie next to a tie, where roundings part."""
    if factor == 0:
        return []
    places = [round((k + Fraction(1, 2)) / factor) + d for k in (-129, -128, -3, -2, -1, 0, 1, 2, 127, 128) for d in (-1, 0, 1)]
    return [x for x in places if -(2**31) <= x < 2**31]


@pytest.mark.parametrize(("form", "exact", "max_shift"), FORMS, ids=lambda p: getattr(p, "__name__", str(p)))
def test_every_shift_on_edges_and_next_to_ties(form: type[Any], exact: Callable[[int, int, int], int], max_shift: int) -> None:
    for multiplier in MULTIPLIERS:
        for shift in range(-31, max_shift + 1):
            x = EDGES + near_ties(multiplier / Fraction(2) ** (31 - shift))
            expected = [exact(v, multiplier, shift) for v in x]
            assert form(multiplier, shift)(np.array(x, np.int32)).tolist() == expected, (multiplier, shift)


@pytest.mark.parametrize(("form", "exact", "max_shift"), FORMS, ids=lambda p: getattr(p, "__name__", str(p)))
@given(data=st.data())
def test_any_accumulators_multipliers_and_shifts(
    form: type[Any], exact: Callable[[int, int, int], int], max_shift: int, data: st.DataObject
) -> None:
    """Negative multipliers too, which subtraction uses."""
    multiplier = data.draw(st.integers(-(2**31) + 1, 2**31 - 1))
    shift = data.draw(st.integers(-31, max_shift))
    x = data.draw(st.lists(INT32, min_size=1, max_size=20))
    assert form(multiplier, shift)(np.array(x, np.int32)).tolist() == [exact(v, multiplier, shift) for v in x]


@given(st.lists(st.integers(-(2**47), 2**47 - 1), min_size=1), st.sampled_from(MULTIPLIERS), st.integers(-31, 7))
def test_reduced_multiplier_takes_48_bit_accumulators(x: list[int], multiplier: int, shift: int) -> None:
    result = ReducedMultiplier(multiplier, shift)(np.array(x, np.int64))
    assert result.tolist() == [oracle.reduced_multiplier(v, multiplier, shift) for v in x]


@pytest.mark.parametrize(("form", "exact"), [f[:2] for f in FORMS[:2]], ids=["DoubleRounding", "HalfUpRounding"])
def test_wide_accumulators_and_left_shifts_wrap_in_32_bits(form: type[Any], exact: Callable[[int, int, int], int]) -> None:
    x = [2**31, 2**33 + 5, -(2**31) - 1, 16129]
    for shift in (-3, 0, 18, 31):
        assert form(1518500250, shift)(np.array(x, np.int64)).tolist() == [exact(v, 1518500250, shift) for v in x]


def test_high_mul_equals_the_sign_dependent_form_on_all_pairs_of_edges() -> None:
    a = np.array(EDGES, np.int32)
    expected = [[oracle.high_mul(x, y) for y in EDGES] for x in EDGES]
    assert saturating_rounding_doubling_high_mul(a[:, np.newaxis], a).tolist() == expected


@given(INT32, INT32)
def test_high_mul_equals_the_sign_dependent_form(a: int, b: int) -> None:
    result = saturating_rounding_doubling_high_mul(a, b)
    assert result == oracle.high_mul(a, b)
    assert result.dtype == np.int32


@given(INT32, st.integers(0, 31))
def test_divide_by_pot_rounds_half_away(x: int, exponent: int) -> None:
    expected = oracle.half_away(Fraction(x, 2**exponent))
    assert rounding_divide_by_pot(x, exponent) == expected == oracle.divide_by_pot(x, exponent)


def test_divide_by_pot_of_all_16_bit_values_by_every_exponent() -> None:
    x = np.arange(-(2**15), 2**15, dtype=np.int32)
    exponents = np.arange(17)
    away = np.trunc(x[:, np.newaxis] / 2.0**exponents + np.copysign(0.5, x)[:, np.newaxis])
    assert (rounding_divide_by_pot(x[:, np.newaxis], exponents) == away).all()


@given(INT32, st.integers(0, 2**31 - 1), st.integers(0, 31))
def test_divide_by_pot_takes_64_bits_and_exponents_up_to_62(quotient: int, rest: int, exponent: int) -> None:
    """Numbers within 2**62 whose quotients int32 holds."""
    exponent += 31
    x = max(min((quotient << exponent) + rest, 2**62), -(2**62))
    expected = oracle.half_away(Fraction(x, 2**exponent))
    if oracle.INT32_MIN <= expected <= oracle.INT32_MAX:
        assert rounding_divide_by_pot(x, exponent) == expected
    assert rounding_divide_by_pot(quotient, max(exponent, 33)) == 0


@pytest.mark.parametrize("ties", ["away", "up"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_divide_by_pot_in_place(dtype: str, ties: Literal["away", "up"]) -> None:
    round_ = oracle.half_away if ties == "away" else oracle.half_up
    for exponent in (1, 2, 8):
        x = np.arange(-1024, 1025, dtype=dtype)
        expected = [round_(Fraction(int(value), 2**exponent)) for value in x]
        divide_by_pot_in_place(x, exponent, ties)
        assert x.dtype == dtype
        assert x.tolist() == expected


SCALES = [2.0**-32, 1e-9, 0.0020805732, 0.5, 0.99999994, 1.0, 3.1415927, 255.99998, 1e6]


@pytest.mark.parametrize("scale", SCALES)
def test_float32_rounding_in_exact_arithmetic(scale: float) -> None:
    single = np.float32(scale)
    exact = Fraction(float(single))
    x = EDGES + near_ties(exact)
    assert Float32Rounding(single)(np.array(x, np.int32)).tolist() == [oracle.float32_rounding(v, exact) for v in x]


@pytest.mark.parametrize("scale", SCALES)
def test_float64_rounding_in_exact_arithmetic(scale: float) -> None:
    exact = Fraction(scale)
    x = EDGES + near_ties(exact)
    assert Float64Rounding(scale)(np.array(x, np.int32)).tolist() == [oracle.float64_rounding(v, exact) for v in x]


def requantizer(kind: type[Any], real: np.ndarray) -> Requantizer:
    return kind(real) if kind in (Float32Rounding, Float64Rounding) else kind(*quantize_multiplier(real))


def per_channel(kind: type[Any], channels: int) -> tuple[Requantizer, Callable[[int], Requantizer]]:
    """One requantizer for all channels, and what gives one for each."""
    real = np.geomspace(1e-9, 3, channels)
    return requantizer(kind, real), lambda channel: requantizer(kind, real[channel : channel + 1])


KINDS = [DoubleRounding, HalfUpRounding, SingleRounding, ReducedMultiplier, Float32Rounding, Float64Rounding]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "dtype"), [(1, np.int32), (3, np.int64), (128, np.int32), (20000, np.int64)])
def test_per_channel_equals_each_channel_alone(kind: type[Any], channels: int, dtype: type) -> None:
    """Shapes on both sides of the block length; also rows out of order in memory."""
    together, alone = per_channel(kind, channels)
    rows = max(1, 40000 // channels)
    x = np.random.default_rng(channels).integers(-(2**24), 2**24, (2, rows, channels)).astype(dtype)
    result = together(x)
    assert result.shape == x.shape
    assert result.dtype == np.int32
    for channel in range(0, channels, max(1, channels // 5)):
        assert (result[..., channel] == alone(channel)(x[..., channel])).all()
    assert (together(x[::-1, ::2]) == result[::-1, ::2]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_empty_and_scalar_accumulators(kind: type[Any]) -> None:
    one, _ = per_channel(kind, 1)
    several, _ = per_channel(kind, 3)
    assert one(np.zeros((0, 7), np.int32)).shape == (0, 7)
    assert one(np.array(5, np.int32)).shape == ()
    assert several(np.zeros((2, 0, 3), np.int32)).shape == (2, 0, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_accumulators_of_other_channels_are_refused(kind: type[Any]) -> None:
    several, _ = per_channel(kind, 3)
    for shape in ((4,), (3, 4), ()):
        with pytest.raises(QuantizationError, match="3 channels last"):
            several(np.zeros(shape, np.int32))


@pytest.mark.parametrize(
    ("form", "multiplier", "shift"),
    [
        (DoubleRounding, 2**30, 32),
        (DoubleRounding, 2**30, -32),
        (DoubleRounding, -(2**31), 0),
        (SingleRounding, 2**30, 31),
        (ReducedMultiplier, 2**30, 15),
        (HalfUpRounding, np.array([1, 2]), np.array([1])),
        (HalfUpRounding, np.zeros(0, np.int32), np.zeros(0, np.int32)),
        (HalfUpRounding, np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32)),
    ],
)
def test_factors_that_the_arithmetic_cannot_do_are_refused(form: type[Any], multiplier: Any, shift: Any) -> None:
    with pytest.raises(QuantizationError, match="requantization"):
        form(multiplier, shift)


@pytest.mark.parametrize("form", [Float32Rounding, Float64Rounding])
@pytest.mark.parametrize("scale", [-1.0, np.nan, np.inf, np.zeros(0), np.ones((2, 2))])
def test_scales_that_are_none_are_refused(form: type[Any], scale: Any) -> None:
    with pytest.raises(QuantizationError, match="scale"):
        form(scale)


@given(st.floats(0, 2.0**31, allow_subnormal=True))
def test_multiplier_and_shift_of_any_real(real: float) -> None:
    assert quantize_multiplier(real) == oracle.quantize_multiplier(real)


def test_multiplier_and_shift_next_to_powers_of_two() -> None:
    """The significand that rounds up to 2**31, and the least factor that is not flushed to zero."""
    powers = 2.0 ** np.arange(-40, 41)
    real = np.concatenate([np.nextafter(powers, 0), powers, np.nextafter(powers, np.inf)])
    multiplier, shift = quantize_multiplier(real)
    expected = [oracle.quantize_multiplier(float(r)) for r in real]
    assert list(zip(multiplier.tolist(), shift.tolist(), strict=True)) == expected
    assert multiplier.dtype == shift.dtype == np.int32
    assert quantize_multiplier(np.nextafter(1.0, 0)) == (2**30, 1)
    assert quantize_multiplier(2.0**-32) == (2**30, -31)
    assert quantize_multiplier(np.nextafter(2.0**-32, 0)) == (2**30, -31)
    assert quantize_multiplier(2.0**-33) == (0, 0)


def test_scalars_give_ints_and_arrays_give_arrays() -> None:
    multiplier, shift = quantize_multiplier(np.float32(0.5))
    assert (type(multiplier), type(shift)) == (int, int)
    multipliers, shifts = quantize_multiplier(np.array(0.5))
    assert multipliers.shape == shifts.shape == ()
    assert quantize_multiplier(np.ones((2, 3)))[0].shape == (2, 3)


@pytest.mark.parametrize("real", [-1.0, np.nan, np.inf, np.array([0.5, -0.5])])
def test_factors_that_have_no_multiplier_are_refused(real: Any) -> None:
    with pytest.raises(QuantizationError, match="quantize_multiplier"):
        quantize_multiplier(real)


def test_factors_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError):
        quantize_multiplier("0.5")


def test_the_worked_example_of_the_documentation() -> None:
    """The table at the end of section 3 of docs/quantization.md."""
    s1, s2, s3 = np.float32([0.05, 0.011, 0.07])
    real = float(s1) * float(s2) / float(s3)
    multiplier, shift = quantize_multiplier(real)
    assert (multiplier, shift) == (1079877497, -6)
    x = np.array([63, -63, 2100, 4009, -15718], np.int32)
    assert saturating_rounding_doubling_high_mul(x, multiplier).tolist() == [32, -32, 1056, 2016, -7904]
    rows = [form(multiplier, shift)(x).tolist() for form in (DoubleRounding, HalfUpRounding, SingleRounding, ReducedMultiplier)]
    rows += [Float32Rounding(s1 * s2 / s3)(x).tolist(), Float64Rounding(real)(x).tolist()]
    assert rows == [
        [1, -1, 17, 32, -124],
        [1, 0, 17, 32, -123],
        [0, 0, 17, 31, -123],
        [0, 0, 17, 32, -124],
        [0, 0, 16, 31, -123],
        [0, 0, 17, 31, -123],
    ]

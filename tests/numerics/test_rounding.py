"""The two roundings, against exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.numerics import round_half_away, round_half_even
from tests.oracles import fixed_point as oracle

FLOATS = [np.float16, np.float32, np.float64]


def all_float16() -> np.ndarray:
    return np.arange(2**16, dtype=np.uint16).view(np.float16)


def test_half_away_of_every_float16() -> None:
    x = all_float16()
    finite = x[np.isfinite(x)]
    expected = [oracle.half_away(Fraction(float(v))) for v in finite]
    assert round_half_away(finite).tolist() == expected


@pytest.mark.parametrize("dtype", FLOATS)
def test_half_away_next_to_every_tie(dtype: type) -> None:
    """The neighbours of k + 1/2 round to k and k + 1, the tie away from zero, wherever the type has halves."""
    bits = np.finfo(dtype).nmant
    floors = np.array(sorted({k for p in range(bits) for k in (2**p - 1, 2**p) if k < 2**bits}), dtype)
    ties = floors + dtype(0.5)
    below = np.nextafter(ties, dtype(0))
    for sign in (dtype(1), dtype(-1)):
        assert (round_half_away(sign * ties) == sign * (floors + dtype(1))).all()
        assert (round_half_away(sign * below) == sign * floors).all()


def test_half_away_where_adding_one_half_fails() -> None:
    assert round_half_away(np.float32([0.49999997, -0.49999997, 8388609.0])).tolist() == [0.0, 0.0, 8388609.0]
    assert round_half_away(np.array([0.49999999999999994, 4503599627370497.0])).tolist() == [0.0, 4503599627370497.0]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_half_away_and_half_even_of_any_float64(x: float) -> None:
    assert int(round_half_away(np.array(x))) == oracle.half_away(Fraction(x))
    assert int(round_half_even(np.array(x))) == oracle.half_even(Fraction(x))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_half_away_of_any_float32(x: float) -> None:
    assert int(round_half_away(np.array(x, np.float32))) == oracle.half_away(Fraction(x))


@pytest.mark.parametrize("rounding", [round_half_away, round_half_even])
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values_pass_and_zero_keeps_its_sign(rounding: Callable[..., Any], dtype: type) -> None:
    out = rounding(np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, -0.25], dtype))
    assert np.isnan(out[0])
    assert out[1:].tolist() == [np.inf, -np.inf, 0, 0, 0]
    assert np.signbit(out[3:]).tolist() == [True, False, True]
    assert out.dtype == dtype


@pytest.mark.parametrize("rounding", [round_half_away, round_half_even])
def test_layouts_shapes_and_places_for_the_result(rounding: Callable[..., Any]) -> None:
    x = np.linspace(-9, 9, 37, dtype=np.float32)
    expected = rounding(x.copy())
    assert (rounding(x[::-2]) == expected[::-2]).all()
    assert (rounding(x.astype(">f4")) == expected).all()
    assert rounding(np.empty((0, 3), np.float32)).shape == (0, 3)
    assert rounding(np.array(2.5)).shape == ()
    assert rounding(x, out=x) is x
    assert (x == expected).all()

"""Scales that are, or nearly are, powers of two."""

from __future__ import annotations

import pytest

from qcore.numerics.powers import power_of_two


@pytest.mark.parametrize("exponent", [-149, -126, -24, -15, -7, -1, 0, 1, 10, 127])
def test_powers_of_two(exponent: int) -> None:
    assert power_of_two(2.0**exponent) == exponent


@pytest.mark.parametrize(
    ("scale", "exponent"), [(2**-15 * 1.0005, -15), (2**-15 * 0.9995, -15), (2**-15 * 1.001, None), (0.3, None), (0.0, None)]
)
def test_within_seven_parts_in_ten_thousand(scale: float, exponent: int | None) -> None:
    assert power_of_two(scale) == exponent

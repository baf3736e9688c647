"""Lines of a derivation, and that those of every requantization end in what its vectors give."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from qcore.numerics import DoubleRounding, Float32Rounding, Float64Rounding, HalfUpRounding, ReducedMultiplier, SingleRounding
from qcore.numerics.derivation import Line, decimal, nearest, rounded, wrapped
from qcore.numerics.shifting import RightRounding
from qcore.numerics.vector_loop import VectorLoop

SHIFTS = {DoubleRounding: 31, HalfUpRounding: 31, SingleRounding: 30, ReducedMultiplier: 14}
ACCUMULATORS = np.unique(
    np.concatenate(
        [sign * 2 ** np.arange(32) + d for sign in (-1, 1) for d in (-1, 0, 1)] + [np.random.default_rng(0).integers(-(2**31), 2**31, 60)]
    ).clip(-(2**31), 2**31 - 1)
)


@pytest.mark.parametrize("form", SHIFTS, ids=lambda form: form.__name__)
def test_fixed_point_steps_end_in_what_the_vectors_give(form: Any) -> None:
    for multiplier in (0, 2**30, 1527099593, 2**31 - 1):
        for shift in range(-31, SHIFTS[form] + 1):
            requantize = form(multiplier, shift)
            expected = requantize(ACCUMULATORS.astype(np.int32)).tolist()
            assert [requantize.derive(int(x))[-1].value for x in ACCUMULATORS] == expected, (multiplier, shift)


@pytest.mark.parametrize("form", [Float32Rounding, Float64Rounding], ids=lambda form: form.__name__)
def test_float_steps_end_in_what_the_vectors_give(form: Any) -> None:
    for scale in (0.0, 1e-9, 0.011111111, 0.25, 1.0, 3.7, 200.0, 1e5):
        requantize = form(scale)
        expected = requantize(ACCUMULATORS.astype(np.int32)).tolist()
        assert [requantize.derive(int(x))[-1].value for x in ACCUMULATORS] == expected, scale


def test_each_channel_has_its_own_factor() -> None:
    requantize = DoubleRounding(np.array([2**30, 1527099593], np.int32), np.array([0, -6], np.int32))
    given = requantize(np.array([[585, 585]], np.int32))[0].tolist()
    assert [requantize.derive(585, channel)[-1].value for channel in (0, 1)] == given


def test_a_shift_to_the_right_by_less_than_none_leaves_the_sign() -> None:
    for shift in (-3, 0, 2):
        requantize = RightRounding(1527099593, shift)
        for x in (-70, -1, 0, 1, 70):
            assert requantize.derive(x)[-1].value == int(requantize(np.array([x], np.int32))[0])


def test_steps_say_what_was_rounded_and_where_ties_go() -> None:
    steps = DoubleRounding(1527099593, -6).derive(585)
    assert [(line.symbol, line.value, line.equation) for line in steps] == [
        ("m", 1527099593, 12),
        ("s", -6, 12),
        ("H", 416, 13),
        ("R", 7, 15),
    ]
    assert str(steps[-1]) == "R = 7: 416 / 2^6 = 6.5, a tie goes away from zero (15)"
    assert steps[-1].is_tie
    assert not steps[-2].is_tie


def test_a_vector_loop_says_which_function_takes_an_element() -> None:
    loop = VectorLoop(4, np.negative, np.positive)
    assert [loop.part(place, 6) for place in (0, 3, 4, 5)] == [(np.negative, 0), (np.negative, 3), (np.positive, 0), (np.positive, 1)]


@pytest.mark.parametrize(
    ("ties", "values"), [("up", [-2, -1, 0, 1, 2, 3]), ("away from zero", [-3, -2, -1, 1, 2, 3]), ("to even", [-2, -2, 0, 0, 2, 2])]
)
def test_ties_go_where_the_rule_says(ties: Any, values: list[int]) -> None:
    assert [nearest(Fraction(n, 2), ties) for n in (-5, -3, -1, 1, 3, 5)] == values
    assert [nearest(Fraction(n, 4), ties) for n in (-3, -1, 1, 3)] == [-1, 0, 0, 1]


def test_registers_wrap() -> None:
    assert [wrapped(x, 8) for x in (127, 128, -128, -129, 256)] == [127, -128, -128, 127, 0]


def test_digits_that_are_left_out_show_as_dots() -> None:
    assert decimal(Fraction(13, 2)) == "6.5"
    assert decimal(Fraction(13, 2) + Fraction(1, 10**30)) == "6.50000000000..."
    assert decimal(Fraction(1, 3)) == "0.333333333333..."
    assert decimal(Fraction(-1, 3 * 10**20)) == "-3.33333333333E-21..."
    assert [decimal(x) for x in (Fraction(7), 7, np.int8(7), np.float32(0.1), 0.1)] == ["7", "7", "7", "0.1", "0.1"]


def test_a_line_reads_as_a_sentence() -> None:
    assert str(rounded("R", "7 / 2", Fraction(7, 2), "up", 3)) == "R = 4: 7 / 2 = 3.5, a tie goes up (3)"
    assert str(Line("b", "bias", -5)) == "b = -5: bias"
    assert Line("p", "3 * M in float32", np.float32(0.3), before=Fraction(3, 10)).text == "3 * M in float32, of 0.3"

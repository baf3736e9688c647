"""A computation told line by line: what each value is called, how it came about with the numbers put in, and what it is.

>>> print(rounded("R", "416 / 2^6", Fraction(416, 64), "away from zero", 14))
R = 7: 416 / 2^6 = 6.5, a tie goes away from zero (14)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from fractions import Fraction
from typing import Any, Literal

import numpy as np

Ties = Literal["up", "away from zero", "to even"]
Value = int | float | Fraction | np.floating[Any]

DIGITS = 12
"""Significant digits of a number that is not a whole one; what they leave out shows as dots."""

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Line:
    """One value of a computation.

    symbol: what it is called, as in docs/quantization.md.
    formula: how it comes about, with the numbers put in.
    equation: its number in docs/quantization.md, where it has one.
    before, ties: of a value that is rounded to an integer or a float: what it was before, exactly, and where its ties go.
    """

    symbol: str
    formula: str
    value: Value
    equation: int | None = None
    before: Fraction | None = None
    ties: Ties | None = None

    @property
    def is_tie(self) -> bool:
        """What was rounded lay half way between two integers."""
        return self.before is not None and self.before.denominator == 2

    def __str__(self) -> str:
        number = "" if self.equation is None else f" ({self.equation})"
        return f"{self.symbol} = {decimal(self.value)}: {self.text}{number}"

    @property
    def text(self) -> str:
        """The formula, and what the value was before it was rounded."""
        if self.before is None or self.before == self.value:
            return self.formula
        if not isinstance(self.value, int):
            return f"{self.formula}, of {decimal(self.before)}"
        return f"{self.formula} = {decimal(self.before)}" + (f", a tie goes {self.ties}" if self.is_tie else "")


def rounded(symbol: str, formula: str, before: Fraction, ties: Ties, equation: int | None = None) -> Line:
    """The line of an exact value rounded to an integer; equation (3)."""
    return Line(symbol, formula, nearest(before, ties), equation, before, ties)


def nearest(x: Fraction, ties: Ties) -> int:
    """The integer nearest to an exact value; equation (3)."""
    if ties == "to even":
        return round(x)
    return -math.floor(HALF - x) if ties == "away from zero" and x < 0 else math.floor(x + HALF)


def exactly(x: Any) -> Fraction:
    """A finite integer or float of any type as the rational number that it is."""
    return Fraction(x.item() if isinstance(x, np.generic) else x)


def wrapped(x: int, bits: int) -> int:
    """What a signed register of so many bits keeps of an integer."""
    return (x + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def with_wrap(lines: list[Line]) -> list[Line]:
    """The lines, and one more where the last value does not fit int32 and wraps."""
    value = int(lines[-1].value)
    return lines if wrapped(value, 32) == value else [*lines, Line("R'", "int32 wraps", wrapped(value, 32))]


def decimal(x: Any) -> str:
    """A number to be read: integers in full, float32 and float64 with the digits that tell them apart, rationals cut off after some."""
    if isinstance(x, np.generic) and x.dtype.kind in "iub":
        x = x.item()
    if isinstance(x, np.floating):
        return str(x)
    if not isinstance(x, Fraction):
        return repr(x)
    if x.denominator == 1:
        return str(x.numerator)
    context = Context(prec=DIGITS, rounding=ROUND_DOWN)
    digits = context.divide(Decimal(x.numerator), Decimal(x.denominator))
    dots = "" if Fraction(digits) == x else "..."
    return f"{digits:f}{dots}" if -DIGITS // 2 <= digits.adjusted() < DIGITS else f"{digits:E}{dots}"

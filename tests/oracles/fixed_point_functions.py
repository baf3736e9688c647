"""Fixed-point functions the slow way: one real number at a time, as an exact fraction that is rounded to its grid after every step."""

from __future__ import annotations

import math
from fractions import Fraction

from tests.oracles.fixed_point import half_away, half_up


class Grid:
    """Numbers of so many bits; those with i integer bits are multiples of 2**(i + 1 - bits), less than 2**i in magnitude."""

    def __init__(self, bits: int):
        self.bits = bits

    def step(self, i: int) -> Fraction:
        return Fraction(2) ** (i + 1 - self.bits)

    def limit(self, x: Fraction, i: int) -> Fraction:
        return max(-(Fraction(2) ** i), min(x, Fraction(2) ** i - self.step(i)))

    def up(self, x: Fraction, i: int) -> Fraction:
        return self.limit(half_up(x / self.step(i)) * self.step(i), i)

    def away(self, x: Fraction, i: int) -> Fraction:
        return self.limit(half_away(x / self.step(i)) * self.step(i), i)

    def constant(self, x: float, i: int = 0) -> Fraction:
        fine = Fraction(2) ** (i - 31)
        return self.away(round(Fraction(x) / fine) * fine, i)

    def one(self) -> Fraction:
        return 1 - self.step(0)

    def exp(self, x: Fraction, i: int) -> Fraction:
        if x == 0:
            return self.one()
        if i > 5 and x < -32:
            return Fraction(0)
        quarters, rest = divmod(x, Fraction(1, 4))
        d = rest - Fraction(1, 8)
        d2 = self.up(d * d, 0)
        d3, d4 = self.up(d2 * d, 0), self.up(d2 * d2, 0)
        third = self.up((self.away(d4 / 4, 0) + d3) * self.constant(1 / 3), 0)
        centre = self.constant(math.exp(-1 / 8))
        result = self.limit(centre + self.up(centre * (d + self.away((third + d2) / 2, 0)), 0), 0)
        below = -quarters - 1
        for k in range(-2, min(i, 5)):
            if below >> (k + 2) & 1:
                result = self.up(result * self.constant(math.exp(-(2.0**k))), 0)
        return result

    def twice_reciprocal(self, x: Fraction) -> Fraction:
        """2 / (1 + x)."""
        half = self.away((x + self.one()) / 2, 0)
        y = self.constant(48 / 17, 2) + self.up(half * self.constant(-32 / 17, 2), 2)
        for _ in range(3):
            y += self.limit(self.up(y * (1 - self.up(half * y, 2)), 4), 2)
        return y

    def one_over_one_plus(self, x: Fraction) -> Fraction:
        return self.limit(self.twice_reciprocal(x) / 2, 0)

    def logistic(self, x: Fraction, i: int) -> Fraction:
        if x == 0:
            return Fraction(1, 2)
        positive = self.one_over_one_plus(self.exp(-abs(x), i))
        return positive if x > 0 else self.one() - positive

    def tanh(self, x: Fraction, i: int) -> Fraction:
        magnitude = self.limit(self.twice_reciprocal(self.exp(-2 * abs(x), i + 1)) - 1, 0)
        return (x > 0) * magnitude - (x < 0) * magnitude


def inverse_sqrt(x: int) -> Fraction:
    """1 / sqrt(x) of an integer above 1."""
    grid = Grid(32)
    power = 0
    while x >= 2**29:
        x, power = x // 4, power + 1
    while x < 2**27:
        x, power = x * 4, power - 1
    a = Fraction(x // 2) * grid.step(3)
    half = grid.away(a / 2, 3)
    y = Fraction(1)
    for _ in range(5):
        square = grid.up(y * y, 6)
        cube = grid.limit(grid.up(square * y, 9), 3)
        y = grid.limit(grid.up(Fraction(3, 2) * y, 6) - grid.up(half * cube, 6), 3)
    return grid.up(y * grid.constant(math.sqrt(0.5)), 3) / Fraction(2) ** (power + 14)

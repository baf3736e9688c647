"""Requantization by multiply-adds of float32, where these are proven to give the very codes of the fixed-point rule.

The code of an accumulator never falls as the accumulator grows. Two such rules are the same if they agree on both sides of every step from
one code to the next, and a step is one accumulator: the least that reaches the code. So the fixed-point rule is replaced by a line,

    t = float32(accumulator * coarse + offset),    code = float32(t * fine + zero point + BASE) - BASE,

if there are constants for every channel with which all steps fall where they should. Each multiply-add rounds once, the second one to an
integer: floats from 2**23 to 2**24 are integers. Where ties go away from zero, t has a constant added to it with its own sign.

Accumulators cost nothing to convert. They begin with BASE_BITS more, and their bits are then those of a float: BASE more than they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.bytes_out import Range, channel_order, to_bytes
from qcore.kernels.fast.cache import digest, stored
from qcore.kernels.fast.compiler import sources_digest
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import F32, Code, Value, number, vector
from qcore.kernels.fast.outputs import Output, Row
from qcore.kernels.fast.requantization import Constants

BASE = 3 << 22
"""1.5 * 2**23: float32 numbers within EXACT of it are the integers, and follow one another as their bits do, whose lower 16 are 0."""

BASE_BITS = int(np.float32(BASE).view(np.int32))

EXACT = 1 << 22

FRACTION = 1 << 13
"""Offsets are multiples of 1 / FRACTION, coarse slopes ``1 + odd / FRACTION``."""

ODD = np.arange(1, 2600, 12)
"""What coarse slopes are made of, in the order of trial. ``(BASE + FRACTION) * coarse`` is below 2**24: such integers are exact."""

INVERSE = np.array([pow(odd, -1, FRACTION) for odd in ODD.tolist()])
"""Times ODD they are 1, but for multiples of FRACTION."""

FURTHEST_RIGHT = 22
"""Shifts up to here leave room for 8 bits of steps in 64."""

INFINITE = int(np.float32(np.inf).view(np.int32))

BLOCK = 256
"""Channels that are worked on at a time, which bounds the memory that it takes."""

WORD = 1 << 15
"""Codes before the clamp are within 16 bits."""


@dataclass(frozen=True)
class LineCodes(Output):
    """Codes of 8 bits, by a line; away: ties go away from zero, in some channels at least. For processors with AVX-512."""

    away: bool
    item: ClassVar[int] = 1

    @property
    def planes(self) -> int:
        """See ``Line``."""
        return 4 if self.away else 3

    def constant_bytes(self, lanes: int) -> int:
        """Of ``planes``."""
        return 4 * lanes * self.planes

    def load(self, code: Code, constants: Value, lanes: int) -> list[Value]:
        """Of ``planes``."""
        return [code.load(vector(F32, lanes), constants, 4 * lanes * i) for i in range(self.planes)]

    def step(self, code: Code, total: Value | list[Value], planes: list[Value], row: Row | None) -> Value:
        """BASE and the code as a float, not clamped."""
        b, lanes = code.builder, planes[0].type
        coarse, offset, fine = planes[:3]
        t = code.elementwise("fma", b.bitcast(total, lanes), coarse, offset)
        if self.away:
            t = b.fadd(t, code.elementwise("copysign", planes[3], t))
        base = b.fadd(b.sitofp(code["zero_point"], F32), number(F32, float(BASE)))
        return code.elementwise("fma", t, fine, code.splat(base, lanes.count))

    def rows(self, code: Code, tier: Tier, steps: list[list[Value]]) -> list[Value]:
        """See ``bytes_out``."""
        return to_bytes(code, tier, steps, Range.of(code, tier), lower_halves=True)

    def order(self, tier: Tier, vectors: int) -> NDArray[np.int64]:
        """See ``bytes_out``."""
        return channel_order(tier, vectors)


@dataclass(frozen=True, eq=False)
class Line:
    """Constants of lines.

    start: int64[channels], what accumulators begin with besides their own first values; [tries, channels] while lines are tried.
    planes: float32 each, likewise: coarse; what is added to ``(BASE + accumulator) * coarse``; fine; what is added with the sign.
    """

    start: NDArray[np.int64]
    planes: tuple[NDArray[np.float32], ...]

    def steps(self, begun: NDArray[np.float64], channels: NDArray[np.int64] | slice) -> NDArray[np.float64]:
        """What the second multiply-add rounds, exact; begun: accumulators and what they began with, as floats, [..., tries, channels]."""
        coarse, constant, fine, signed = (plane[:, channels] for plane in self.planes)
        t = (begun * coarse + constant).astype(np.float32)
        return (t + np.copysign(signed, t)).astype(np.float64) * fine

    def meets(self, begins: _Begins) -> NDArray[np.bool_]:
        """bool[tries, steps]: it reaches the step with the first accumulator that should, and not before."""
        first = ((self.start - (BASE_BITS - BASE))[:, begins.channel] + begins.accumulator).astype(np.float64)
        reached, before = self.steps(np.stack((first, first - 1)), begins.channel)
        return np.asarray((reached > begins.step - 0.5) & (before < begins.step - 0.5))

    def stays_within_words(self, bound: int) -> NDArray[np.bool_]:
        """bool[tries, channels]: so it does from the least accumulator to the greatest."""
        ends = np.stack((self.start - bound, self.start + bound)).astype(np.int32).view(np.float32)
        return np.asarray((np.abs(self.steps(ends.astype(np.float64), slice(None))) + 256 < WORD).all(axis=0))


def line(by: Constants, lowest: int, highest: int, bound: int) -> Line | None:
    """The line that gives the codes of a fixed-point rule; None where none is found.

    Args:
        by: of one of the "narrow" kinds.
        lowest: of the output's steps, its codes less its zero point; what is below is raised to it.
        highest: likewise.
        bound: no accumulator's magnitude is greater.
    """
    if not by.kind.startswith("narrow"):
        return None
    rule = _Rule.by(by)
    steps = np.arange(lowest + 1, highest + 1)
    if not (rule.multiplier > 0).all() or int(rule.right.max(initial=0)) > FURTHEST_RIGHT:
        return None
    furthest = np.abs(steps).max(initial=0) / rule.slope.min(initial=np.inf)
    if BASE_BITS + FRACTION + bound >= INFINITE or min(furthest, bound) + FRACTION >= EXACT:
        return None

    def search() -> bytes:
        blocks = (rule.of(np.arange(start, min(start + BLOCK, channels))) for start in range(0, channels, BLOCK))
        found = [_search(block, block.uncertain(steps.reshape(-1, 1)), bound) for block in blocks]
        return b"" if any(choice is None for choice in found) else b"".join(choice.tobytes() for choice in found if choice is not None)

    channels = len(rule.multiplier)
    what = repr((sources_digest(), by.kind, lowest, highest, bound, [plane.tobytes() for plane in by.planes]))
    choice = np.frombuffer(stored(f"line_{digest(what.encode()).hex()}", search), np.int16)
    if choice.size != channels:
        return None
    found = _lines(rule, choice)
    return found if rule.away.any() else Line(found.start, found.planes[:3])


@dataclass(frozen=True, eq=False)
class _Rule:
    """Step k of an accumulator a is ``floor((a * multiplier + half) / unit)``, unit being ``2**(31 + right)``.

    Where ties go away from zero, 2**31 is taken off what negative accumulators give, which are those of steps below 1. Arrays are
    int64[channels] and, away, bool[channels].
    """

    multiplier: NDArray[np.int64]
    half: NDArray[np.int64]
    right: NDArray[np.int64]
    away: NDArray[np.bool_]

    def of(self, channels: NDArray[np.bool_ | np.integer[Any]]) -> _Rule:
        """That of some channels."""
        return _Rule(self.multiplier[channels], self.half[channels], self.right[channels], self.away[channels])

    @classmethod
    def by(cls, by: Constants) -> _Rule:
        """The one that a "narrow" kind of requantization follows."""
        multiplier, half, right = (plane.astype(np.int64) for plane in by.planes[:3])
        if by.kind == "narrow":
            return cls(multiplier, half, right + 1, np.zeros(len(half), np.bool_))
        away = by.planes[3] < 0 if by.kind == "narrow_mixed" else np.ones(len(half), np.bool_)
        return cls(multiplier, half // 2, right, away)

    @property
    def slope(self) -> NDArray[np.float64]:
        """float64[channels]: steps for each accumulator, exact."""
        return np.ldexp(self.multiplier.astype(np.float64), -31 - self.right)

    @property
    def ahead(self) -> NDArray[np.float64]:
        """float64[channels]: the accumulators by which positive steps begin before ``(k - 0.5) / slope``."""
        return (self.half - (np.int64(1) << (30 + self.right))) / self.multiplier

    def uncertain(self, steps: NDArray[np.int64]) -> _Begins:
        """Those steps that a line may miss.

        A line from ``_lines`` is off by less than a part in 2**25 of the step in its slope, in its two roundings by one in 2**24 each, and
        by one accumulator in 2**13: together below 2**-14 steps and 2**-11 accumulators, steps being 256 at most.
        """
        begins = (steps - 0.5) / self.slope - self.ahead
        if self.away.any():
            begins += np.where((steps < 1) & self.away, (1 << 31) / self.multiplier, 0)
        near = np.abs(begins - np.rint(begins)) < 2.0**-14 / self.slope + 2.0**-11
        row, channel = np.nonzero(near)
        step = steps[row, 0]
        sign = np.where((step < 1) & self.away[channel], np.int64(1) << 31, 0)
        product = (step << (31 + self.right[channel])) - self.half[channel] + sign
        return _Begins(step, channel, -(-product // self.multiplier[channel]))


@dataclass(frozen=True, eq=False)
class _Begins:
    """int64[steps] each: a step, its channel, and the first accumulator that reaches it."""

    step: NDArray[np.int64]
    channel: NDArray[np.int64]
    accumulator: NDArray[np.int64]

    def of(self, channels: NDArray[np.bool_]) -> _Begins:
        """Those of some channels, which are numbered anew."""
        chosen, numbers = channels[self.channel], np.cumsum(channels) - 1
        return _Begins(self.step[chosen], numbers[self.channel[chosen]], self.accumulator[chosen])


def _search(rule: _Rule, begins: _Begins, bound: int) -> NDArray[np.int16] | None:
    """int16[channels]: for every channel a choice from ODD that meets all of its uncertain steps and stays within words.

    None if a channel has none. Few channels are left after a few tries, and then more choices are tried at a time.
    """
    found = np.zeros(len(rule.multiplier), np.int16)
    left, start = np.arange(len(found)), 0
    while left.size:
        choices = np.arange(start, min(2 * start + 1, len(ODD))).reshape(-1, 1)
        if not choices.size:
            return None
        tried = _lines(rule, choices)
        if not tried.stays_within_words(bound).all():
            return None
        fits = np.ones(tried.start.shape, np.bool_)
        attempt, missed = np.nonzero(~tried.meets(begins))
        fits[attempt, begins.channel[missed]] = False
        met: NDArray[np.bool_] = np.any(fits, axis=0)
        found[left[met]] = start + fits.argmax(axis=0)[met]
        rule, begins, left = rule.of(~met), begins.of(~met), left[~met]
        start += len(choices)
    return found


def _lines(rule: _Rule, choice: NDArray[np.integer[Any]]) -> Line:
    """The lines of each channel with these coarse slopes, numbers in ODD, [channels] or [tries, 1].

    Their offsets are whole numbers of fractions, the next ones above the rule's, so that a step which an accumulator just reaches is
    reached. The accumulators' start is moved by just so many that the constant that the multiply-add adds is an integer, exact in float32.
    """
    coarse = 1 + ODD[choice] / FRACTION
    ahead = rule.ahead * coarse
    offset = np.where(rule.away, 0, np.floor(ahead * FRACTION)).astype(np.int64) + 1
    moved = offset * INVERSE[choice] % FRACTION
    constant = offset / FRACTION - (BASE + moved) * coarse
    planes = (np.broadcast_to(coarse, offset.shape), constant, rule.slope / coarse, np.where(rule.away, ahead, 0))
    return Line(BASE_BITS + moved, tuple(plane.astype(np.float32) for plane in planes))

"""Lines in float32 give the codes of fixed point, for every accumulator within the bound."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels.fast.cpu import usable
from qcore.kernels.fast.lines import BASE, LineCodes, line
from qcore.kernels.fast.requantization import constants
from qcore.numerics.fixed_point import DoubleRounding, HalfUpRounding, SingleRounding
from qcore.numerics.vector_loop import VectorLoop
from qcore.runtime.plan import Settings
from qcore.runtime.stages import lowered
from tests.conformance.harness import random_inputs
from tests.kernels.fast.compare import assert_fast, run
from tests.kernels.fast.test_convolution import CONV, model

ROUNDINGS = {
    "double": DoubleRounding,
    "half up": HalfUpRounding,
    "single": SingleRounding,
    "loop": lambda m, s: VectorLoop(4, HalfUpRounding(m[0], s[0]), DoubleRounding(m[0], s[0])),
}


def codes_by_line(found, accumulators, zero_point):
    """What the instructions compute; float64 holds each product and sum of a multiply-add exactly, or far from where it matters."""
    begun = (accumulators + found.start).astype(np.int32).view(np.float32).astype(np.float64)
    coarse, constant, fine, *signed = (plane.astype(np.float64) for plane in found.planes)
    t = (begun * coarse + constant).astype(np.float32)
    for plane in signed:
        t = t + np.copysign(plane.astype(np.float32), t)
    code = (t.astype(np.float64) * fine + (BASE + zero_point)).astype(np.float32)
    return code.view(np.int32).astype(np.int16).astype(np.int64)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("zero_point", "low"), [(-128, -128), (127, -128), (3, -128), (-5, -5), (-128, -100)])
@pytest.mark.parametrize("shift", [-1, -2, -6, -9])
def test_every_code_begins_where_it_should(rounding, zero_point, low, shift):
    rng = np.random.default_rng(0)
    channels, bound, tested = 6, 1 << (9 - shift), 0
    for ties in (True, False, False, False):
        multipliers = rng.integers(1 << 30, 1 << 31, channels)
        if ties:
            multipliers[:3] = 1 << 30, (1 << 31) - 1, (1 << 30) + 1
        requantize = ROUNDINGS[rounding](multipliers, np.full(channels, shift))
        by = constants(requantize, channels, bound, low >= zero_point)
        found = line(by, low - zero_point, 127 - zero_point, bound)
        if found is None:
            continue
        tested += 1
        around = np.rint((np.arange(low, 129) - zero_point - 0.5).reshape(-1, 1) / (multipliers * 2.0 ** (shift - 31)))
        exact = np.concatenate([around + k for k in range(-3, 4)]).clip(-bound, bound)
        others = rng.integers(-bound, bound + 1, (2000, channels))
        accumulators = np.concatenate([exact, others, np.zeros((1, channels))]).astype(np.int64)
        expected = (requantize(accumulators.astype(np.int32)).astype(np.int64) + zero_point).clip(low, 127)
        assert np.array_equal(codes_by_line(found, accumulators, zero_point).clip(low, 127), expected)
    assert tested >= 2, "most rules have lines"


def test_a_rule_without_a_line():
    by = constants(DoubleRounding(np.array([1 << 30, 0]), np.array([-3, -3])), 2, 1000, True)
    assert line(by, 0, 255, 1000) is None, "a multiplier of 0"
    by = constants(DoubleRounding(1 << 30, -3), 1, 1 << 28, True)
    assert line(by, 0, 255, 1 << 28) is None, "results pass 16 bits before they are clamped"
    by = constants(DoubleRounding(1 << 30, -25), 1, 1000, True)
    assert line(by, 0, 255, 1000) is None, "a shift further than 64 bits have room for"
    by = constants(DoubleRounding(1 << 30, 2), 1, 1000, True)
    assert line(by, 0, 255, 1000) is None, "a shift to the left"


@pytest.mark.skipif(usable()[0].name != "avx512", reason="lines are for AVX-512")
@pytest.mark.parametrize(("zero_point", "away"), [(-128, False), (5, True)])
def test_convolutions_follow_lines(zero_point, away):
    rng = np.random.default_rng(4)
    m = model(rng, "CONV_2D", [1, 6, 5, 20], [40, 1, 1, 20], [1, 6, 5, 40], CONV, zero_points=(3, zero_point), output_scale=0.1)
    inputs = random_inputs(m, rng)
    assert_fast(m, inputs)
    session, _ = run(m, inputs, Settings("reference", engine="fast"))
    plan, values = session.executor().allocated(), session.executor().values
    outputs = [call.kernel.output for one in lowered(plan, values) for call in one.calls]
    assert outputs == [LineCodes(away)] * 2

"""ADD, SUB and MUL of 16-bit codes as native code: the reference's integers on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels.fast.word_pairs import Scaling
from qcore.numerics.fixed_point import quantize_multiplier
from qcore.numerics.lookup_table import all_codes
from qcore.numerics.shifting import RightRounding
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast


def model(operator, shape1, shape2, scales, activation="NONE"):
    shape = list(np.broadcast_shapes(tuple(shape1), tuple(shape2)))
    tensors = [T("int16", s, float(scale), 0) for s, scale in zip((shape1, shape2, shape), scales, strict=True)]
    options = {"fused_activation_function": activation} | ({} if operator == "MUL" else {"pot_scale_int16": False})
    return one_operator(operator, tensors[:2], tensors[2:], options, version=2)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("shapes", [([3], [3]), ([2, 3, 200], [2, 3, 200]), ([5, 70], [70]), ([4, 90], [4, 1])], ids=str)
def test_shapes(tier, operator, shapes, arithmetic):
    rng = np.random.default_rng(1)
    for scales in ((0.02, 0.03, 0.047), (0.0007, 0.0007, 0.0007)):
        m = model(operator, *shapes, scales)
        assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
def test_scales_and_extreme_codes(operator):
    """Ties, sums and products that are the greatest there are, outputs that saturate, and bounds of activations."""
    rng = np.random.default_rng(2)
    extreme = np.array([-32768, -32767, -16384, -1, 0, 1, 16384, 32767], np.int16)
    for case in range(30):
        scales = 2.0 ** rng.uniform(-8, -4, 3) if case % 3 else 2.0 ** rng.integers(-8, -4, 3)
        m = model(operator, [40, 300], [40, 300], scales, ["NONE", "RELU", "RELU6"][case % 5 % 3])
        inputs = random_inputs(m, rng)
        for x, codes in zip(inputs, np.meshgrid(extreme, extreme), strict=True):
            x[0, :64] = codes.reshape(-1)
        assert_fast(m, inputs)


def test_codes_are_rescaled_by_factors():
    rng = np.random.default_rng(3)
    for factor in [0.5, 0.25, 1 / 3, *rng.uniform(0.001, 0.5, 10)]:
        table = RightRounding(*quantize_multiplier(factor))(all_codes("int16") << 15)
        assert Scaling.of(table) is not None
    table[7] += 1
    assert Scaling.of(table) is None

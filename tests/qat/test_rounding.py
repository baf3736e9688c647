"""Packed int4 kernels round sums twice: whole accumulators, by exact numbers, and from where on they go up."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs keras")

import keras

from qcore.numerics import quantize_multiplier
from qcore.numerics.derivation import nearest
from qcore.qat import calibrate, export, quantize_model
from qcore.qat.rounding import Rounding
from qcore.quantizer.graph import params_of

ACCUMULATORS = np.arange(-1500, 1500)
CHANNELS = 5


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
def test_thresholds_are_those_of_two_roundings(arithmetic: str) -> None:
    """With k bits to the right n + 1 begins at n + 1/2 - 2**-(k + 1): below 0 too, but in the reference kernels, which mirror it."""
    keras.utils.set_random_seed(0)
    x = keras.Input((4, 4, 2))
    model = quantize_model(keras.Model(x, keras.layers.Conv2D(CHANNELS, 3)(x)), weight_bits=4)
    calibrate(model, [np.random.default_rng(0).normal(size=(50, 4, 4, 2)).astype(np.float32)])
    exported = export(model)
    rounding = Rounding(exported, arithmetic)
    convolution = next(operator for operator in exported.subgraphs[0].operators if operator.name == "CONV_2D")
    input, filter, output = (params_of(rounding.tensors[i]) for i in (*convolution.inputs[:2], convolution.outputs[0]))
    assert filter.dtype == "int4"
    step = input.scale.astype(np.float64) * filter.scale
    real = np.broadcast_to((ACCUMULATORS[:, np.newaxis, np.newaxis, np.newaxis] * step), (ACCUMULATORS.size, 2, 2, CHANNELS))
    codes = rounding.codes(convolution.outputs[0], real.astype(np.float32))[:, 0, 0] - output.single()[1]
    moved = 0
    for channel, (multiplier, shift) in enumerate(zip(*quantize_multiplier(step / np.float64(output.scale)), strict=True)):
        assert shift < 0
        early = Fraction(1, 2 << -int(shift))
        for accumulator, code in zip(ACCUMULATORS.tolist(), codes[:, channel].tolist(), strict=True):
            exact = Fraction(accumulator * int(multiplier), 1 << (31 - int(shift)))
            if code + output.single()[1] in (-128, 127):
                continue
            mirrored = arithmetic == "reference" and exact < 0
            assert code == (-nearest(-exact + early, "up") if mirrored else nearest(exact + early, "up"))
            moved += code != nearest(exact, "away from zero")
    assert moved > ACCUMULATORS.size * CHANNELS / 200

"""CONV_3D and CONV_3D_TRANSPOSE against TensorFlow Lite's reference kernels: random shapes, strides, dilations, padding and activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator, random_inputs


@pytest.mark.parametrize("seed", range(20))
def test_random_convolutions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places, taps, strides, dilations = (tuple(int(n) for n in rng.integers(1, most, 3)) for most in (7, 4, 4, 3))
    extents = [(k - 1) * d + 1 for k, d in zip(taps, dilations, strict=True)]
    padding = "VALID" if all(e <= n for e, n in zip(extents, places, strict=True)) and seed % 2 else "SAME"
    channels, outputs = (int(n) for n in rng.integers(1, 4, 2))
    options: dict[str, Any] = {"padding": padding, "fused_activation_function": str(rng.choice(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]))}
    for letter, stride, dilation in zip("dhw", strides, dilations, strict=True):
        options |= {f"stride_{letter}": stride, f"dilation_{letter}_factor": dilation}
    x, bias = T("float32", (2, *places, channels)), T("float32", (outputs,), value=rng.normal(size=outputs))
    y = T("float32", (1,) * 5)
    w = T("float32", (*taps, channels, outputs), value=rng.normal(size=(*taps, channels, outputs)))
    inputs = [x, w, bias] if seed % 3 else [x, w]
    model = one_operator("CONV_3D", inputs, [y], options)
    assert_same(model, random_inputs(model, rng))
    grown = [(n - 1) * s + (e if padding == "VALID" else 1) for n, s, e in zip(places, strides, extents, strict=True)]
    shape = T("int32", (5,), value=[2, *grown, outputs])
    w = T("float32", (*taps, outputs, channels), value=rng.normal(size=(*taps, outputs, channels)))
    inputs = [shape, w, x, bias] if seed % 3 else [shape, w, x]
    model = one_operator("CONV_3D_TRANSPOSE", inputs, [y], options)
    assert_same(model, random_inputs(model, rng))

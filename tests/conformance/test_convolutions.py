"""CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV against TensorFlow Lite's reference kernels, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.model import Model
from tests.conformance.harness import T, assert_same, one_operator, random_inputs

FILTERS = {
    "float32": ("float32", "float32"),
    "int8": ("int8", "int8"),
    "int8 by int4": ("int8", "int4"),
    "uint8": ("uint8", "uint8"),
    "int16": ("int16", "int8"),
    "int16 with int32 bias": ("int16", "int8"),
    "dynamic range": ("float32", "int8"),
    "dynamic range by int4": ("float32", "int4"),
}
"""Types of input and filter, by kind."""

KINDS = {
    "CONV_2D": tuple(FILTERS),
    "DEPTHWISE_CONV_2D": ("float32", "int8", "int8 by int4", "uint8", "int16", "dynamic range"),
    "TRANSPOSE_CONV": ("float32", "int8", "uint8", "int16", "int16 with int32 bias", "dynamic range"),
}
CASES = [(operator, kind) for operator, kinds in KINDS.items() for kind in kinds]


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def random_codes(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights: all codes, but -128 of int8, which the x86 dynamic-range kernels multiply by a negative code wrongly."""
    low, high = {"int8": (-127, 127), "int4": (-8, 7), "uint8": (0, 255)}[dtype]
    return pick(rng, rng.integers(low, high + 1, shape), rng.choice([low, high], shape))


def zero_point(rng: np.random.Generator, dtype: str) -> int:
    return int(pick(rng, *{"int8": (-128, 127, 5), "uint8": (0, 255, 120)}.get(dtype, (0,))))


def random_geometry(rng: np.random.Generator, operator: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, int], dict[str, Any]]:
    """Shapes of input and filter, height and width of a transposed output, and options."""
    batch, height, width, kh, kw, sh, sw = (int(n) for n in rng.integers((1, 1, 1, 1, 1, 1, 1), (4, 9, 9, 5, 5, 4, 4)))
    padding = pick(rng, "SAME", "VALID")
    options: dict[str, Any] = {"padding": padding, "stride_h": sh, "stride_w": sw}
    options["fused_activation_function"] = pick(rng, "NONE", "RELU", "RELU_N1_TO_1", "RELU6")
    channels, outputs, groups = (int(n) for n in rng.integers((1, 1, 1), (6, 4, 4)))
    if operator == "TRANSPOSE_CONV":
        extra = int(rng.integers(sh)), int(rng.integers(sw))
        sizes = [
            n * s - e if padding == "SAME" else (n - 1) * s + k + e
            for n, s, k, e in zip((height, width), (sh, sw), (kh, kw), extra, strict=True)
        ]
        return (batch, height, width, channels), (outputs, kh, kw, channels), (sizes[0], sizes[1]), options
    dh, dw = (int(n) for n in pick(rng, (1, 1), rng.integers(1, 4, 2)))
    options |= {"dilation_h_factor": dh, "dilation_w_factor": dw}
    if padding == "VALID":
        height, width = height + (kh - 1) * dh, width + (kw - 1) * dw
    if operator == "DEPTHWISE_CONV_2D":
        return (batch, height, width, channels), (1, kh, kw, channels * outputs), (0, 0), options | {"depth_multiplier": outputs}
    return (batch, height, width, channels * groups), (outputs * groups, kh, kw, channels), (0, 0), options


def random_layer(rng: np.random.Generator, operator: str, kind: str) -> Model:
    """A model of one operator; constant filter or not, bias or not where TensorFlow Lite lets it out."""
    input_type, filter_type = FILTERS[kind]
    x_shape, w_shape, size, options = random_geometry(rng, operator)
    axis = 3 if operator == "DEPTHWISE_CONV_2D" else 0
    channels, real = w_shape[axis], input_type == "float32"
    per_channel = filter_type in ("int8", "int4") and bool(rng.integers(2))
    if real and filter_type != "float32" and (operator == "DEPTHWISE_CONV_2D" or x_shape[3] != w_shape[3]):
        per_channel = True  # one scale there reads past the end of the scales, or is refused
    scale = np.float32(10 ** rng.uniform(-3, -1, channels if per_channel else 1))
    spread = float(scale.mean()) * np.prod(w_shape) ** 0.5 * {"int16": 15000.0}.get(input_type, 70.0)
    constant = filter_type == "int4" or bool(rng.integers(4))
    value = rng.uniform(-1, 1, w_shape) if filter_type == "float32" else random_codes(rng, filter_type, w_shape)
    filter = T(
        filter_type,
        w_shape,
        None if filter_type == "float32" else scale,
        zero_point(rng, "uint8") if filter_type == "uint8" else 0,
        axis,
        value if constant else None,
    )
    bias = T("float32", (channels,), value=rng.uniform(-1, 1, channels))
    if not real:
        bias_type = "int64" if kind == "int16" else "int32"
        limit = pick(rng, 1000, 100_000, 2**31 - 1)
        bias = T(bias_type, (channels,), np.float32(0.02) * scale[0], value=rng.integers(-limit, limit, channels))
        if input_type == "int16" and operator != "DEPTHWISE_CONV_2D":
            options["quantized_bias_type"] = bias_type
    x = T(input_type, x_shape, None if real else 0.02, zero_point(rng, input_type))
    y = T(input_type, (1, 1, 1, channels), None if real else spread * 10 ** rng.uniform(-3, 1), zero_point(rng, input_type))
    inputs: list[T | None] = [x, filter]
    if operator == "TRANSPOSE_CONV":
        y.shape = (x_shape[0], *size, channels)
        inputs = [T("int32", (4,), value=y.shape), filter, x]
    if operator == "CONV_2D" or rng.integers(4):
        inputs.append(bias)
    return one_operator(operator, inputs, [y], options)


@pytest.mark.parametrize(("operator", "kind"), CASES)
@pytest.mark.parametrize("seed", range(8))
def test_random_layers(operator: str, kind: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *operator.encode(), *kind.encode()])
    model = random_layer(rng, operator, kind)
    # sums in another order may differ by more than 1e-6 of a clamped output; transposed dynamic range adds real values one by one there
    assert_same(model, random_inputs(model, rng), atol=1e-5 if FILTERS[kind][0] == "float32" else 1e-6)


@pytest.mark.parametrize("shift", range(18, 31, 3))
def test_factors_that_shift_left_wrap_in_32_bits(shift: int) -> None:
    x, w, bias = T("int8", (1, 1, 9, 1), 1), T("int8", (1, 1, 1, 1), 2.0**shift, value=[77]), T("int32", (1,), value=[5])
    model = one_operator("CONV_2D", [x, w, bias], [T("int8", (1, 1, 9, 1), 1)], {"padding": "SAME", "stride_h": 1, "stride_w": 1})
    assert_same(model, random_inputs(model, np.random.default_rng(shift)))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_ties_are_rounded_twice(dtype: str) -> None:
    """Halves and quarters of small sums; first up, then away from zero."""
    x, y = T(dtype, (1, 1, 41, 1), 0.25), T(dtype, (1, 1, 41, 1), 1)
    w, options = T("int8", (1, 1, 1, 1), 1, value=[1]), {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    if dtype == "int16":
        options["quantized_bias_type"] = "int32"
    model = one_operator("CONV_2D", [x, w, T("int32", (1,), 0.25, value=[0])], [y], options)
    assert_same(model, [np.arange(-20, 21, dtype=dtype).reshape(x.shape)])


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_an_int16_filter_is_read_as_its_leading_bytes(operator: str) -> None:
    x, w = T("int16", (1, 4, 4, 2), 1), T("int16", (2, 2, 2, 2) if operator == "CONV_2D" else (1, 2, 2, 2), 1)
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "depth_multiplier": 1}
    if operator == "CONV_2D":
        del options["depth_multiplier"]
    model = one_operator(operator, [x, w, T("int64", (2,), value=[1, 2])], [T("int16", (1, 4, 4, 2), 300)], options)
    assert_same(model, random_inputs(model, np.random.default_rng(0)))

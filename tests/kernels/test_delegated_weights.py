"""Which filters and biases XNNPACK takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qcore.kernels.delegated_weights import float32_factor, takes_blocks, takes_weights
from qcore.kernels.opdef import Arithmetic, Blocks, Node, Operand
from qcore.model import Quantization


def quantization(scale: Any, zero_point: int = 0, axis: int = 0) -> Quantization:
    scales = np.atleast_1d(np.array(scale, np.float32))
    return Quantization(scales, np.full(scales.shape, zero_point, np.int64), axis)


def operand(dtype: str, shape: tuple[int, ...], scale: Any = None, zero_point: int = 0, axis: int = 0, constant: bool = False) -> Operand:
    q = None if scale is None else quantization(scale, zero_point, axis)
    return Operand(dtype, dtype, shape, q, np.zeros(shape) if constant else None)


INPUT, OUTPUT = operand("int8", (1, 4), 0.5, 3), operand("int8", (1, 2), 0.25, -3)
FILTER, BIAS = operand("int8", (2, 4), 0.5, constant=True), operand("int32", (2,), 0.25, constant=True)
CHANNELS, CHANNEL_BIAS = operand("int8", (2, 4), [0.5, 1], constant=True), operand("int32", (2,), [0.25, 0.5], constant=True)
REAL, REAL_BIAS = operand("float32", (1, 4)), operand("float32", (2,), constant=True)


def takes(input: Operand, filter: Operand, bias: Operand | None, activation: str = "NONE", arithmetic: Arithmetic = "xnnpack") -> bool:
    output = replace(OUTPUT, dtype=input.dtype, quantization=None if input.dtype == "float32" else OUTPUT.quantization)
    node = Node("X", "X", (input, filter, bias), (output,), {"fused_activation_function": activation}, arithmetic=arithmetic)
    return takes_weights(node, input, filter, bias, 0)


@pytest.mark.parametrize(
    ("input", "filter", "bias"),
    [
        (INPUT, FILTER, BIAS),
        (INPUT, FILTER, None),
        (INPUT, CHANNELS, CHANNEL_BIAS),
        (INPUT, replace(FILTER, quantization=quantization(0.5, axis=1)), BIAS),
        (INPUT, FILTER, replace(BIAS, shape=(1, 2))),
        (REAL, FILTER, REAL_BIAS),
        (REAL, CHANNELS, None),
        (REAL, replace(CHANNELS, dtype="int4"), REAL_BIAS),
        (INPUT, replace(CHANNELS, dtype="int2"), CHANNEL_BIAS),
        (replace(INPUT, dtype="uint8"), replace(FILTER, dtype="uint8", quantization=quantization(0.5, 100)), BIAS),
    ],
)
def test_taken(input: Operand, filter: Operand, bias: Operand | None) -> None:
    assert takes(input, filter, bias)
    assert takes(input, filter, bias, "RELU6")
    assert not takes(input, filter, bias, "TANH")
    assert not takes(input, filter, bias, arithmetic="builtin")


@pytest.mark.parametrize(
    ("input", "filter", "bias"),
    [
        (INPUT, replace(FILTER, constant=None), BIAS),
        (INPUT, replace(FILTER, computed=True), BIAS),
        (INPUT, replace(FILTER, quantization=quantization(0)), BIAS),
        (INPUT, replace(FILTER, quantization=quantization(1e-40)), BIAS),
        (INPUT, replace(FILTER, quantization=None), BIAS),
        (INPUT, replace(CHANNELS, quantization=quantization([0.5, 0])), CHANNEL_BIAS),
        (INPUT, replace(CHANNELS, quantization=quantization([0.5, 1], zero_point=1)), CHANNEL_BIAS),
        (INPUT, replace(CHANNELS, quantization=quantization([0.5, 1], axis=1)), CHANNEL_BIAS),
        (INPUT, replace(FILTER, dtype="int4"), BIAS),
        (INPUT, replace(CHANNELS, dtype="int4", shape=(2, 3)), CHANNEL_BIAS),
        (INPUT, replace(CHANNELS, dtype="int2", shape=(2, 2)), CHANNEL_BIAS),
        (INPUT, FILTER, CHANNEL_BIAS),
        (INPUT, CHANNELS, BIAS),
        (INPUT, FILTER, replace(BIAS, constant=None)),
        (INPUT, FILTER, replace(BIAS, quantization=None)),
        (INPUT, replace(FILTER, shape=(2, 1, 1, 4)), replace(BIAS, shape=(1, 2))),
        (REAL, FILTER, replace(REAL_BIAS, constant=None)),
        (REAL, replace(FILTER, dtype="uint8"), REAL_BIAS),
        (replace(INPUT, dtype="uint8"), replace(FILTER, dtype="uint8", quantization=quantization(0.5, 100, axis=1)), BIAS),
        (replace(INPUT, dtype="int16"), FILTER, BIAS),
    ],
)
def test_left_to_the_builtin_kernels(input: Operand, filter: Operand, bias: Operand | None) -> None:
    assert not takes(input, filter, bias)


@pytest.mark.parametrize(("size", "expected"), [(32, True), (64, True), (16, False), (48, False)])
def test_blocks_are_whole_vectors(size: int, expected: bool) -> None:
    filter = operand("int4", (2, 192), constant=True)
    node = Node("X", "X", (REAL, filter), (REAL,), {"fused_activation_function": "NONE"}, arithmetic="xnnpack")
    assert takes_blocks(node, REAL, filter, None, Blocks(np.ones((2, 192 // size), np.float16), None, size)) is expected


def test_the_factor_is_rounded_after_each_operation() -> None:
    scale = 1 + 2**-12
    filter = replace(FILTER, quantization=quantization(scale))
    factor = float32_factor(
        replace(INPUT, quantization=quantization(scale)), filter, replace(OUTPUT, quantization=quantization(2 + 2**-10))
    )
    assert factor.dtype == np.float32
    assert factor.tolist() == [0.5]

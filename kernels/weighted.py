"""What convolutions share beyond their shapes: types, scales, and the way from an accumulator to the output.

A quantized accumulator is in units of ``input_scale * filter_scale``; with one factor for the tensor, or one for each channel::

    output = clamp(requantize(accumulator, input_scale * filter_scale / output_scale) + output_zero_point)

These are equations (21) and (22) of docs/quantization.md; int64 accumulators are requantized by (18), int32 ones by (15). The builtin
kernels round theirs by (16); or, where they are loops of vector instructions, by (16) in whole vectors of 8 channels and by (15) in the
channels left over: each family says which. What XNNPACK takes it requantizes by (19), and clamps to bounds of its own.

Source (TensorFlow Lite 2.21): tflite/kernels/kernel_util.cc#PopulateConvolutionQuantizationParams,
#GetQuantizedConvolutionMultipler, kernels/internal/common.cc#MultiplyByQuantizedMultiplier, kernels/cpu_backend_gemm.h#Gemm,
kernels/internal/optimized/optimized_ops.h#Quantize.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import (
    float32_activation_range,
    float_activation_range,
    parameters,
    quantized_activation_range,
    require_same_type,
)
from qcore.kernels.delegated_weights import float32_factor
from qcore.kernels.opdef import Array, Node, Operand, Shape
from qcore.numerics.fixed_point import DoubleRounding, Float32Rounding, HalfUpRounding, ReducedMultiplier, quantize_multiplier
from qcore.numerics.vector_loop import VectorLoop

Integers = NDArray[np.int32] | NDArray[np.int64]

Requantization = Callable[[Any], NDArray[np.int32]]
"""From accumulators, int32 | int64[..., channels], to output steps."""

Rounding = Callable[[NDArray[np.int32], NDArray[np.int32]], Requantization]
"""A requantization by multipliers and shifts, int32[1 or channels]."""

BIAS_TYPES = MappingProxyType({"float32": ("float32",), "int8": ("int32",), "uint8": ("int32",), "int16": ("int32", "int64")})
"""Types of the bias, by type of the input."""

BIAS_SCALE_TOLERANCE = 0.02
"""How far, in output steps per unit of bias, a uint8 operator's bias scale may lie from input_scale * filter_scale."""


@dataclass(frozen=True)
class RealOutput:
    """The last steps of a float32 output: bias and bounds of the fused activation."""

    activation_min: np.float32
    activation_max: np.float32

    def __call__(self, total: NDArray[np.floating[Any]], bias: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """float32 | float64[..., channels] plus the bias, clamped, as float32; the sums are worked on in place."""
        if bias is not None:
            total += bias.reshape(-1)
        if self.activation_min > -np.inf or self.activation_max < np.inf:
            np.clip(total, self.activation_min, self.activation_max, out=total)
        return total.astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False)
class QuantizedOutput:
    """The last steps of a quantized output.

    accumulator: the type that sums wrap to, int32 or int64.
    requantize: from the accumulator's units to output steps.
    """

    accumulator: np.dtype[Any]
    requantize: Requantization
    zero_point: int
    activation_min: int
    activation_max: int
    dtype: np.dtype[Any]

    def __call__(self, sums: Integers, bias: Integers | None) -> Array:
        """From sums of products, int32 | int64[..., channels], and int32 | int64[channels] to the output's integers."""
        if bias is not None:
            sums = sums + bias.reshape(-1).astype(self.accumulator)
        quantized = self.requantize(sums.astype(self.accumulator, copy=False))
        quantized += self.zero_point
        return np.clip(quantized, self.activation_min, self.activation_max, out=quantized).astype(self.dtype)


def require_types(node: Node, filters: Mapping[str, tuple[str, ...]], input: Operand, filter: Operand, bias: Operand | None) -> None:
    """Refuse types of filter, bias or output that do not go with the input's; filters: by type of the input."""
    require_same_type(node, input, node.output)
    wanted = filters[input.dtype]
    node.require(filter.dtype in wanted, f"filter is {filter.dtype}, expected {' or '.join(wanted)} for {input.dtype} inputs")
    if bias is not None:
        wanted = BIAS_TYPES[input.dtype]
        node.require(bias.dtype in wanted, f"bias is {bias.dtype}, expected {' or '.join(wanted)} for {input.dtype} inputs")
        node.require(bias.quantization is None or not bias.quantization.zero_point.any(), "bias has a zero point other than 0")


def require_bias_size(node: Node, bias: Operand | None, channels: int) -> None:
    """Refuse a bias that has not one value for each output channel."""
    if bias is not None:
        node.require(math.prod(bias.shape) == channels, f"bias has shape {list(bias.shape)}, expected {channels} values")


def filter_scale(node: Node, filter: Operand, channels: int) -> NDArray[np.float32]:
    """float32[1 or channels]: the scale of the filter, or of each output channel of it."""
    scale = np.zeros(0, np.float32) if filter.quantization is None else filter.quantization.scale
    node.require(
        scale.size == 1 or (scale.size == channels > 0),
        f"filter '{filter.name}' ({filter.dtype}) has {filter.scales}, expected one, or one for each of {channels} output channels",
    )
    return scale


def codes(filter: Array, input: np.dtype[Any]) -> Array:
    """The filter's values as the kernels read them: uint8 with a uint8 input, else the leading bytes as int8, whatever their type.

    So TensorFlow Lite takes an int16 filter, which its converter makes of one that is computed at run time; and a uint8 one that
    meets floats, which holds int8 codes in files older than the type int8.
    """
    return filter if input == np.uint8 else filter.reshape(-1).view(np.int8)[: filter.size].reshape(filter.shape)


def empty_output(p: tuple[Shape, np.dtype[Any]], *inputs: Array | None) -> Array:
    """An output of that shape, which has no elements, and of that type."""
    return np.empty(*p)


def real_output(node: Node) -> RealOutput:
    """The last steps of a float32 output."""
    low, high = float_activation_range(node, node.options["fused_activation_function"])
    return RealOutput(np.float32(low), np.float32(high))


def quantized_output(
    node: Node, input: Operand, filter: Operand, bias: Operand | None, channels: int, *, builtin: Rounding, delegated: bool
) -> QuantizedOutput:
    """The last steps of a quantized output: here the requantization is chosen.

    builtin: how the builtin kernels requantize int32 accumulators.
    delegated: XNNPACK takes the operator.
    """
    output, activation = node.output, node.options["fused_activation_function"]
    node.require(output.scale > 0, f"output has scale {output.scale}, expected one above 0")
    multiplier, shift = quantize_multiplier(output_factor(node, input, filter, bias, channels))
    accumulator = accumulator_type(node, input, bias)
    low, high = quantized_activation_range(node, activation, output)
    requantize: Requantization
    if delegated:
        requantize = Float32Rounding(float32_factor(input, filter, output))
        low, high = float32_activation_range(node, activation, output)
    elif accumulator == np.int64:
        requantize = ReducedMultiplier(multiplier, shift)
    else:
        requantize = (DoubleRounding if node.arithmetic == "reference" else builtin)(multiplier, shift)
    return QuantizedOutput(accumulator, requantize, output.zero_point, low, high, output.storage)


def in_vectors(lanes: int) -> Callable[[NDArray[np.int32], NDArray[np.int32]], VectorLoop]:
    """The rounding of (16) in whole vectors along the last axis, of (15) in what is left over."""

    def rounding(multiplier: NDArray[np.int32], shift: NDArray[np.int32]) -> VectorLoop:
        left_over = slice(-(multiplier.size % lanes), None)
        return VectorLoop(lanes, HalfUpRounding(multiplier, shift), DoubleRounding(multiplier[left_over], shift[left_over]))

    return rounding


def output_factor(node: Node, input: Operand, filter: Operand, bias: Operand | None, channels: int) -> NDArray[np.float64]:
    """float64[1 or channels]: output steps per unit of the accumulator.

    The legacy uint8 operators have one scale for the filter.
    """
    scale = filter_scale(node, filter, channels)
    if input.dtype != "uint8":
        return np.asarray(np.float64(input.scale) * scale.astype(np.float64) / np.float64(node.output.scale))
    node.require(scale.size == 1, f"filter is uint8 with {scale.size} scales, expected one")
    return common_factor(node, input, scale, bias)


def common_factor(node: Node, input: Operand, filter_scale: NDArray[np.float32], bias: Operand | None) -> NDArray[np.float64]:
    """float64[1]: output steps per unit of the accumulator, the product of both scales taken in float32.

    Refuses a bias of another scale than this product.
    """
    with np.errstate(over="ignore"):
        product = np.float32(input.scale) * filter_scale
    if bias is not None:
        bias_scale, _ = parameters(bias)
        apart = abs(float(product[0]) - bias_scale) / node.output.scale
        node.require(apart <= BIAS_SCALE_TOLERANCE, f"bias has scale {bias_scale}, input times filter {product[0]}, expected the same")
    return np.asarray(product.astype(np.float64) / np.float64(node.output.scale))


def accumulator_type(node: Node, input: Operand, bias: Operand | None, unsaid: str = "int64") -> np.dtype[Any]:
    """What the model says of the bias of int16 inputs; int32 for others.

    unsaid: the type where it says nothing, and the bias is not int64.
    """
    if input.dtype != "int16":
        return np.dtype(np.int32)
    for operand in (input, node.output):
        node.require(operand.zero_point == 0, f"'{operand.name}' is int16 with zero point {operand.zero_point}, expected 0")
    declared = node.options.get("quantized_bias_type", "float32")
    if declared == "float32":  # the schema's default: not said
        return np.dtype(np.int64 if bias is not None and bias.dtype == "int64" else unsaid)
    node.require(declared in BIAS_TYPES["int16"], f"quantized_bias_type is {declared}, expected int32 or int64")
    node.require(bias is None or bias.dtype == declared, f"bias is {bias and bias.dtype}, quantized_bias_type is {declared}")
    return np.dtype(np.int32 if declared == "int32" else np.int64)

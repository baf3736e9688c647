"""AVERAGE_POOL_2D, MAX_POOL_2D, L2_POOL_2D: a value for each window of the input, channel by channel.

Input and output are NHWC. Padding is left out: it neither counts into an average nor competes for a maximum. Quantized averages are
of the integers themselves, rounded half away from zero (docs/quantization.md, average pooling), since input and output share scale
and zero point.

XNNPACK's maxima differ in the bounds of a fused activation alone, whose ties it rounds to even codes.

Source (TensorFlow Lite 2.21): tflite/kernels/pooling.cc, kernels/internal/reference/pooling.h,
kernels/internal/reference/integer_ops/pooling.h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import (
    Window,
    float32_activation_range,
    float_activation_range,
    quantized_activation_range,
    require_rank,
    require_same_type,
    window,
)
from qcore.kernels.delegate import delegated
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Operand, Shape, Step

QUANTIZED = ("int8", "uint8", "int16")

CodeBounds = Callable[[Node, str, Operand], tuple[int, int]]


@dataclass(frozen=True)
class Params:
    """Windows along both axes; bounds of the fused activation, integers for integer types."""

    height: Window
    width: Window
    activation_min: float
    activation_max: float


def windows(node: Node, input: Operand) -> tuple[Window, Window]:
    """The windows along height and width."""
    options = node.options
    require_rank(node, input, 4)
    return (
        window(node, "height", input.shape[1], options["filter_height"], options["stride_h"], options["padding"]),
        window(node, "width", input.shape[2], options["filter_width"], options["stride_w"], options["padding"]),
    )


def infer_shape(input: Shape, height: Window, width: Window) -> Shape:
    """NHWC: batch and channels stay."""
    return input[0], height.output, width.output, input[3]


def prepare_params(node: Node, bounds_in_codes: CodeBounds = quantized_activation_range) -> tuple[Params, Shape]:
    """What every pooling needs, and the output's shape."""
    input, output = node.input(0), node.output
    require_same_type(node, input, output)
    height, width = windows(node, input)
    activation = node.options["fused_activation_function"]
    if input.dtype in QUANTIZED:
        low, high = bounds_in_codes(node, activation, output)
        params = Params(height, width, low, high)
    else:
        params = Params(height, width, *float_activation_range(node, activation))
    return params, infer_shape(input.shape, height, width)


def prepare_average(node: Node) -> Step:
    """AVERAGE_POOL_2D."""
    params, shape = prepare_params(node)
    for axis, what in ((params.height, "height"), (params.width, "width")):
        node.require(axis.output == 0 or bool((axis.counts() > 0).all()), f"a window along {what} lies wholly in the padding")
    kernel = average_quantized if node.input(0).dtype in QUANTIZED else average_float
    return Step(kernel, params, (shape,))


def prepare_max(node: Node) -> Step:
    """MAX_POOL_2D."""
    params, shape = prepare_params(node, float32_activation_range if takes_maximum(node) else quantized_activation_range)
    return Step(maximum, params, (shape,))


def takes_maximum(node: Node) -> bool:
    """XNNPACK computes the maximum: windows leave no pixel out."""
    options = node.options
    return delegated(node, node.input(0), node.output) and all(
        options[stride] <= options[size] for stride, size in (("stride_h", "filter_height"), ("stride_w", "filter_width"))
    )


def prepare_l2(node: Node) -> Step:
    """L2_POOL_2D."""
    params, shape = prepare_params(node)
    return Step(l2_float, params, (shape,))


def reduce_windows(x: Array, axis: int, along: Window, reduce: np.ufunc, identity: float) -> Array:
    """Reduce each window along one axis, starting from the identity. A rectangle is reduced one axis after the other."""
    shape = x.shape[:axis] + (along.output,) + x.shape[axis + 1 :]
    out = np.full(shape, identity, x.dtype)
    before = (slice(None),) * axis
    for _, outputs, inputs in along.taps():
        reached = out[(*before, outputs)]
        reduce(reached, x[(*before, inputs)], out=reached)
    return out


def window_sums(x: Array, p: Params) -> Array:
    """Sum of each window, in the type of x."""
    return reduce_windows(reduce_windows(x, 2, p.width, np.add, 0), 1, p.height, np.add, 0)


def sums_in_turn(x: Array, p: Params) -> Array:
    """Sum of each window of floats, row by row and each row from left to right."""
    sums = np.zeros((len(x), p.height.output, p.width.output, x.shape[3]), x.dtype)
    for _, rows, input_rows in p.height.taps():
        for _, columns, input_columns in p.width.taps():
            sums[:, rows, columns] += x[:, input_rows, input_columns]
    return sums


def window_counts(p: Params) -> Array:
    """int32[height, width, 1]: how many inputs each window covers."""
    return np.multiply.outer(p.height.counts(), p.width.counts())[..., np.newaxis]


def dividends(x: Array, p: Params) -> Array:
    """Sum of each window of integers, and half its count away from zero, in the type of x: over the count, cut off, it is the average."""
    sums, half = window_sums(x, p), window_counts(p) // 2
    moved: Array = np.where(sums > 0, sums + half, sums - half)
    return moved


def average_quantized(p: Params, x: Array) -> Array:
    """Average of the integers, rounded half away from zero.

    Args:
        p: windows and activation bounds.
        x: int8 | uint8 | int16[batch, height, width, channels].

    The int32 dividend holds for windows of less than 2**16 elements; TensorFlow Lite sums in int32 too, so larger ones wrap alike.
    """
    average: Array = np.trunc(dividends(x.astype(np.int32), p) / window_counts(p))
    return average.clip(p.activation_min, p.activation_max).astype(x.dtype)


def average_float(p: Params, x: Array) -> Array:
    """Average of float32[batch, height, width, channels]."""
    average = sums_in_turn(x, p) / window_counts(p).astype(np.float32)
    return average.clip(np.float32(p.activation_min), np.float32(p.activation_max))


def maximum(p: Params, x: Array) -> Array:
    """Greatest value of each window; x: float32 | int8 | uint8 | int16[batch, height, width, channels]."""
    lowest = np.finfo(x.dtype).min if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    rows = reduce_windows(x, 2, p.width, np.maximum, lowest)
    greatest = reduce_windows(rows, 1, p.height, np.maximum, lowest)
    return greatest.clip(x.dtype.type(p.activation_min), x.dtype.type(p.activation_max))


def l2_float(p: Params, x: Array) -> Array:
    """Root of the mean square of float32[batch, height, width, channels]."""
    root: Array = np.sqrt(sums_in_turn(x * x, p) / window_counts(p).astype(np.float32))
    return root.clip(np.float32(p.activation_min), np.float32(p.activation_max))


AVERAGE_POOL_2D = OpDef("AVERAGE_POOL_2D", prepare_average, ("float32", *QUANTIZED), (1, 1), tolerances={"float32": FLOAT_ORDER})
MAX_POOL_2D = OpDef("MAX_POOL_2D", prepare_max, ("float32", *QUANTIZED), (1, 1))
L2_POOL_2D = OpDef("L2_POOL_2D", prepare_l2, ("float32",), (1, 1), tolerances={"float32": FLOAT_ORDER})

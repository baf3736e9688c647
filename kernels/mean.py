"""MEAN and SUM: the average or the sum of all values along some axes.

Sums of quantized values are int32 and wrap; sums for a mean of int32 are int64. A mean of integers that are not quantized is
truncated towards zero. Floats are added one after the other in the input's order, in float32.

A quantized mean folds its division into the requantization, so that one serves both: equation (25) of docs/quantization.md. Its two
roundings show: the mean of codes 0, 0, 0, 1 is 1, by way of 1/4 = 1/2 / 2.

The reference SUM of TensorFlow Lite 2.21 reads int8 and int16 tensors as uint8 and returns nonsense (reduce.cc#QuantizedMeanOrSum
asks for ``GetTensorData<uint8_t>`` whatever the type). For these two types qcore gives what TensorFlow Lite's other kernel gives, which
evaluates in float32.

Source (TensorFlow Lite 2.21): tflite/kernels/reduce.cc#EvalMean, #EvalSum, kernels/internal/reference/reduce.h#Mean,
#QuantizedMeanOrSum; SUM of int8 and int16: kernels/internal/optimized/reduce.h#QuantizedMeanOrSum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Step
from qcore.kernels.reduce import QUANTIZED, TYPES, Reduction, output_scale, prepare_fold, reduction, rows
from qcore.numerics.casting import float_to_int32
from qcore.numerics.fixed_point import DoubleRounding, quantize_multiplier
from qcore.numerics.rounding import round_half_away


@dataclass(frozen=True)
class QuantizedParams:
    """A sum or mean of quantized values.

    requantize: int32 sums of codes less zero_points, to output steps, int32.
    zero_points: what the input's zero points add up to in a sum; 0 where requantize accounts for them.
    """

    reduction: Reduction
    zero_points: int
    requantize: Callable[[Array], Array]
    output_zero_point: int
    quantized_min: int
    quantized_max: int


@dataclass(frozen=True)
class Float32Sum:
    """``round_half_away(sum * scale + bias)`` in float32, where the sum is of codes; what int32 cannot hold becomes -2**31.

    scale: ``input_scale / output_scale``.
    bias: the input's zero points in output steps, ``-zero_point * scale * count``.
    """

    scale: np.float32
    bias: np.float32

    def __call__(self, sums: Array) -> Array:
        """The sums in output steps."""
        return float_to_int32(round_half_away(sums.astype(np.float32) * self.scale + self.bias))


def prepare_mean(node: Node) -> Step:
    """MEAN."""
    input = node.input(0)
    what = reduction(node)
    if input.dtype not in QUANTIZED:
        return Step(mean_float if input.dtype == "float32" else mean_integer, what, (what.output,))
    multiplier, shift = quantize_multiplier(input.scale / output_scale(node))
    if what.count > 0:
        folded = min(what.count.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << folded) // what.count, shift - folded
    return prepare_quantized(node, what, DoubleRounding(multiplier, shift), what.count * input.zero_point)


def prepare_sum(node: Node) -> Step:
    """SUM."""
    input = node.input(0)
    if input.dtype not in (*QUANTIZED, "float32"):
        return prepare_fold(node, np.add, 0, compares=False)
    what = reduction(node)
    if input.dtype == "float32":
        return Step(sum_float, what, (what.output,))
    if input.dtype == "uint8":
        requantize = DoubleRounding(*quantize_multiplier(input.scale / output_scale(node)))
        return prepare_quantized(node, what, requantize, what.count * input.zero_point)
    scale = np.float32(input.scale) / np.float32(output_scale(node))
    return prepare_quantized(node, what, Float32Sum(scale, np.float32(-input.zero_point) * scale * np.float32(what.count)), 0)


def prepare_quantized(node: Node, what: Reduction, requantize: Callable[[Array], Array], zero_points: int) -> Step:
    """A sum or mean of quantized values."""
    output = node.output
    limits = output.type.quantized_min, output.type.quantized_max
    return Step(sum_quantized, QuantizedParams(what, zero_points, requantize, output.zero_point, *limits), (what.output,))


def sum_float(what: Reduction, x: Array, _axis: Array) -> Array:
    """Sum of float32[...], one value after the other.

    NumPy adds contiguous rows in turn, but a lone column by halves, which is more exact than what is wanted here.
    """
    columns = np.ascontiguousarray(rows(what, x))
    alone = columns.shape[1] == 1 and what.count > 0
    sums: Array = np.add.accumulate(columns, axis=0)[-1] if alone else np.add.reduce(columns, axis=0)
    return sums.reshape(what.output)


def mean_float(what: Reduction, x: Array, _axis: Array) -> Array:
    """Mean of float32[...]; NaN where there are no values."""
    return sum_float(what, x, _axis) / np.float32(what.count)


def mean_integer(what: Reduction, x: Array, _axis: Array) -> Array:
    """Mean of int32 | int64[...], truncated towards zero; 0 where there are no values. The int64 sum wraps."""
    if what.count == 0:
        return np.zeros(what.output, x.dtype)
    sums = np.asarray(np.add.reduce(x, axis=what.axes, dtype=np.int64))
    quotient, remainder = np.divmod(sums, what.count)
    truncated: Array = quotient + ((sums < 0) & (remainder != 0))
    return truncated.astype(x.dtype).reshape(what.output)


def sum_quantized(p: QuantizedParams, x: Array, _axis: Array) -> Array:
    """Sum or mean of quantized values, as requantize has it.

    Args:
        p: axes, zero points, factor and range.
        x: int8 | uint8 | int16[...].

    The int32 sum wraps, as does TensorFlow Lite's; it holds any 2**16 values. Without values the result is code 0, not real zero.
    """
    if p.reduction.count == 0:
        return np.zeros(p.reduction.output, x.dtype)
    sums = np.asarray(np.add.reduce(x, axis=p.reduction.axes, dtype=np.int64) - p.zero_points).astype(np.int32)
    quantized = p.requantize(sums).astype(np.int64) + p.output_zero_point
    return np.clip(quantized, p.quantized_min, p.quantized_max).astype(x.dtype).reshape(p.reduction.output)


MEAN = OpDef("MEAN", prepare_mean, ("float32", *QUANTIZED, "int32", "int64"), (2, 2), tolerances={"float32": FLOAT_ORDER})
SUM = OpDef(
    "SUM",
    prepare_sum,
    TYPES,
    (2, 2),
    tolerances={"float32": FLOAT_ORDER},
    notes="int8 and int16 as TensorFlow Lite's builtin kernel: its reference kernel misreads them",
)

"""MEAN and SUM: the average or the sum of all values along some axes.

Sums of quantized values are int32 and wrap; sums for a mean of int32 are int64. A mean of integers that are not quantized is
truncated towards zero. Floats are added one after the other in the input's order, in float32; those of a builtin MEAN over the last
axes in vectors.

A quantized mean folds its division into the requantization, so that one serves both: equation (25) of docs/quantization.md. Its two
roundings show: the mean of codes 0, 0, 0, 1 is 1, by way of 1/4 = 1/2 / 2.

The other arithmetics sum the codes themselves, and account for zero points afterwards (ibid., sum-of-codes):

* XNNPACK brings sums of 8-bit codes to the output in float32, both zero points included;
* the builtin SUM of codes does so too, but adds the output's zero point after rounding;
* the builtin MEAN of 8-bit images over height and width, named in just this way and kept as dimensions of 1, rounds what the zero
  point comes to apart from the sum. It is a vector loop over channels.

The reference SUM of TensorFlow Lite 2.21 reads int8 and int16 tensors as uint8 and returns nonsense (reduce.cc#QuantizedMeanOrSum
asks for ``GetTensorData<uint8_t>`` whatever the type). For these two types qcore gives what the builtin kernel gives.

Source (TensorFlow Lite 2.21): tflite/kernels/reduce.cc#EvalMean, #EvalSum, kernels/internal/reference/reduce.h#Mean,
#QuantizedMeanOrSum; kernels/internal/optimized/reduce.h#QuantizedMeanOrSum, #Mean, kernels/internal/optimized/integer_ops/mean.h;
XNNPACK src/operators/reduce-nd.c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import integers
from qcore.kernels.delegate import EIGHT_BITS, delegated, is_static, scale_ratio
from qcore.kernels.float_products import sums_along_memory
from qcore.kernels.opdef import FLOAT_ORDER, Array, Node, OpDef, Step
from qcore.kernels.reduce import QUANTIZED, TYPES, Reduction, output_scale, prepare_fold, reduction, rows
from qcore.numerics.casting import float_to_int32
from qcore.numerics.fixed_point import DoubleRounding, HalfUpRounding, quantize_multiplier
from qcore.numerics.rounding import round_half_away
from qcore.numerics.vector_loop import VectorLoop
from qcore.numerics.xnnpack import affine_codes

CHANNELS_VECTOR = 16
"""Channels that the builtin mean of images takes at a time."""


@dataclass(frozen=True)
class QuantizedParams:
    """A sum or mean of quantized values.

    subtracted: from each sum of codes, before it is requantized: what the input's zero points add up to, or 0.
    requantize: such differences, int32, to output steps.
    added: to these; the output's zero point where requantize does not account for it.
    """

    reduction: Reduction
    subtracted: int
    requantize: Callable[[Array], Array]
    added: int
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


@dataclass(frozen=True)
class Float32Codes:
    """Codes from sums of codes, all zero points in the offset; see ``affine_codes``."""

    factor: np.float32
    offset: np.float32
    dtype: str

    def __call__(self, sums: Array) -> Array:
        """The sums' codes."""
        return affine_codes(sums, self.factor, self.offset, self.dtype)


def prepare_mean(node: Node) -> Step:
    """MEAN."""
    input, output = node.input(0), node.output
    what = reduction(node)
    if input.dtype not in QUANTIZED:
        kernel = mean_integer if input.dtype != "float32" else mean_of_rows if takes_rows(node, what) else mean_float
        return Step(kernel, what, (what.output,))
    multiplier, shift = quantize_multiplier(input.scale / output_scale(node))
    if what.count == 0:
        return prepare_quantized(node, what, 0, DoubleRounding(multiplier, shift), output.zero_point)
    if delegated_reduction(node):
        return prepare_float32(node, what, scale_ratio(input, output) * (np.float32(1) / np.float32(what.count)))
    if node.arithmetic != "reference" and is_mean_of_images(node):
        return prepare_mean_of_images(node, what)
    folded = min(what.count.bit_length() - 1, 32, 31 + shift)
    requantize = DoubleRounding((multiplier << folded) // what.count, shift - folded)
    return prepare_quantized(node, what, what.count * input.zero_point, requantize, output.zero_point)


def prepare_sum(node: Node) -> Step:
    """SUM."""
    input, output = node.input(0), node.output
    if input.dtype not in (*QUANTIZED, "float32"):
        return prepare_fold(node, np.add, 0, compares=False)
    what = reduction(node)
    if input.dtype == "float32":
        return Step(sum_float, what, (what.output,))
    if node.arithmetic == "reference" and input.dtype == "uint8":
        requantize = DoubleRounding(*quantize_multiplier(input.scale / output_scale(node)))
        return prepare_quantized(node, what, what.count * input.zero_point, requantize, output.zero_point)
    factor = np.float32(input.scale) / np.float32(output_scale(node))
    if delegated_reduction(node):
        return prepare_float32(node, what, factor)
    bias = np.float32(-input.zero_point) * factor * np.float32(what.count)
    return prepare_quantized(node, what, 0, Float32Sum(factor, bias), output.zero_point)


def prepare_quantized(node: Node, what: Reduction, subtracted: int, requantize: Callable[[Array], Array], added: int) -> Step:
    """A sum or mean of quantized values."""
    type = node.output.type
    params = QuantizedParams(what, subtracted, requantize, added, type.quantized_min, type.quantized_max)
    return Step(sum_quantized, params, (what.output,))


def delegated_reduction(node: Node) -> bool:
    """XNNPACK computes it: the file names the axes, at least one."""
    axes = node.input(1)
    return delegated(node, node.input(0), node.output) and is_static(axes) and axes.size > 0


def prepare_float32(node: Node, what: Reduction, factor: np.float32) -> Step:
    """XNNPACK's sum or mean; factor: from a sum of codes to output steps."""
    input, output = node.input(0), node.output
    zero_points = np.float32(what.count) * np.float32(input.zero_point) * factor
    codes = Float32Codes(factor, np.float32(output.zero_point) - zero_points, output.dtype)
    return prepare_quantized(node, what, 0, codes, 0)


def is_mean_of_images(node: Node) -> bool:
    """A mean of 8-bit codes over axes 1 and 2 of four, which are kept; as the model has them, not counted from the end."""
    input = node.input(0)
    return (
        input.dtype in EIGHT_BITS
        and input.rank == 4
        and node.options["keep_dims"]
        and integers(node, node.input(1), ("int32",)) in ([1, 2], [2, 1])
    )


def prepare_mean_of_images(node: Node, what: Reduction) -> Step:
    """The builtin kernel's mean over height and width, everything in float32 up to the multiplier."""
    input, output = node.input(0), node.output
    zero_point = np.float32(input.zero_point) * np.float32(input.scale) / np.float32(output.scale)
    moved = int(float_to_int32(zero_point + np.copysign(np.float32(0.5), zero_point)))
    factor = np.float32(input.scale) / (np.float32(what.count) * np.float32(output.scale))
    multiplier = quantize_multiplier(float(factor))
    channels = VectorLoop(CHANNELS_VECTOR, HalfUpRounding(*multiplier), DoubleRounding(*multiplier))
    return prepare_quantized(node, what, 0, channels, output.zero_point - moved)


def takes_rows(node: Node, what: Reduction) -> bool:
    """The builtin kernel takes floats as a matrix: what is reduced follows in memory on what is kept; axes of size 1 do not matter."""
    reduced = [axis in what.axes for axis, size in enumerate(node.input(0).shape) if size != 1]
    return node.arithmetic == "builtin" and what.count > 0 and not all(reduced) and any(reduced) and reduced == sorted(reduced)


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


def mean_of_rows(what: Reduction, x: Array, _axis: Array) -> Array:
    """The same of values that follow one another in memory, added up in vectors (see ``float_products``)."""
    return (sums_along_memory(x.reshape(-1, what.count)) / np.float32(what.count)).reshape(what.output)


def mean_integer(what: Reduction, x: Array, _axis: Array) -> Array:
    """Mean of int32 | int64[...], truncated towards zero; 0 where there are no values. The int64 sum wraps."""
    if what.count == 0:
        return np.zeros(what.output, x.dtype)
    sums = np.asarray(np.add.reduce(x, axis=what.axes, dtype=np.int64))
    quotient, remainder = np.divmod(sums, what.count)
    truncated: Array = quotient + ((sums < 0) & (remainder != 0))
    return truncated.astype(x.dtype).reshape(what.output)


def sums_of_codes(p: QuantizedParams, x: Array) -> NDArray[np.int64]:
    """Sums along the axes, less what zero points take off: what the int32 accumulators would be that wrap."""
    return np.asarray(np.add.reduce(x, axis=p.reduction.axes, dtype=np.int64) - p.subtracted)


def sum_quantized(p: QuantizedParams, x: Array, _axis: Array) -> Array:
    """Sum or mean of quantized values, as requantize has it.

    Args:
        p: axes, zero points, factor and range.
        x: int8 | uint8 | int16[...].

    The int32 sum wraps, as does TensorFlow Lite's; it holds any 2**16 values. Without values the result is code 0, not real zero.
    """
    if p.reduction.count == 0:
        return np.zeros(p.reduction.output, x.dtype)
    quantized = p.requantize(sums_of_codes(p, x).astype(np.int32)).astype(np.int64) + p.added
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

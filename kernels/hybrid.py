"""Dynamic range: float32 inputs meet integer weights, shared by every weighted operator that does it.

The inputs are quantized to int8 as they come, row by row, with a scale (and, asymmetric, a zero point) taken from each row's own
range; the products are summed as integers and brought back to float32: equation (35) of docs/quantization.md. A row is whatever shares
a scale: one batch entry of a dense layer, one image of a convolution.

    codes = round_half_away(x / scale) + zero_point
    real  = (sum(codes * filter) - zero_point * sum(filter)) * (scale * filter_scale) + bias

XNNPACK always quantizes asymmetrically, with float32 throughout and ties to even. Kernels differ in the order of the two products, too:
what is a last bit in one layer's output may be another code in the next, so each ``DynamicRange`` has its own.

Weights are symmetric: they have no zero point. Blockwise weights (39) have a scale for each run of elements along their last axis; they
are brought back to float32 before they are multiplied, which is exact for int4 and int8 codes with float16 scales. XNNPACK cuts these
scales to bfloat16.

Source (TensorFlow Lite 2.21): tflite/kernels/internal/portable_tensor_utils.h#BatchQuantizeFloats,
internal/reference/portable_tensor_utils.cc#PortableSymmetricQuantizeFloats, #PortableAsymmetricQuantizeFloats,
#PortableMatrixBatchVectorMultiplyAccumulate; XNNPACK src/xnnpack/quantization.h#xnn_f32_qd8_asymmetric_quantization_params,
src/xnnpack/math.h#math_cvt_bf16_fp32, src/f32-qs8-vcvt/avx512skx.c.in, src/qd8-f32-qc8w-igemm/gen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import require_rank
from qcore.kernels.opdef import Blocks, Node, Operand
from qcore.numerics.rounding import round_half_away, round_half_even

LEAST_CODE, GREATEST_CODE = -128, 127


class QuantizedRows(NamedTuple):
    """Rows quantized each by its own range: ``real = scale * (codes - zero_point)``.

    codes: int8[..., depth]; in [-127, 127] where symmetric.
    scale: float32[...], real units per step; 1 for a row of zeros.
    zero_point: int32[...], in [-128, 127]; 0 where symmetric.
    """

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32]


Scaling = Callable[[NDArray[np.integer[Any]], NDArray[np.float32], NDArray[np.float32]], NDArray[np.floating[Any]]]
"""The real values of accumulators, int32 | int64[rows, ..., channels], of float32[rows] and float32[1 or channels] scales."""


@dataclass(frozen=True)
class DynamicRange:
    """How a kernel does it.

    quantize: from float32[..., depth].
    real_values: what the bias is added to; float64 where that is the first rounding after a product.
    asymmetric: rows have zero points.
    """

    quantize: Callable[[NDArray[np.float32]], QuantizedRows]
    real_values: Scaling
    asymmetric: bool


def dynamic_range(asymmetric: bool, delegated: bool, builtin: Scaling | None = None) -> DynamicRange:
    """How a kernel does it: TensorFlow Lite's, or XNNPACK where it takes the operator; builtin: the former's, if not ``real_values``."""
    if delegated:
        return DynamicRange(quantize_rows_to_even, unrounded_values, True)
    return DynamicRange(partial(quantize_rows, asymmetric=asymmetric), builtin or real_values, asymmetric)


def quantize_rows(x: NDArray[np.float32], asymmetric: bool) -> QuantizedRows:
    """Quantize float32[..., depth] to int8, each row by its own range.

    Values are multiplied by the scale's float32 reciprocal, not divided, and rounded half away from zero in float32. NaN counts
    for no range and becomes the least code. A range below 1e-36 has no finite reciprocal: its codes lie at either end.
    """
    with np.errstate(all="ignore"):  # infinite and vanishing ranges give infinite and zero scales, which is their meaning
        return _asymmetric(x) if asymmetric else _symmetric(x)


def quantize_rows_to_even(x: NDArray[np.float32]) -> QuantizedRows:
    """Quantize float32[..., depth] to int8, each row's range, widened to hold 0, spread over all codes: XNNPACK's way.

    The zero point comes from the end of the range whose terms are smaller. All is float32, and rounded half to even; steps are
    rounded before the zero point is added. NaN counts for no range and becomes the greatest code.
    """
    with np.errstate(all="ignore"):
        low, high = (reduce(x, axis=-1, initial=np.float32(0)) for reduce in (np.fmin.reduce, np.fmax.reduce))
        least, greatest = np.float32(LEAST_CODE), np.float32(GREATEST_CODE)
        inverse = np.where(low == high, np.float32(1), (greatest - least) / (high - low)).astype(np.float32)
        below, above = low * inverse, high * inverse
        nudged = np.where((least + below) + (greatest + above) > 0, least - below, greatest - above)
        zero_point = round_half_even(np.fmin(np.fmax(nudged, least), greatest)).astype(np.int32)
        steps = round_half_even(np.fmin(x * inverse[..., np.newaxis], np.float32(np.iinfo(np.int16).max)))
        codes = np.clip(steps + zero_point[..., np.newaxis].astype(np.float32), least, greatest).astype(np.int8)
        return QuantizedRows(codes, np.float32(1) / inverse, zero_point)


def real_values(
    accumulator: NDArray[np.integer[Any]],
    scale: NDArray[np.float32],
    filter_scale: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The accumulators' real values, ``float32(accumulator) * float32(scale * filter_scale)``.

    Args:
        accumulator: int32 or int64[rows, ..., channels], the zero point's share already taken off.
        scale: float32[rows], of the quantized rows.
        filter_scale: float32[1 or channels].
    """
    return accumulator.astype(np.float32) * (_by_row(scale, accumulator) * filter_scale)


def channels_first(
    accumulator: NDArray[np.integer[Any]], scale: NDArray[np.float32], filter_scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """As ``real_values``, but ``float32(float32(accumulator) * filter_scale) * scale``."""
    return accumulator.astype(np.float32) * filter_scale * _by_row(scale, accumulator)


def rows_first(accumulator: NDArray[np.integer[Any]], scale: NDArray[np.float32], filter_scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """As ``real_values``, but ``float32(float32(accumulator) * scale) * filter_scale``."""
    return accumulator.astype(np.float32) * _by_row(scale, accumulator) * filter_scale


def unrounded_values(
    accumulator: NDArray[np.integer[Any]], scale: NDArray[np.float32], filter_scale: NDArray[np.float32]
) -> NDArray[np.float64]:
    """As ``rows_first``, but the second product is exact, in float64: XNNPACK adds the bias in a fused multiply-add."""
    return (accumulator.astype(np.float32) * _by_row(scale, accumulator)).astype(np.float64) * filter_scale


def _by_row(scale: NDArray[np.float32], accumulator: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """float32[rows] ready to broadcast with [rows, ..., channels]."""
    return scale.reshape(-1, *(1,) * (accumulator.ndim - 1))


def block_scale(node: Node, weights: Operand, blocks: Blocks) -> NDArray[np.float32]:
    """float32[rows, blocks]: the scale of each block of weights [rows, depth].

    Raises:
        ModelError: blocks and weights do not fit together.
        UnsupportedError: the blocks have zero points.
    """
    require_rank(node, weights, 2)
    rows, depth = weights.shape
    node.require(
        0 < blocks.size <= depth and depth % blocks.size == 0, f"rows of {depth} weights do not divide into blocks of {blocks.size}"
    )
    count = depth // blocks.size
    node.require(blocks.scale.size == rows * count, f"{blocks.scale.size} blockwise scales, expected {rows} by {count}")
    if blocks.zero_point is not None:
        raise node.unsupported(f"'{weights.name}' has blockwise zero points, qcore has symmetric blocks")
    return blocks.scale.astype(np.float32).reshape(rows, count)


def cut_to_bfloat16(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """The upper half of each float32[...], towards zero, unlike equation (37)."""
    return (scale.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def dequantize_blocks(codes: NDArray[np.integer[Any]], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """``scale * codes`` of int8[rows, depth] with float32[1 or rows, blocks], the blocks of one length."""
    rows, depth = codes.shape
    count = scale.shape[1]
    real: NDArray[np.float32] = codes.reshape(rows, count, depth // count) * scale[..., np.newaxis]
    return real.reshape(rows, depth)


def _symmetric(x: NDArray[np.float32]) -> QuantizedRows:
    """Scale the row's greatest magnitude to 127."""
    greatest = np.fmax.reduce(np.abs(x), axis=-1, initial=np.float32(0))
    zeros = greatest == 0
    scale = np.where(zeros, np.float32(1), greatest / np.float32(127))
    inverse = np.where(zeros, np.float32(0), np.float32(127) / greatest)
    return QuantizedRows(_codes(x * inverse[..., np.newaxis], -GREATEST_CODE), scale, np.zeros(x.shape[:-1], np.int32))


def _asymmetric(x: NDArray[np.float32]) -> QuantizedRows:
    """Spread the row's range, widened to hold 0, over all codes.

    The range is taken in float32. The zero point comes, in float64, from the end of the range whose terms are smaller, and is rounded
    half away from zero; steps are rounded before it is added. (TensorFlow Lite's portable code takes the range in float64 and rounds
    afterwards, but its x86 builds run the code written for NEON.)
    """
    low = np.fmin.reduce(x, axis=-1, initial=np.float32(0))
    high = np.fmax.reduce(x, axis=-1, initial=np.float32(0))
    zeros = low == high
    scale = np.where(zeros, 1.0, (high - low).astype(np.float64) / (GREATEST_CODE - LEAST_CODE))
    from_low, from_high = LEAST_CODE - low / scale, GREATEST_CODE - high / scale
    low_is_closer = -LEAST_CODE + np.abs(low / scale) < GREATEST_CODE + np.abs(high / scale)
    nudged = round_half_away(np.where(low_is_closer, from_low, from_high))
    zero_point = np.where(zeros, 0, np.fmin(np.fmax(nudged, LEAST_CODE), GREATEST_CODE)).astype(np.int32)
    scale32 = scale.astype(np.float32)
    steps = round_half_away(x * (np.float32(1) / scale32)[..., np.newaxis])
    steps += zero_point.astype(np.float32)[..., np.newaxis]
    return QuantizedRows(_codes(steps, LEAST_CODE), scale32, zero_point)


def _codes(x: NDArray[np.float32], least: int) -> NDArray[np.int8]:
    """Round float32[...] half away from zero, in place, and saturate to [least, 127]; NaN becomes the least code."""
    round_half_away(x, out=x)
    np.fmax(x, np.float32(least), out=x)
    np.fmin(x, np.float32(GREATEST_CODE), out=x)
    return x.astype(np.int8)

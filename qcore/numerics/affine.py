"""Real numbers to codes and back; equations (1), (2), (7) and (8) of docs/quantization.md."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.errors import InputError
from qcore.numerics.dtypes import element_type
from qcore.numerics.params import QuantParams
from qcore.numerics.real import as_real
from qcore.numerics.rounding import round_half_away

BELOW_2_63 = 2**63 - 1024
"""The greatest int64 that is a float64."""


def quantize(x: ArrayLike, params: QuantParams) -> NDArray[Any]:
    """Codes of real numbers: ``clamp(round_half_away(x / scale) + zero_point)``; equation (2).

    The quotient is rounded to float32, then to an integer, ties away from zero. Values beyond the range, infinities included,
    saturate. NaN becomes the zero point, which is real 0.

    Args:
        x: any real type[...], real units; taken as float32.
        params: fitting x's shape.

    Returns:
        Codes[...] in the storage of params.dtype: int4 and int2 are int8 in memory, uint4 is uint8.

    Raises:
        InputError: x is not made of real numbers.
        QuantizationError: params are for another shape.

    Source: tflite/kernels/internal/reference/quantize.h#AffineQuantize and #PerChannelQuantize, but where those convert NaN, or
    what no int32 holds, to whatever the processor gives.
    """
    real = as_real(x, np.float32)
    scale, _ = params.broadcast(real.shape)
    with np.errstate(over="ignore"):
        return round_to_codes(np.divide(real, _divisor(scale)), params)


def quantize_by_reciprocal(x: ArrayLike, params: QuantParams) -> NDArray[Any]:
    """Codes as TensorFlow Lite's converter gives symmetric weights: ``round_half_away(x * reciprocal)``; equation (8).

    reciprocal is ``float32(1 / float64(scale))`` and the product is rounded to float32: a step apart from ``quantize`` in about one
    element of a million.

    Args:
        x: any real type[...], real units; taken as float32.
        params: fitting x's shape.

    Returns:
        Codes[...] in the storage of params.dtype.

    Raises:
        InputError: x is not made of real numbers.
        QuantizationError: params are for another shape.

    Source: tflite/tools/optimize/quantization_utils.cc#SymmetricPerChannelQuantizeValues, with the reciprocals of
    tflite/converter/quantization/common/quantization_lib/quantization_utils.cc#QuantizeLegacy.
    """
    real = as_real(x, np.float32)
    scale, _ = params.broadcast(real.shape)
    with np.errstate(over="ignore"):
        return round_to_codes(np.multiply(real, reciprocal(scale)), params)


def reciprocal(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """``float32(1 / float64(scale))``, and 0 for a scale of 0; equation (8).

    Args:
        scale: float32[...], not negative.

    Returns:
        float32[...], finite: of scales below 2**-128, the greatest float32.
    """
    return np.minimum(1.0 / _divisor(scale).astype(np.float64), np.finfo(np.float32).max).astype(np.float32)


def round_to_codes(steps: NDArray[Any], params: QuantParams) -> NDArray[Any]:
    """Codes of real numbers already divided by their scale: rounded half away, zero point added, clamped.

    For rules that divide in another way than ``quantize``: by a reciprocal, or in double.

    Args:
        steps: float32 or float64[...], real numbers in steps; NaN becomes the zero point.
        params: zero point, type and range, fitting the shape of steps. The scale is not used again.

    Returns:
        Codes[...] in the storage of params.dtype.

    Raises:
        QuantizationError: params are for another shape.
    """
    kind = element_type(params.dtype)
    _, zero_point = params.broadcast(steps.shape)
    wide = np.asarray(steps, np.float64 if kind.bits > 16 else steps.dtype)
    # The bounds are whole numbers, so clamping first gives the same codes, and then nothing can overflow.
    least = (params.quantized_min - zero_point).astype(wide.dtype)
    greatest = np.minimum(params.quantized_max - zero_point, BELOW_2_63).astype(wide.dtype)
    rounded = round_half_away(np.asarray(np.clip(wide, least, greatest)))
    rounded[np.isnan(rounded)] = 0
    codes: NDArray[Any] = rounded.astype(np.int64 if kind.bits > 16 else np.int32)
    codes += zero_point.astype(codes.dtype)
    return codes.astype(kind.storage)


def dequantize(codes: ArrayLike, params: QuantParams) -> NDArray[np.float32]:
    """Real numbers of codes: ``scale * (code - zero_point)``, rounded to float32; equation (1).

    Args:
        codes: integers[...], codes of params.dtype.
        params: fitting the shape of codes.

    Returns:
        float32[...], real units.

    Raises:
        InputError: codes are not integers.
        QuantizationError: params are for another shape.

    Source: tflite/kernels/internal/reference/dequantize.h#Dequantize and #PerChannelDequantize.
    """
    quantized = np.asarray(codes)
    if quantized.dtype.kind not in "iu":
        raise InputError(f"dequantize: got {quantized.dtype} codes, expected integers")
    scale, zero_point = params.broadcast(quantized.shape)
    # The differences of narrow codes are exact in float32; those of int32 need a double.
    precision = np.float64 if element_type(params.dtype).bits > 16 else np.float32
    steps = np.subtract(quantized, zero_point, dtype=np.int64).astype(precision)
    return np.asarray(np.multiply(steps, scale.astype(precision)), np.float32)


def fake_quantize(x: ArrayLike, params: QuantParams) -> NDArray[np.float32]:
    """The real numbers that remain of x after quantization: ``dequantize(quantize(x))``; equation (7).

    Args:
        x: any real type[...], real units.
        params: fitting x's shape.

    Returns:
        float32[...], real units.

    Raises:
        InputError: x is not made of real numbers.
        QuantizationError: params are for another shape.
    """
    return dequantize(quantize(x, params), params)


def fake_quantize_mask(x: ArrayLike, params: QuantParams) -> NDArray[np.bool_]:
    """Where ``fake_quantize`` lets a gradient straight through: where x is within the range, ends included.

    Args:
        x: any real type[...], real units.
        params: fitting x's shape.

    Returns:
        bool[...]; False for NaN.

    Raises:
        InputError: x is not made of real numbers.
        QuantizationError: params are for another shape.

    Source: tensorflow/core/kernels/fake_quant_ops_functor.h#FakeQuantWithMinMaxArgsGradientFunctor.
    """
    real = as_real(x, np.float32)
    scale, zero_point = params.broadcast(real.shape)
    least = scale * (params.quantized_min - zero_point).astype(np.float32)
    greatest = scale * (params.quantized_max - zero_point).astype(np.float32)
    return np.asarray((real >= least) & (real <= greatest))


def _divisor(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scale, but infinite where it is 0, so that everything in such a part is 0 steps."""
    return np.where(scale > 0, scale, np.float32(np.inf))

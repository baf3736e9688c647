"""Weights and other constants, by the divisions of converters other than ``quantize_by_reciprocal``; equations (2), (4) and (8)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.numerics.affine import round_to_codes
from qcore.numerics.dtypes import element_type
from qcore.numerics.params import SMALLEST_HALF_RANGE, QuantParams, choose_params
from qcore.numerics.rounding import round_half_away
from qcore.numerics.tensor import QuantizedTensor


def greatest_magnitude(values: NDArray[np.float32], axis: int | None) -> NDArray[np.float32]:
    """float32[channels] along an axis, or float32[] of the whole tensor; 0 where there are no elements.

    Args:
        values: float32[...], real units.
        axis: of the channels; None for one magnitude.
    """
    others = None if axis is None else tuple(i for i in range(values.ndim) if i != axis)
    return np.asarray(np.abs(values).max(axis=others, initial=0))


def quantize_by_division(values: NDArray[np.float32], dtype: str, axis: int | None) -> QuantizedTensor:
    """Weights of dynamic range: ``round_half_away(w / scale)`` in a narrow range, divided in double.

    The scale, a double until the parameters hold it as float32, maps each part's greatest magnitude to the greatest code.

    Args:
        values: float32[...], real units, finite.
        dtype: a signed integer type of the codes.
        axis: of the channels, each with a scale; None for one scale.

    Source: tflite/converter/quantization/common/quantization_lib/quantization_utils.cc#GetUniformQuantizedTypeForWeight,
    ``UniformQuantizedValueConverter#quantizeFloatToInt8`` of MLIR.
    """
    reach = greatest_magnitude(values, axis).astype(np.float64)
    params = choose_params(-reach, reach, dtype, symmetric=True, narrow_range=True, axis=axis or 0)
    scale = np.maximum(reach, SMALLEST_HALF_RANGE) / params.quantized_max
    return QuantizedTensor(round_to_codes(values / _along(scale, axis, values.ndim), params), params)


def quantize_by_reach(values: NDArray[np.float32], reach: NDArray[np.float32], params: QuantParams) -> NDArray[Any]:
    """Codes of weights of 16x8, or of int8 with one scale: ``round_half_away(w * (quantized_max / reach))``.

    The quotient and the product are float32. A reach of 0 makes all codes 0.

    Args:
        values: float32[...], real units, finite.
        reach: float32[channels] or float32[], real units, the magnitude that the greatest code stands for.
        params: of the codes; symmetric.

    Returns:
        Codes[...] in the storage of params.dtype.

    Source: tflite/tools/optimize/quantization_utils.cc#SymmetricPerChannelQuantization,
    tflite/kernels/internal/reference/portable_tensor_utils.cc#PortableSymmetricQuantizeFloats.
    """
    inverse = np.divide(np.float32(params.quantized_max), reach, out=np.zeros_like(reach), where=reach > 0)
    return round_to_codes(values * _along(inverse, params.quantized_dimension, values.ndim), params)


def quantize_in_double(values: NDArray[np.float32], params: QuantParams) -> NDArray[Any]:
    """Codes of constants that are no weights: ``clamp(round_half_away(x / scale + zero_point))``, all of it in double.

    The zero point counts before rounding, so that a negative tie goes up where the code is positive.

    Args:
        values: float32[...], real units; infinities saturate, NaN becomes the zero point.
        params: of the codes, fitting the shape of values.

    Returns:
        Codes[...] in the storage of params.dtype.

    Source: tflite/converter/quantization/ir/QuantizeUtils.cc#quantizeAttr.
    """
    scale, zero_point = params.broadcast(values.shape)
    steps = np.where(np.isnan(values), 0.0, values.astype(np.float64)) / scale
    codes = round_half_away(np.clip(steps + zero_point, params.quantized_min, params.quantized_max))
    return codes.astype(element_type(params.dtype).storage)


def _along(parts: NDArray[Any], axis: int | None, dimensions: int) -> NDArray[Any]:
    """A number for each channel, in a shape that broadcasts over the tensor."""
    return parts if axis is None else parts.reshape(-1, *(1,) * (dimensions - axis - 1))

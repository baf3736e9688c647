"""The arithmetic of the 16x8 quantizer: every scale is a float32 quotient, symmetric about zero.

Source: tflite/tools/optimize/quantization_utils.cc: ``GetSymmetricQuantizationParams``, ``SymmetricQuantizeFloatsToInt16``,
``SymmetricPerChannelQuantization``; tflite/kernels/internal/reference/portable_tensor_utils.cc#PortableSymmetricQuantizeFloats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.numerics import QuantizedTensor, QuantParams, quantize_by_reciprocal, round_to_codes

_INT16_MAX = np.float32(32767)
_INT8_MAX = np.float32(127)
_UNIT_SCALE = np.float32(2.0**-15)

_NOTHING = np.float32(2.0**-100)
"""What reaches no further counts as 0: kernels could not divide by its scale."""

_ZERO = np.zeros(1, np.int64)


def activation_params(low: float, high: float) -> QuantParams:
    """int16 parameters for a range: the scale maps its greater magnitude to 32767.

    A tensor that was never anything but 0 is taken to reach 1. (TensorFlow's calibration starts at the least normal float32; with the
    scale that its converter makes of that, kernels refuse a fused RELU6.)

    Args:
        low: real units, the lower end; finite.
        high: real units, the upper end; finite.
    """
    reach = np.float32(max(abs(low), abs(high)))
    return int16_params((reach if reach > _NOTHING else np.float32(1)) / _INT16_MAX)


def unit_params() -> QuantParams:
    """int16 parameters for the range [-1, 1): a scale of 2**-15."""
    return int16_params(_UNIT_SCALE)


def int16_params(scale: np.float32) -> QuantParams:
    """int16 parameters of that scale, with codes in [-32767, 32767]."""
    return QuantParams(np.array([scale], np.float32), _ZERO, "int16", narrow_range=True)


def quantize_constant(values: NDArray[np.float32]) -> QuantizedTensor:
    """A constant as int16: the scale maps its greatest magnitude to 32767; it is 0 for a constant of zeros.

    Args:
        values: float32[...], real units, finite and not empty.
    """
    params = int16_params(np.abs(values).max() / _INT16_MAX)
    return QuantizedTensor(quantize_by_reciprocal(values, params), params)


def greatest_magnitude(values: NDArray[np.float32], axis: int | None) -> NDArray[np.float32]:
    """float32[channels], or [1] for all: the greatest magnitude along an axis."""
    others = None if axis is None else tuple(i for i in range(values.ndim) if i != axis)
    return np.atleast_1d(np.abs(values).max(axis=others))


def quantize_weights(values: NDArray[np.float32], reach: NDArray[np.float32], axis: int | None) -> QuantizedTensor:
    """Weights as int8 in [-127, 127]: ``round_half_away(w * (127 / reach))``, the quotient and the product in float32.

    A channel of zeros has a scale of 0, a tensor of zeros with one scale has 1.

    Args:
        values: float32[...], real units, finite.
        reach: float32[channels or 1], the magnitude that 127 stands for.
        axis: of the channels; None for one scale.
    """
    zeros = reach == 0
    inverse = np.divide(_INT8_MAX, reach, out=np.zeros_like(reach), where=~zeros)
    scale = reach / _INT8_MAX if axis is not None else np.where(zeros, np.float32(1), reach / _INT8_MAX)
    params = QuantParams(scale, np.zeros(scale.shape, np.int64), "int8", axis, narrow_range=True)
    along = (-1, *(1,) * (values.ndim - axis - 1)) if axis is not None else ()
    return QuantizedTensor(round_to_codes(values * inverse.reshape(along), params), params)

"""The parameters that the 16x8 quantizer chooses: symmetric about zero, with int16 codes in [-32767, 32767].

Source: tflite/tools/optimize/quantization_utils.cc: ``GetSymmetricQuantizationParams``, ``SymmetricQuantizeFloatsToInt16``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.numerics import QuantizedTensor, QuantParams, greatest_magnitude, quantize_by_reciprocal, symmetric_params
from qcore.quantizer.runnable import is_nothing

_LEAST = float(np.finfo(np.float32).tiny)
"""The least normal float32, from which TensorFlow's calibration starts: what tensors reach that were never other than 0."""


def activation_params(low: float, high: float, runnable: bool) -> QuantParams:
    """int16 parameters for a range: the scale maps its greater magnitude to 32767.

    Args:
        low: real units, the lower end; finite.
        high: real units, the upper end; finite.
        runnable: a tensor that was never other than 0 is taken to reach 1.
    """
    return _params(max(abs(low), abs(high), _LEAST), runnable)


def unit_params() -> QuantParams:
    """int16 parameters for the range [-1, 1): a scale of 2**-15."""
    return QuantParams(np.array([2.0**-15], np.float32), np.zeros(1, np.int64), "int16", narrow_range=True)


def quantize_constant(values: NDArray[np.float32], runnable: bool) -> QuantizedTensor:
    """A constant as int16: the scale maps its greatest magnitude to 32767; it is 0 for a constant of zeros.

    Args:
        values: float32[...], real units, finite and not empty.
        runnable: zeros are taken to reach 1.
    """
    params = _params(float(greatest_magnitude(values, None)), runnable)
    return QuantizedTensor(quantize_by_reciprocal(values, params), params)


def _params(reach: float, runnable: bool) -> QuantParams:
    return symmetric_params(1 if runnable and is_nothing(reach) else reach, "int16")

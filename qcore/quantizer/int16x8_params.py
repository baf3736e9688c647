"""The parameters that the 16x8 quantizer chooses: symmetric about zero, with int16 codes in [-32767, 32767].

Source: tflite/tools/optimize/quantization_utils.cc: ``GetSymmetricQuantizationParams``, ``SymmetricQuantizeFloatsToInt16``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.numerics import QuantizedTensor, QuantParams, greatest_magnitude, quantize_by_reciprocal, symmetric_params

_NOTHING = np.float32(2.0**-100)
"""What reaches no further counts as 0: kernels could not divide by its scale."""


def activation_params(low: float, high: float) -> QuantParams:
    """int16 parameters for a range: the scale maps its greater magnitude to 32767.

    A tensor that was never anything but 0 is taken to reach 1. (TensorFlow's calibration starts at the least normal float32; with the
    scale that its converter makes of that, kernels refuse a fused RELU6.)

    Args:
        low: real units, the lower end; finite.
        high: real units, the upper end; finite.
    """
    reach = max(abs(low), abs(high))
    return symmetric_params(reach if reach > _NOTHING else 1, "int16")


def unit_params() -> QuantParams:
    """int16 parameters for the range [-1, 1): a scale of 2**-15."""
    return QuantParams(np.array([2.0**-15], np.float32), np.zeros(1, np.int64), "int16", narrow_range=True)


def quantize_constant(values: NDArray[np.float32]) -> QuantizedTensor:
    """A constant as int16: the scale maps its greatest magnitude to 32767, or 1 if it is nothing but 0.

    (TensorFlow's converter gives zeros a scale of 0, on which ADD and SUB abort.)

    Args:
        values: float32[...], real units, finite and not empty.
    """
    params = activation_params(0.0, float(greatest_magnitude(values, None)))
    return QuantizedTensor(quantize_by_reciprocal(values, params), params)

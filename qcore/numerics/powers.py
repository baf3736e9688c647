"""Scales that are powers of two: the legacy 16-bit arithmetic shifts where it would else multiply."""

from __future__ import annotations

import numpy as np

NEAR = 1e-3
"""How far a logarithm may lie from a whole number: 0.07 % of the scale."""


def power_of_two(scale: float) -> int | None:
    """The exponent of the power of two that a scale is, or is nearly; None where it is none.

    Args:
        scale: real units per step, a float32 value; not negative.

    Source: tflite/kernels/internal/quantization_util.cc#CheckedLog2.
    """
    if scale == 0:
        return None
    log2 = np.log(np.float32(scale)) * (np.float32(1) / np.log(np.float32(2)))
    nearest = round(float(log2))
    return nearest if abs(log2 - np.float32(nearest)) < np.float32(NEAR) else None

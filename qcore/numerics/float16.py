"""Half-width floats: float16 clamps to its range, bfloat16 keeps that of float32; equations (36) and (37) of docs/quantization.md."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.numerics.real import as_real

FLOAT16_MAX = np.float32(65504)
"""The greatest finite float16."""


def to_float16(x: ArrayLike) -> NDArray[np.float16]:
    """Nearest float16, ties to even, after clamping to [-65504, 65504]; NaN stays NaN.

    Args:
        x: any real type[...]; taken as float32.

    Returns:
        float16[...]; never infinite.

    Raises:
        InputError: x is not made of real numbers.

    Source: tflite/converter/transforms/prepare_quantize_dynamic_range.cc, which clamps constants before it casts them.
    """
    return np.asarray(np.clip(as_real(x, np.float32), -FLOAT16_MAX, FLOAT16_MAX)).astype(np.float16)


def to_bfloat16(x: ArrayLike) -> NDArray[Any]:
    """Nearest bfloat16, ties to even: the upper half of a float32, rounded. NaN and infinities stay.

    Args:
        x: any real type[...]; taken as float32.

    Returns:
        bfloat16[...] of ml_dtypes; a finite number beyond the greatest bfloat16 by half a step becomes infinite.

    Raises:
        InputError: x is not made of real numbers.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return as_real(x, np.float32).astype(ml_dtypes.bfloat16)

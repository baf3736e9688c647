"""Rounding to whole numbers, each rule named by what it does with a tie.

Equation (3) of docs/quantization.md. The rules differ only on values exactly half way between two integers, and only the
processor's own rule (half to even) is free: every other one has to be built so that no intermediate sum rounds.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", bound=np.floating[Any])

_BELOW_HALF = {np.dtype(t): np.nextafter(t(0.5), t(0.0)) for t in (np.float16, np.float32, np.float64)}


def round_half_away(x: NDArray[Real] | Real, out: NDArray[Real] | None = None) -> NDArray[Real]:
    """Nearest integer, ties away from zero: 0.5 -> 1, -0.5 -> -1, 2.5 -> 3.

    Adding one half and truncating is wrong just below one half (0.49999997 + 0.5 rounds to 1 in float32) and for large odd
    integers. Adding the greatest number *below* one half is right for every float: a tie still reaches the next integer, because
    its sum is half way between two floats of which the integer is the even one, and nothing smaller does.

    Args:
        x: float16, float32 or float64[...], or one number of these; NaN and infinities pass through.
        out: like x, where the result goes; may be x itself.

    Returns:
        Whole numbers in the type of x; the sign of zero is kept.

    Source: ``std::round``; tflite/kernels/internal/cppmath.h#TfLiteRound.
    """
    total = np.empty_like(x)
    np.copysign(_BELOW_HALF[x.dtype.newbyteorder("=")], x, out=total)
    np.add(x, total, out=total)
    result: NDArray[Real] = np.trunc(total, out=total if out is None else out)
    return result


def round_half_even(x: NDArray[Real] | Real, out: NDArray[Real] | None = None) -> NDArray[Real]:
    """Nearest integer, ties to the even one: 0.5 -> 0, 1.5 -> 2, -2.5 -> -2.

    Args:
        x: float[...]; NaN and infinities pass through.
        out: like x, where the result goes; may be x itself.

    Returns:
        Whole numbers in the type of x; the sign of zero is kept.

    Source: IEEE 754 roundTiesToEven, what ``lrintf`` and x86 ``cvtps2dq`` do; XNNPACK's requantization.
    """
    result: NDArray[Real] = np.rint(x, out=np.empty_like(x) if out is None else out)
    return result

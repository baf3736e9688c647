"""Float to integer, as the processor's instruction does it.

C++ leaves it undefined what becomes of NaN, or of a value that no int32 holds. The models in use were made on x86-64, whose
instruction gives one answer for all of these: the least int32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.numerics.rounding import Real


def float_to_int32(x: NDArray[Real]) -> NDArray[np.int32]:
    """``int32(x)``: the fraction is cut off; NaN, infinities and whatever does not fit give -2**31.

    Args:
        x: float32 or float64[...].

    Source: x86-64 ``cvttss2si``, ``cvttsd2si``, which ``static_cast<int32_t>`` compiles to.
    """
    fits = (x > -(2.0**31) - 1) & (x < 2.0**31)
    wide: NDArray[Any] = np.where(fits, x, -(2.0**31))
    return wide.astype(np.int32)

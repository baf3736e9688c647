"""Real numbers out of whatever holds them."""

from __future__ import annotations

from typing import TypeVar

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.errors import InputError

Precision = TypeVar("Precision", np.float32, np.float64)

_NARROW_FLOATS = {np.dtype(t) for t in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)}


def as_real(x: ArrayLike, precision: type[Precision]) -> NDArray[Precision]:
    """Real numbers in one type and native byte order; not copied where they already are.

    Args:
        x: floats of 8 to 64 bits, bfloat16 too, integers or booleans[...], in any layout.
        precision: np.float32 or np.float64; what is beyond its range becomes infinite.

    Raises:
        InputError: x is complex, text, ragged or anything else without one real value per element.
    """
    try:
        values = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise InputError(f"real numbers: {error}") from None
    if values.dtype.kind not in "fiub" and values.dtype not in _NARROW_FLOATS:
        raise InputError(f"real numbers: got an array of {values.dtype}, expected floating-point numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(precision, copy=False)

"""XNNPACK's arithmetic of 8-bit codes, where it is none of the ``Requantizer`` classes by itself.

Equations (41) to (43) of docs/quantization.md. Factors are quotients of scales in float32; codes are int8 or uint8.

>>> import numpy as np
>>> rescale = short_rescaling(np.float32(0.3))
>>> rescale(np.array([100, -100, 5], np.int32))
array([ 30, -30,   2], dtype=int32)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.numerics.fixed_point import SingleRounding
from qcore.numerics.rounding import round_half_away

SHORT_FRACTION_BITS = 8
"""Fractional bits of the factor of a rescaling."""

SUM_SIGNIFICANT_BITS = 21
"""Significant bits of the greater factor of a sum."""


def short_rescaling(factor: np.float32) -> SingleRounding:
    """Multiplication by a factor that keeps 8 fractional bits: ``(x * m + 128) >> 8`` with ``m = rint(256 * factor)``; equation (41).

    A factor of 0.3 is thus 77/256, a quarter of a percent too much.

    Args:
        factor: of a magnitude from 1/256 to 128; may be negative.

    Source: XNNPACK src/qs8-vcvt/avx2.c.in, src/qs8-vlrelu/avx2.c.in; src/microparams-init.c#xnn_init_qs8_cvt_scalar_params.
    """
    multiplier = np.rint(factor * np.float32(1 << SHORT_FRACTION_BITS))
    return SingleRounding(int(multiplier), 31 - SHORT_FRACTION_BITS)


def common_multipliers(factor1: np.float32, factor2: np.float32) -> tuple[int, int, SingleRounding]:
    """Integers for ``x1 * factor1 + x2 * factor2``, and what brings their sum back, ties up; equation (42).

    Both are rounded to the same power of two, which leaves the greater factor 21 significant bits.

    Args:
        factor1: in [2**-10, 2**8).
        factor2: likewise.

    Returns:
        int, int: multipliers of up to 2**21. With centred codes of 8 bits the sum keeps within int32.
        the shift to the right, by 12 to 30 bits.

    Source: XNNPACK src/microparams-init.c#xnn_init_qs8_add_minmax_scalar_params, src/qs8-vadd/avx512skx-mul32-ld128.c.in.
    """
    shift = SUM_SIGNIFICANT_BITS - int(np.frexp(max(factor1, factor2))[1])
    multiplier1, multiplier2 = (int(np.rint(np.ldexp(factor, shift))) for factor in (factor1, factor2))
    return multiplier1, multiplier2, SingleRounding(1, 31 - shift)


def affine_codes(x: NDArray[Any], factor: np.float32, offset: np.float32, dtype: str) -> NDArray[Any]:
    """``clamp(round_half_away(x * factor + offset))``, product and sum rounded to float32; equation (43).

    The zero point is part of the offset, so that ties go away from code 0 rather than from real 0.

    Args:
        x: float32 or int32[...], finite; rounded to float32 first.
        factor: codes per unit of x.
        offset: what 0 becomes.
        dtype: type of the codes.

    Returns:
        dtype[...].

    Source: XNNPACK src/xnnpack/reference-utils.h#quantize, before it took ties to even (January 2026).
    """
    limits = np.iinfo(dtype)
    rounded = round_half_away(np.asarray(x.astype(np.float32) * factor + offset))
    saturated: NDArray[Any] = np.clip(rounded, limits.min, limits.max)
    return saturated.astype(dtype)

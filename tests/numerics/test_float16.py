"""Half-width floats."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.errors import InputError
from qcore.numerics import to_bfloat16, to_float16
from tests.oracles import fixed_point as oracle


def test_float16_never_becomes_infinite() -> None:
    x = np.array([65504, 65519.9, 65520, 1e30, 1e300, np.inf, -np.inf, np.nan])
    assert to_float16(x).tolist()[:-1] == [65504] * 6 + [-65504]
    assert np.isnan(to_float16(x)[-1])


def test_every_float16_and_bfloat16_is_kept() -> None:
    patterns = np.arange(2**16, dtype=np.uint16)
    half = patterns.view(np.float16)
    kept = to_float16(half)
    finite = np.isfinite(half)
    assert (kept.view(np.uint16) == patterns)[finite].all()
    wide = (patterns.astype(np.uint32) << 16).view(np.float32)
    number = ~np.isnan(wide)
    assert (to_bfloat16(wide).view(np.uint16) == patterns)[number].all()
    assert (to_bfloat16(wide).astype(np.float32) == wide)[number].all()
    assert np.isnan(to_bfloat16(wide[~number]).astype(np.float32)).all()


@given(st.floats(2.0**-14, 65504, width=32))
def test_float16_rounds_half_to_even(x: float) -> None:
    assert float(to_float16(x)) == oracle.to_float(Fraction(x), 11)


@given(st.floats(2.0**-120, 2.0**120, width=32))
def test_bfloat16_rounds_half_to_even(x: float) -> None:
    assert float(to_bfloat16(-x)) == -oracle.to_float(Fraction(x), 8)


def test_what_is_no_number_is_refused() -> None:
    for function in (to_float16, to_bfloat16):
        with pytest.raises(InputError):
            function("one")

"""Axes in another order."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def transpose(x: Any, permutation: list[int], constant: bool = True) -> Any:
    order = T("int32", (len(permutation),), value=permutation if constant else None)
    model = one_operator("TRANSPOSE", [T(x.dtype.name, x.shape), order], [T(x.dtype.name, ())])
    return run_qcore(model, [x] if constant else [x, np.array(permutation, np.int32)])[0]


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int16", "int32", "int64", "bool", "complex64"])
def test_every_order_of_three_axes(dtype: str) -> None:
    x = (np.arange(24).reshape(2, 3, 4) % 5).astype(dtype)
    for permutation in itertools.permutations(range(3)):
        for constant in (True, False):
            np.testing.assert_array_equal(transpose(x, list(permutation), constant), x.transpose(permutation))


def test_axes_may_count_from_the_end() -> None:
    assert transpose(np.zeros((2, 3, 4), np.int8), [-1, 0, -2]).shape == (4, 2, 3)


def test_no_elements() -> None:
    assert transpose(np.zeros((2, 0), np.int8), [1, 0]).shape == (0, 2)


def test_refusals() -> None:
    x = np.zeros((2, 3), np.int8)
    with pytest.raises(ModelError, match=r"permutation \[1, 1\] names an axis twice"):
        transpose(x, [1, -1])
    with pytest.raises(ModelError, match="axis 2 is out of range"):
        transpose(x, [0, 2])
    with pytest.raises(ModelError, match=r"is \[1\], expected \[2\]"):
        transpose(x, [0])
    with pytest.raises(ModelError, match="rank 9"):
        transpose(np.zeros((1,) * 9, np.int8), list(range(9)))
    with pytest.raises(UnsupportedError, match="input 0 is complex128"):
        transpose(x.astype(np.complex128), [1, 0])

"""Running sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def running_sums(x: Any, axis: int, **options: bool) -> Any:
    x = np.asarray(x)
    ins = [T(x.dtype.name, x.shape), T("int32", (), value=axis)]
    return run_qcore(one_operator("CUMSUM", ins, [T(x.dtype.name, x.shape)], options), [x])[0]


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
@pytest.mark.parametrize(
    ("exclusive", "reverse", "want"),
    [(False, False, [1, 3, 6]), (True, False, [0, 1, 3]), (False, True, [6, 5, 3]), (True, True, [5, 3, 0])],
)
def test_from_either_end_with_or_without_the_value_itself(dtype: str, exclusive: bool, reverse: bool, want: list[int]) -> None:
    got = running_sums(np.array([1, 2, 3], dtype), 0, exclusive=exclusive, reverse=reverse)
    assert got.dtype == dtype
    assert got.tolist() == want


def test_along_any_axis() -> None:
    x = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    for axis in (-3, -1, 0, 1):
        np.testing.assert_array_equal(running_sums(x, axis), np.cumsum(x, axis=axis))


def test_the_exclusive_sum_does_not_meet_the_last_value() -> None:
    assert running_sums(np.array([1, np.inf], np.float32), 0, exclusive=True).tolist() == [0, 1]


def test_integers_wrap() -> None:
    assert running_sums(np.array([2**31 - 1, 1], np.int32), 0).tolist() == [2**31 - 1, -(2**31)]


def test_empty_and_single() -> None:
    assert running_sums(np.zeros((2, 0), np.int32), 1, exclusive=True).shape == (2, 0)
    assert running_sums(np.array([5], np.int32), 0, exclusive=True).tolist() == [0]


def test_refusals() -> None:
    with pytest.raises(ModelError, match="axis 1 is out of range for rank 1"):
        running_sums(np.zeros(2, np.int32), 1)
    with pytest.raises(ModelError, match="axis 0 is out of range for rank 0"):
        running_sums(np.int32(1), 0)
    with pytest.raises(UnsupportedError, match="input 0 is int8"):
        running_sums(np.zeros(2, np.int8), 0)
    with pytest.raises(ModelError, match="has 2 elements, expected 1"):
        model = one_operator("CUMSUM", [T("int32", (2,)), T("int32", (2,), value=[0, 0])], [T("int32", (2,))])
        run_qcore(model, [np.zeros(2, np.int32)])

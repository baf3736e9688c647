"""One-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def one_hot(indices: Any, depth: int, on: Any = 1, off: Any = 0, dtype: str = "int32", axis: int = -1) -> Any:
    indices = np.asarray(indices)
    ins = [T(indices.dtype.name, indices.shape), T("int32", (), value=depth), T(dtype, (), value=on), T(dtype, (1,), value=[off])]
    return run_qcore(one_operator("ONE_HOT", ins, [T(dtype, ())], {"axis": axis}), [indices])[0]


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32", "int64", "bool"])
@pytest.mark.parametrize("index_type", ["int32", "int64"])
def test_on_stands_in_the_place_of_the_index_alone(dtype: str, index_type: str) -> None:
    got = one_hot(np.array([1, 3, -1, 0], index_type), 3, on=0, off=1, dtype=dtype)
    np.testing.assert_array_equal(got, np.array([[1, 0, 1], [1, 1, 1], [1, 1, 1], [0, 1, 1]], dtype))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_the_new_axis_goes_where_axis_says(axis: int) -> None:
    indices = np.array([[0, 1, 2], [3, 0, 5]], np.int32)
    np.testing.assert_array_equal(one_hot(indices, 4, axis=axis), np.moveaxis(np.eye(6, 4, dtype=np.int32)[indices], -1, axis))


def test_a_scalar_gives_a_vector_and_empty_stays_empty() -> None:
    assert one_hot(np.int32(2), 3).tolist() == [0, 0, 1]
    assert one_hot(np.int32(2), 0).shape == (0,)
    assert one_hot(np.zeros((0, 2), np.int32), 2**31 - 1).shape == (0, 2, 2**31 - 1)


def test_wide_indices_wrap_to_int32() -> None:
    assert one_hot(np.array([2**32 + 1]), 2).tolist() == [[0, 1]]


def test_depth_and_values_may_come_at_run_time() -> None:
    model = one_operator("ONE_HOT", [T("int32", (1,)), T("int32", ()), T("int8", ()), T("int8", ())], [T("int8", ())], {"axis": -1})
    got = run_qcore(model, [np.array([1], np.int32), np.int32(3), np.int8(5), np.int8(-5)])[0]
    assert got.tolist() == [[-5, 5, -5]]


def test_refusals() -> None:
    indices = np.zeros(2, np.int32)
    with pytest.raises(ModelError, match="depth is -1"):
        one_hot(indices, -1)
    for axis in (2, -2):
        with pytest.raises(ModelError, match=f"axis {axis} is out of range"):
            one_hot(indices, 2, axis=axis)
    with pytest.raises(ModelError, match="are int8, expected int32 or int64"):
        one_hot(indices.astype(np.int8), 2)
    with pytest.raises(UnsupportedError, match="input 2 is int16"):
        one_hot(indices, 2, dtype="int16")

"""Values set into a larger tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def operate(name: str, arrays: list[Any], dtype: str) -> Any:
    """Run an operator whose inputs are all known at run time alone."""
    arrays = [np.asarray(x) for x in arrays]
    return run_qcore(one_operator(name, [T(x.dtype.name, x.shape) for x in arrays], [T(dtype, ())]), arrays)[0]


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "int16", "int8", "uint8"])
def test_diagonals(dtype: str) -> None:
    x = np.array([[1, 2], [3, 4]], dtype)
    assert operate("MATRIX_DIAG", [x], dtype).tolist() == [[[1, 0], [0, 2]], [[3, 0], [0, 4]]]
    matrix = np.full((2, 3), 9, dtype)
    assert operate("MATRIX_SET_DIAG", [matrix, x[0]], dtype).tolist() == [[1, 9, 9], [9, 2, 9]]
    assert operate("MATRIX_SET_DIAG", [matrix.T, x[0]], dtype).tolist() == [[1, 9], [9, 2], [9, 9]]


def test_diagonal_refusals() -> None:
    with pytest.raises(UnsupportedError, match="input 0 is bool"):
        operate("MATRIX_DIAG", [np.ones(3, bool)], "bool")
    with pytest.raises(ModelError, match="is a scalar"):
        operate("MATRIX_DIAG", [np.int8(1)], "int8")
    with pytest.raises(ModelError, match=r"is \[3\], expected \[2\]"):
        operate("MATRIX_SET_DIAG", [np.ones((2, 3), np.int8), np.ones(3, np.int8)], "int8")


def sparse(indices: Any, shape: list[int], values: Any, default: Any = 0, dtype: str = "int32") -> Any:
    return operate("SPARSE_TO_DENSE", [indices, np.array(shape, np.int32), np.array(values, dtype), np.array(default, dtype)], dtype)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "int8", "uint8"])
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_sparse_to_dense(dtype: str, index_type: type) -> None:
    assert sparse(np.array([[0, 1], [1, 0]], index_type), [2, 2], [5, 6], 9, dtype).tolist() == [[9, 5], [6, 9]]
    assert sparse(np.array([2, 0], index_type), [3], 5, 0, dtype).tolist() == [5, 0, 5]
    assert sparse(np.array(1, index_type), [3], [5], 0, dtype).tolist() == [0, 5, 0]


def test_the_last_value_at_an_index_stays() -> None:
    assert sparse([1, 1, 1], [2], [5, 6, 7]).tolist() == [0, 7]


def test_sparse_refusals() -> None:
    with pytest.raises(ModelError, match="SPARSE_TO_DENSE .*: index 3 is out of range, there are 3"):
        sparse([0, 3], [3], 5)
    with pytest.raises(ModelError, match="go through 2 axes, the output has 3"):
        sparse([[0, 0]], [3, 3, 3], 5)
    with pytest.raises(ModelError, match="there are 2 indices"):
        sparse([0, 1], [3], [1, 2, 3])
    with pytest.raises(ModelError, match="the memory limit is"):
        sparse([[0, 0]], [2**20, 2**20], 5)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "int16", "int8", "uint8", "bool"])
@pytest.mark.parametrize("start", [[1, 1], [0, 2], [-5, 9]])
def test_an_update_is_moved_inside(dtype: str, start: list[int]) -> None:
    x, update = np.zeros((3, 4), dtype), np.ones((2, 1), dtype)
    want = x.copy()
    row, column = min(max(start[0], 0), 1), min(max(start[1], 0), 3)
    want[row : row + 2, column] = 1
    for index_type in (np.int32, np.int64):
        np.testing.assert_array_equal(operate("DYNAMIC_UPDATE_SLICE", [x, update, np.array(start, index_type)], dtype), want)


def test_update_refusals() -> None:
    x = np.zeros((3, 4), np.int8)
    with pytest.raises(ModelError, match=r"\[4, 1\] does not fit into .* \[3, 4\]"):
        operate("DYNAMIC_UPDATE_SLICE", [x, np.zeros((4, 1), np.int8), np.zeros(2, np.int32)], "int8")
    with pytest.raises(ModelError, match=r"does not fit into"):
        operate("DYNAMIC_UPDATE_SLICE", [x, np.zeros(3, np.int8), np.zeros(2, np.int32)], "int8")
    with pytest.raises(ModelError, match=r"is \[1\], expected \[2\]"):
        operate("DYNAMIC_UPDATE_SLICE", [x, x, np.zeros(1, np.int32)], "int8")


def dilate(x: Any, dilations: list[int], value: int = 0) -> Any:
    return operate("DILATE", [x, np.array(dilations, np.int32), np.array(value, x.dtype)], x.dtype.name)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "int16", "int8", "uint8"])
def test_dilate(dtype: str) -> None:
    x = np.array([[1, 2], [3, 4]], dtype)
    assert dilate(x, [2, 3], 7).tolist() == [[1, 7, 7, 2], [7, 7, 7, 7], [3, 7, 7, 4]]
    np.testing.assert_array_equal(dilate(x, [1, 1]), x)
    with pytest.raises(ModelError, match=r"dilations \[0, 1\], expected at least 1"):
        dilate(x, [0, 1])
    with pytest.raises(ModelError, match="is empty along an axis with a dilation of more than 1"):
        dilate(x[:0], [2, 1])

"""Rows fetched by index, and added up by index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def operate(name: str, arrays: list[Any], dtype: str, **options: Any) -> Any:
    arrays = [np.asarray(x) for x in arrays]
    ins = [T("string" if x.dtype == object else x.dtype.name, x.shape) for x in arrays]
    return run_qcore(one_operator(name, ins, [T(dtype, ())], options), arrays)[0]


def gather(x: Any, indices: Any, axis: int = 0, batch_dims: int = 0) -> Any:
    return operate("GATHER", [x, indices], "string" if x.dtype == object else x.dtype.name, axis=axis, batch_dims=batch_dims)


def scatter(indices: Any, updates: Any, shape: list[int]) -> Any:
    return operate("SCATTER_ND", [np.asarray(indices, np.int32), updates, np.array(shape, np.int32)], updates.dtype.name)


X = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize("index_type", [np.int16, np.int32, np.int64])
@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 2])
def test_gather_along_every_axis(axis: int, index_type: type) -> None:
    for indices in ([1, 0, 1], [[0], [1]], 1, []):
        np.testing.assert_array_equal(gather(X, np.array(indices, index_type), axis), X.take(np.array(indices, index_type), axis))


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int16", "int32", "int64", "bool"])
def test_gather_of_every_type(dtype: str) -> None:
    x = (np.arange(4) % 2).astype(dtype)
    np.testing.assert_array_equal(gather(x, np.array([3, 0], np.int32)), x[[3, 0]])


def test_gather_of_strings() -> None:
    assert gather(np.array([b"a", b"bc"], object), np.array([[1, 0]], np.int32)).tolist() == [[b"bc", b"a"]]
    with pytest.raises(ModelError, match="expected one axis"):
        gather(np.array([[b"a", b"bc"]], object), np.array([0], np.int32))


@pytest.mark.parametrize("axis", [1, 2])
def test_each_batch_has_indices_of_its_own(axis: int) -> None:
    indices = np.array([[2, 0], [1, 1]], np.int32)
    got = gather(X, indices, axis, 1)
    np.testing.assert_array_equal(got, np.stack([x.take(i, axis - 1) for x, i in zip(X, indices, strict=True)]))
    np.testing.assert_array_equal(got, gather(X, indices, axis, -1))


@pytest.mark.parametrize("index", [-1, 3, 2**31 - 1])
def test_an_index_out_of_range_is_refused_when_it_is_met(index: int) -> None:
    with pytest.raises(ModelError, match=f"GATHER .*: index {index} is out of range, there are 3"):
        gather(X, np.array([0, index], np.int32), 1)
    with pytest.raises(ModelError, match=f"GATHER_ND .*: index {index} is out of range, there are 3"):
        operate("GATHER_ND", [X, np.array([[0, index]], np.int32)], "int16")
    with pytest.raises(ModelError, match=f"SCATTER_ND .*: index {index} is out of range, there are 3"):
        scatter([[index]], np.ones(1, np.int8), [3])


def test_gather_refusals() -> None:
    with pytest.raises(ModelError, match="axis 3 is out of range for rank 3"):
        gather(X, np.array([0]), 3)
    with pytest.raises(ModelError, match="batch_dims is 2, at most 1"):
        gather(X, np.zeros((2, 3), np.int32), 1, 2)
    with pytest.raises(ModelError, match="differ in their first 1 axes"):
        gather(X, np.zeros((3, 1), np.int32), 1, 1)
    with pytest.raises(UnsupportedError, match="are int8, qcore has int16, int32, int64"):
        gather(X, np.zeros(1, np.int8))


@pytest.mark.parametrize("index_type", [np.int16, np.int32, np.int64])
def test_gather_nd(index_type: type) -> None:
    def gather_nd(indices: Any) -> Any:
        return operate("GATHER_ND", [X, np.array(indices, index_type)], "int16")

    assert gather_nd([[1, 2, 3], [0, 0, 0]]).tolist() == [23, 0]
    np.testing.assert_array_equal(gather_nd([[[1, 2]], [[0, 1]]]), X[[[1], [0]], [[2], [1]]])
    np.testing.assert_array_equal(gather_nd([1]), X[1])
    np.testing.assert_array_equal(gather_nd(np.zeros((2, 0))), [X, X])


def test_gather_nd_refusals() -> None:
    with pytest.raises(ModelError, match="go through 4 axes, .* has 3"):
        operate("GATHER_ND", [X, np.zeros((1, 4), np.int32)], "int16")
    with pytest.raises(ModelError, match="is empty, its indices are not"):
        operate("GATHER_ND", [X[:0], np.zeros((1, 1), np.int32)], "int16")


def test_scatter_sums_what_meets() -> None:
    assert scatter([[1], [3], [1]], np.array([5, 6, 7], np.int32), [5]).tolist() == [0, 12, 0, 6, 0]
    assert scatter([[1], [1]], np.array([100, 100], np.int8), [2]).tolist() == [0, -56], "integers wrap"
    assert scatter([[1], [1]], np.array([True, True]), [2]).tolist() == [False, True]
    order = np.array([1e8, 1.0, -1e8], np.float32)
    assert scatter([[0], [0], [0]], order, [1]).tolist() == [0], "float32, one after the other"


def test_scatter_of_rows() -> None:
    got = scatter([[1, 0], [0, 1]], np.array([[1, 2], [3, 4]], np.float32), [2, 2, 2])
    assert got.tolist() == [[[0, 0], [3, 4]], [[1, 2], [0, 0]]]


def test_scatter_refusals() -> None:
    with pytest.raises(ModelError, match=r"are \[2\], expected \[1\]"):
        scatter([[0]], np.ones(2, np.int8), [3])
    with pytest.raises(ModelError, match="expected sizes from 0"):
        scatter([[0]], np.ones(1, np.int8), [-3])
    with pytest.raises(ModelError, match="go through 2 axes, the output has 1"):
        scatter([[0, 0]], np.ones(1, np.int8), [3])
    with pytest.raises(ModelError, match="the memory limit is"):
        scatter([[0]], np.ones(1, np.float32), [2**31 - 1])
    with pytest.raises(UnsupportedError, match="is int64, qcore has int32"):
        operate("SCATTER_ND", [np.zeros((1, 1), np.int64), np.ones(1, np.int8), np.array([3])], "int8")

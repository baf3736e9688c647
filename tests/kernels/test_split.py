"""A tensor cut along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError
from tests.conformance.harness import T, one_operator, run_qcore


def split(x: Any, axis: int, count: int, splits: int | None = None) -> list[Any]:
    ins = [T("int32", (), value=axis), T(x.dtype.name, x.shape)]
    model = one_operator("SPLIT", ins, [T(x.dtype.name, ())] * count, {"num_splits": count if splits is None else splits})
    return run_qcore(model, [x])


def split_v(x: Any, axis: int, sizes: list[int], size_type: str = "int32", constant: bool = True) -> list[Any]:
    known = {"value": sizes} if constant else {}
    ins = [T(x.dtype.name, x.shape), T(size_type, (len(sizes),), **known), T("int32", (), value=axis)]
    model = one_operator("SPLIT_V", ins, [T(x.dtype.name, ())] * len(sizes), {"num_splits": len(sizes)})
    return run_qcore(model, [x] if constant else [x, np.array(sizes, size_type)])


def unpack(x: Any, axis: int, count: int) -> list[Any]:
    model = one_operator("UNPACK", [T(x.dtype.name, x.shape)], [T(x.dtype.name, ())] * count, {"num": count, "axis": axis})
    return run_qcore(model, [x])


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 2])
def test_split_gives_equal_parts(dtype: str, axis: int) -> None:
    x = np.arange(64).reshape(4, 4, 4).astype(dtype)
    for got, want in zip(split(x, axis, 2), np.split(x, 2, axis), strict=True):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want)


def test_split_of_an_empty_axis() -> None:
    assert [part.shape for part in split(np.zeros((3, 0), np.int8), 1, 2)] == [(3, 0), (3, 0)]


def test_split_refusals() -> None:
    x = np.zeros((3, 4), np.int8)
    with pytest.raises(ModelError, match="axis 0 of .* is 3 long, which 2 outputs cannot share evenly"):
        split(x, 0, 2)
    with pytest.raises(ModelError, match="num_splits is 3, there are 2 outputs"):
        split(x, 1, 2, splits=3)
    with pytest.raises(ModelError, match="axis 2 is out of range for rank 2"):
        split(x, 2, 2)


@pytest.mark.parametrize("size_type", ["int32", "int64"])
@pytest.mark.parametrize("constant", [True, False])
def test_split_v_gives_the_sizes_asked_for(size_type: str, constant: bool) -> None:
    x = np.arange(12, dtype=np.int16).reshape(2, 6)
    for sizes in ([1, 2, 3], [6, 0, 0], [-1, 2, 1], [2, -1, 4]):
        parts = split_v(x, -1, sizes, size_type, constant)
        assert [part.shape[1] for part in parts] == [size if size >= 0 else 6 - sum(sizes) - 1 for size in sizes]
        np.testing.assert_array_equal(np.concatenate(parts, 1), x)


@pytest.mark.parametrize("sizes", [[1, 2, 2], [-1, -1, 2], [-1, 4, 4], [-2, 4, 4]])
def test_split_v_refuses_sizes_that_do_not_add_up(sizes: list[int]) -> None:
    with pytest.raises(ModelError, match="do not share axis 1 of .*, 6 long"):
        split_v(np.zeros((2, 6), np.int8), 1, sizes)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int16", "int32", "bool"])
@pytest.mark.parametrize("axis", [-2, -1, 0, 1])
def test_unpack_drops_the_axis(dtype: str, axis: int) -> None:
    x = (np.arange(6).reshape(2, 3) % 2).astype(dtype)
    parts = unpack(x, axis, x.shape[axis])
    np.testing.assert_array_equal(np.stack(parts, axis), x)


def test_unpack_of_a_vector_gives_scalars() -> None:
    assert [(part.shape, int(part)) for part in unpack(np.array([3, 5], np.int32), 0, 2)] == [((), 3), ((), 5)]


def test_unpack_refusals() -> None:
    with pytest.raises(ModelError, match="axis 1 of .* is 3 long, there are 2 outputs"):
        unpack(np.zeros((2, 3), np.int8), 1, 2)
    with pytest.raises(ModelError, match="is empty"):
        unpack(np.zeros((2, 0), np.int8), 0, 2)

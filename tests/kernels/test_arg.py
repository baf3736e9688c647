"""Positions of extremes: ties, NaN, index types, and the k greatest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def arg(name: str, x: Any, axis: int, index_type: str = "int32") -> Any:
    x = np.asarray(x)
    ins = [T(x.dtype.name, x.shape), T("int32", (), value=axis)]
    return run_qcore(one_operator(name, ins, [T(index_type, ())], {"output_type": index_type}), [x])[0]


def top_k(x: Any, k: int, index_type: str = "int32") -> list[Any]:
    x = np.asarray(x)
    ins = [T(x.dtype.name, x.shape), T("int32", (), value=k)]
    return run_qcore(one_operator("TOPK_V2", ins, [T(x.dtype.name, ()), T(index_type, ())]), [x])


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32"])
@pytest.mark.parametrize("index_type", ["int32", "int64"])
def test_the_first_of_equal_values_counts(dtype: str, index_type: str) -> None:
    x = np.array([[1, 3, 3, 0, 0]], dtype)
    for name, place in (("ARG_MAX", 1), ("ARG_MIN", 3)):
        got = arg(name, x, -1, index_type)
        assert got.dtype == index_type
        assert got.tolist() == [place]


def test_the_axis_goes() -> None:
    assert arg("ARG_MAX", np.zeros((2, 3, 4), np.int8), 1).shape == (2, 4)
    assert arg("ARG_MAX", np.array([False, True, True]), 0) == 1


def test_nan_never_compares_but_is_not_beaten_in_the_first_place() -> None:
    x = np.array([[1, np.nan], [np.nan, 2], [-np.inf, np.nan], [np.nan, np.nan]], np.float32)
    assert arg("ARG_MAX", x, 0).tolist() == [0, 0]
    assert arg("ARG_MAX", x[1:], 0).tolist() == [0, 0]
    assert arg("ARG_MIN", x, 0).tolist() == [2, 0]


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
def test_the_greatest_values_come_in_descending_order_equal_ones_in_theirs(dtype: str) -> None:
    low = 0 if dtype in ("float32", "uint8") else np.iinfo(dtype).min
    values, indices = top_k(np.array([[5, low, 7, 5, 7], [1, 1, 1, 1, low]], dtype), 4)
    np.testing.assert_array_equal(values, np.array([[7, 7, 5, 5], [1, 1, 1, 1]], dtype))
    np.testing.assert_array_equal(indices, [[2, 4, 0, 3], [0, 1, 2, 3]])


def test_nan_is_the_least_of_all() -> None:
    values, indices = top_k(np.array([np.nan, -np.inf, 3], np.float32), 3)
    np.testing.assert_array_equal(values, np.array([3, -np.inf, np.nan], np.float32))
    assert indices.tolist() == [2, 1, 0]


def test_none_or_fewer_give_empty_rows() -> None:
    for k in (0, -1):
        values, indices = top_k(np.zeros((2, 3), np.int8), k, "int16")
        assert values.shape == indices.shape == (2, 0)
        assert indices.dtype == np.int16


def test_k_may_come_at_run_time() -> None:
    model = one_operator("TOPK_V2", [T("int8", (3,)), T("int16", (1,))], [T("int8", ()), T("int32", ())])
    values, indices = run_qcore(model, [np.array([1, 3, 2], np.int8), np.array([2], np.int16)])
    assert values.tolist() == [3, 2]
    assert indices.tolist() == [1, 2]


def test_refusals() -> None:
    with pytest.raises(ModelError, match=r"ARG_MAX.*axis 1 of \[2, 0\] is empty"):
        arg("ARG_MAX", np.zeros((2, 0), np.int8), 1)
    with pytest.raises(ModelError, match="axis 2 is out of range for rank 2"):
        arg("ARG_MIN", np.zeros((2, 2), np.int8), 2)
    with pytest.raises(ModelError, match="output_type is int16"):
        arg("ARG_MAX", np.zeros(2, np.int8), 0, "int16")
    with pytest.raises(UnsupportedError, match="input 0 is int64"):
        arg("ARG_MAX", np.zeros(2, np.int64), 0)
    with pytest.raises(ModelError, match="k is 4, but a row has 3"):
        top_k(np.zeros(3, np.int8), 4)
    with pytest.raises(ModelError, match="do not fit int16"):
        top_k(np.zeros(2**15 + 1, np.int8), 1, "int16")
    with pytest.raises(ModelError, match="indices .* are int64"):
        top_k(np.zeros(3, np.int8), 1, "int64")

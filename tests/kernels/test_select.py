"""SELECT, SELECT_V2, WHERE."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def run(name: str, condition: Any, x: Any, y: Any, dtype: str = "float32", output: tuple[int, ...] = (0,)) -> Any:
    condition, x, y = np.asarray(condition, bool), np.asarray(x, dtype), np.asarray(y, dtype)
    ins = [T("bool", condition.shape), T(dtype, x.shape), T(dtype, y.shape)]
    return run_qcore(one_operator(name, ins, [T(dtype, output)]), [condition, x, y])[0]


def where(x: Any) -> Any:
    x = np.asarray(x)
    return run_qcore(one_operator("WHERE", [T(x.dtype.name, x.shape)], [T("int64", (1, 1))]), [x])[0]


@pytest.mark.parametrize("name", ["SELECT", "SELECT_V2"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool", "uint16", "complex64"])
def test_each_element_is_chosen(name: str, dtype: str) -> None:
    x, y = np.array([[1, 1], [0, 1]], dtype), np.array([[0, 0], [1, 0]], dtype)
    got = run(name, [[True, False], [True, False]], x, y, dtype)
    assert got.dtype == dtype
    assert got.tolist() == np.array([[1, 0], [0, 0]], dtype).tolist()


def test_select_takes_one_truth_value_for_all_or_one_for_each_row() -> None:
    x, y = [[1, 2], [3, 4]], [[5, 6], [7, 8]]
    assert run("SELECT", True, x, y).tolist() == x
    assert run("SELECT", [False, True], x, y).tolist() == [[5, 6], [3, 4]]
    assert run("SELECT", [True], [[1, 2]], [[5, 6]]).tolist() == [[1, 2]]


def test_select_v2_broadcasts_all_three() -> None:
    assert run("SELECT_V2", [False, True], [[1], [2]], 9).tolist() == [[9, 1], [9, 2]]
    assert run("SELECT_V2", np.ones((2, 0), bool), [[1], [2]], 9).shape == (2, 0)


@pytest.mark.parametrize("name", ["SELECT", "SELECT_V2"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_single_elements_keep_the_outputs_own_shape(name: str, shape: tuple[int, ...]) -> None:
    got = run(name, [True], 2, [3], output=shape)
    assert got.shape == shape
    assert got == 2


def test_select_refusals() -> None:
    with pytest.raises(ModelError, match=r"values have shapes \[2\] and \[1\], expected the same"):
        run("SELECT", True, [1, 2], [1])
    with pytest.raises(ModelError, match=r"condition has shape \[3\], expected \[2, 2\], \[2\] or \[\]"):
        run("SELECT", [True] * 3, np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(ModelError, match="cannot be broadcast"):
        run("SELECT_V2", [True] * 3, [1, 2], 1)
    with pytest.raises(ModelError, match="condition is int8, expected bool"):
        ins = [T("int8", (1,)), T("float32", (1,)), T("float32", (1,))]
        run_qcore(one_operator("SELECT", ins, [T("float32", (1,))]), [np.ones(1, t.dtype) for t in ins])
    with pytest.raises(UnsupportedError, match="input 1 is string"):
        ins = [T("bool", (1,)), T("string", (1,)), T("string", (1,))]
        run_qcore(one_operator("SELECT", ins, [T("string", (1,))]), [])


@pytest.mark.parametrize("dtype", ["bool", "float32", "int64", "int32", "int8", "uint8", "uint32"])
def test_positions_in_the_order_of_memory(dtype: str) -> None:
    got = where(np.array([[0, 1, 0], [1, 0, 1]], dtype))
    assert got.dtype == np.int64
    assert got.tolist() == [[0, 1], [1, 0], [1, 2]]


def test_positions_of_nothing() -> None:
    assert where(np.zeros((2, 3), np.int32)).shape == (0, 2)
    assert where(np.zeros((0, 3), np.int32)).shape == (0, 2)
    assert where(np.float32([np.nan, -0.0])).tolist() == [[0]]
    with pytest.raises(ModelError, match="no dimensions"):
        where(np.int32(1))

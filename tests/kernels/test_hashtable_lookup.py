"""HASHTABLE_LOOKUP: rows by key, keys that are not there, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from qcore.kernels.hashtable_lookup import search
from tests.conformance.harness import T, one_operator, run_qcore


def run(wanted: Any, keys: Any, dtype: str, values: Any) -> list[Any]:
    shape = np.shape(values)
    inputs = [T("int32", np.shape(wanted)), T("int32", np.shape(keys)), T(dtype, shape)]
    model = one_operator("HASHTABLE_LOOKUP", inputs, [T(dtype, shape), T("uint8", (1,))])
    arrays = [np.array(wanted, np.int32), np.array(keys, np.int32), np.array(values, object if dtype == "string" else dtype)]
    return [got.tolist() for got in run_qcore(model, arrays)]


def test_rows_by_key_and_zeros() -> None:
    values = [[1, 2], [3, 4], [5, 6]]
    assert run([7, -5, 8, 100], [-5, 7, 100], "float32", values) == [[[3, 4], [1, 2], [0, 0], [5, 6]], [1, 1, 0, 1]]
    assert run([2, 1], [1], "int8", [9]) == [[0, 9], [0, 1]]
    assert run([], [1, 2], "int64", [9, 8]) == [[], []]


def test_strings_by_key() -> None:
    assert run([2, 3, 1], [1, 2], "string", [b"one", b"two"]) == [[b"two", b"", b"one"], [1, 0, 1]]


def test_halving_decides_where_keys_are_not_in_order() -> None:
    keys = np.array([5, 1, 1, 1, 9, 2], np.int32)
    assert search(keys, np.array([1, 5, 2, 9], np.int32)).tolist() == [3, -1, 5, -1]


def test_refusals() -> None:
    with pytest.raises(QCoreError, match="there are no keys"):
        run([1], [], "int8", [])
    with pytest.raises(QCoreError, match=r"values have shape \[3\], expected a row for each of 2 keys"):
        run([1], [1, 2], "int8", [1, 2, 3])
    with pytest.raises(QCoreError, match="rank 2"):
        run([1], [1, 2], "string", [[b"a"], [b"b"]])
    with pytest.raises(QCoreError, match="rank 0"):
        run(1, [1, 2], "int8", [1, 2])

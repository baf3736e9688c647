"""Values repeated, and values counted up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def operate(name: str, arrays: list[Any], dtype: str) -> Any:
    """Run an operator whose inputs are all known at run time alone."""
    arrays = [np.asarray(x) for x in arrays]
    ins = [T("string" if x.dtype == object else x.dtype.name, x.shape) for x in arrays]
    return run_qcore(one_operator(name, ins, [T(dtype, ())]), arrays)[0]


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_tile(dtype: str, index_type: type) -> None:
    x = (np.arange(6).reshape(2, 3) % 2).astype(dtype)
    for multiples in ([1, 1], [2, 3], [0, 2]):
        np.testing.assert_array_equal(operate("TILE", [x, np.array(multiples, index_type)], dtype), np.tile(x, multiples))


def test_tile_of_strings() -> None:
    x = np.array([b"a", b"bc"], object)
    assert operate("TILE", [x, np.array([2], np.int32)], "string").tolist() == [b"a", b"bc", b"a", b"bc"]


def test_tile_refusals() -> None:
    x = np.zeros((2, 3), np.int8)
    with pytest.raises(ModelError, match="hold a negative one"):
        operate("TILE", [x, np.array([1, -1], np.int32)], "int8")
    with pytest.raises(ModelError, match="expected 2 values"):
        operate("TILE", [x, np.array([1], np.int32)], "int8")
    with pytest.raises(ModelError, match="the memory limit is"):
        operate("TILE", [x, np.array([2**20, 2**20], np.int32)], "int8")
    with pytest.raises(ModelError, match=r"the output is \[0, 6442450941\], expected sizes from 0 to 2147483647"):
        operate("TILE", [x, np.array([0, 2**31 - 1], np.int32)], "int8")


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64", "bool", "complex64"])
def test_broadcast_to(dtype: str) -> None:
    x = (np.arange(3).reshape(3, 1) % 2).astype(dtype)
    for shape in ([3, 1], [3, 2], [2, 3, 4]):
        np.testing.assert_array_equal(operate("BROADCAST_TO", [x, np.array(shape, np.int64)], dtype), np.broadcast_to(x, shape))
    assert operate("BROADCAST_TO", [x[0, 0], np.zeros(0, np.int32)], dtype).shape == ()


@pytest.mark.parametrize("shape", [[3], [2, 2], [1, 3], [3, -1]])
def test_broadcast_to_refuses_shapes_that_do_not_fit(shape: list[int]) -> None:
    with pytest.raises(ModelError, match="(cannot be broadcast to|expected sizes from 0)"):
        operate("BROADCAST_TO", [np.zeros((3, 2), np.int8), np.array(shape, np.int32)], "int8")


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_broadcast_args(dtype: str) -> None:
    def broadcast_args(first: list[int], second: list[int]) -> Any:
        return operate("BROADCAST_ARGS", [np.array(first, dtype), np.array(second, dtype)], dtype)

    assert broadcast_args([2, 1, 4], [3, 1]).tolist() == [2, 3, 4]
    assert broadcast_args([], [5]).tolist() == [5]
    assert broadcast_args([1, 0], [7, 1]).tolist() == [7, 0]
    with pytest.raises(ModelError, match=r"BROADCAST_ARGS .*: shapes \[2, 3\] and \[2\] cannot be broadcast together"):
        broadcast_args([2, 3], [2])


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int32", "int64", "bool", "uint8"])
def test_fill(dtype: str) -> None:
    got = operate("FILL", [np.array([2, 3], np.int32), np.ones((), dtype)], dtype)
    np.testing.assert_array_equal(got, np.ones((2, 3), dtype))
    assert operate("FILL", [np.zeros(0, np.int64), np.ones((), dtype)], dtype).shape == ()


def test_fill_with_a_string() -> None:
    value = np.empty((), object)
    value[()] = b"abc"
    assert operate("FILL", [np.array([2], np.int32), value], "string").tolist() == [b"abc", b"abc"]


def test_fill_refusals() -> None:
    value = np.ones((), np.float32)
    with pytest.raises(ModelError, match="expected sizes from 0"):
        operate("FILL", [np.array([2, -3], np.int32), value], "float32")
    with pytest.raises(ModelError, match="has 33 axes"):
        operate("FILL", [np.ones(33, np.int32), value], "float32")
    with pytest.raises(ModelError, match="the memory limit is"):
        operate("FILL", [np.array([2**20, 2**20]), value], "float32")
    with pytest.raises(ModelError, match="elements at most"):
        operate("FILL", [np.array([2**30, 2**30, 0]), value], "float32")
    with pytest.raises(UnsupportedError, match="is int16, qcore has int32, int64"):
        operate("FILL", [np.array([2], np.int16), value], "float32")


def count(start: Any, limit: Any, delta: Any, dtype: str) -> Any:
    return operate("RANGE", [np.array(x, dtype) for x in (start, limit, delta)], dtype)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_range_of_integers(dtype: str) -> None:
    assert count(1, 8, 3, dtype).tolist() == [1, 4, 7]
    assert count(1, 7, 3, dtype).tolist() == [1, 4]
    assert count(5, -1, -2, dtype).tolist() == [5, 3, 1]
    assert count(5, 5, 1, dtype).tolist() == []
    assert count(-(2**31), 2**31 - 1, 2**30, dtype).tolist() == [-(2**31), -(2**30), 0, 2**30]


def test_range_of_floats_adds_up_in_float32() -> None:
    value, want = np.float32(0), []
    for _ in range(30):
        want.append(value)
        value += np.float32(0.1)
    assert count(0, 3, 0.1, "float32").tolist() == want
    assert count(1, 0, -0.25, "float32").tolist() == [1, 0.75, 0.5, 0.25]


def test_the_count_is_rounded_in_float32() -> None:
    """Between the float32 values of 0.3 and 0.1 the quotient is 3.00000007, which float32 rounds to 3."""
    assert count(0, 0.3, 0.1, "float32").size == 3


@pytest.mark.parametrize(
    ("start", "limit", "delta"), [(0, 3, 0), (0, 3, -1), (3, 0, 1), (0, np.nan, 1), (np.nan, 1, 1), (0, 1, np.nan), (0, np.inf, 1)]
)
def test_range_refuses_what_has_no_end(start: float, limit: float, delta: float) -> None:
    with pytest.raises(ModelError, match="RANGE .*(does not lead from start to limit|give more than)"):
        count(start, limit, delta, "float32")


def test_a_range_is_bounded() -> None:
    with pytest.raises(ModelError, match="give more than"):
        count(-(2**63), 2**63 - 1, 1, "int64")
    with pytest.raises(ModelError, match="the memory limit is"):
        count(0, 2**31 - 1, 1, "int64")

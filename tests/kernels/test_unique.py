"""Different values and buckets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def unique(x: Any, index_type: str = "int32") -> list[Any]:
    model = one_operator("UNIQUE", [T(x.dtype.name, x.shape)], [T(x.dtype.name, ()), T(index_type, ())], {"idx_out_type": index_type})
    return run_qcore(model, [x])


def bucketize(x: Any, boundaries: list[float], output_type: str = "int32") -> Any:
    x = np.asarray(x)
    return run_qcore(one_operator("BUCKETIZE", [T(x.dtype.name, x.shape)], [T(output_type, ())], {"boundaries": boundaries}), [x])[0]


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("index_type", ["int32", "int64"])
def test_values_come_in_order_of_appearance(dtype: str, index_type: str) -> None:
    values, indices = unique(np.array([5, 2, 5, 9, 2, 0], dtype), index_type)
    assert values.dtype == dtype
    assert indices.dtype == index_type
    assert values.tolist() == [5, 2, 9, 0]
    assert indices.tolist() == [0, 1, 0, 2, 1, 3]


def test_the_first_of_two_zeros_stands_for_both() -> None:
    values, indices = unique(np.array([-0.0, 0.0], np.float32))
    assert np.signbit(values).tolist() == [True]
    assert indices.tolist() == [0, 0]


def test_nothing_holds_nothing() -> None:
    values, indices = unique(np.zeros(0, np.int8))
    assert values.shape == indices.shape == (0,)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_a_value_on_a_boundary_lies_above_it(dtype: str) -> None:
    got = bucketize(np.array([[-5, 0], [1, 10], [11, 100]], dtype), [0, 10, 10, 100])
    assert got.dtype == np.int32
    assert got.tolist() == [[0, 1], [1, 3], [3, 4]]


def test_integers_are_compared_as_float32_and_nan_is_above_all() -> None:
    assert bucketize(np.int32(2**24 + 1), [2**24, 2**24 + 2]).item() == 1
    assert bucketize(np.int32(2**24 - 1), [2**24]).item() == 0
    assert bucketize(np.int64(2**30 - 1), [2**30]).item() == 1
    assert bucketize(np.float32(np.nan), [0, 1]).item() == 2
    assert bucketize(np.zeros(3, np.float32), []).tolist() == [0, 0, 0]


def test_refusals() -> None:
    with pytest.raises(ModelError, match="rank 2"):
        unique(np.zeros((1, 2), np.int8))
    with pytest.raises(ModelError, match="idx_out_type is int16"):
        unique(np.zeros(2, np.int8), "int16")
    with pytest.raises(UnsupportedError, match="input 0 is bool"):
        unique(np.zeros(2, bool))
    with pytest.raises(ModelError, match="boundaries do not ascend"):
        bucketize(np.zeros(2, np.float32), [1, 0])
    with pytest.raises(ModelError, match="is int64, expected int32"):
        bucketize(np.zeros(2, np.float32), [0], "int64")

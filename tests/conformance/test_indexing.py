"""ONE_HOT, REVERSE_V2, REVERSE_SEQUENCE, UNIQUE and BUCKETIZE against TensorFlow Lite."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator, random_inputs


@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32", "int64", "bool"])
def test_one_hot(dtype: str, axis: int) -> None:
    for index_type in ("int32", "int64"):
        ins = [T(index_type, (3, 4)), T("int32", (), value=5), T(dtype, (), value=1), T(dtype, (), value=0)]
        model = one_operator("ONE_HOT", ins, [T(dtype, ())], {"axis": axis})
        assert_same(model, [np.random.default_rng(0).integers(-2, 8, (3, 4)).astype(index_type)])


@pytest.mark.parametrize("axes", [[0], [-1], [1], [1, 0], [1, 2], [0, 1, 2]])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool"])
def test_reverse(dtype: str, axes: list[int]) -> None:
    model = one_operator("REVERSE_V2", [T(dtype, (2, 3, 4)), T("int32", (len(axes),), value=axes)], [T(dtype, (2, 3, 4))])
    assert_same(model, random_inputs(model, np.random.default_rng(0)))


@pytest.mark.parametrize(("seq_dim", "batch_dim"), [(0, 1), (1, 0), (1, 3), (3, 1), (2, 0)])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16", "int32", "int64"])
def test_reverse_sequence(dtype: str, seq_dim: int, batch_dim: int) -> None:
    shape, rng = (2, 3, 4, 5), np.random.default_rng(0)
    ins = [T(dtype, shape), T("int32", (shape[batch_dim],))]
    model = one_operator("REVERSE_SEQUENCE", ins, [T(dtype, shape)], {"seq_dim": seq_dim, "batch_dim": batch_dim})
    lengths = rng.integers(0, shape[seq_dim] + 1, shape[batch_dim]).astype(np.int32)
    assert_same(model, [random_inputs(model, rng)[0], lengths])


@pytest.mark.parametrize("index_type", ["int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
def test_unique(dtype: str, index_type: str) -> None:
    model = one_operator("UNIQUE", [T(dtype, (40,))], [T(dtype, ()), T(index_type, ())], {"idx_out_type": index_type})
    assert_same(model, [np.random.default_rng(0).integers(0, 12, 40).astype(dtype)])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_bucketize(dtype: str) -> None:
    boundaries = [-1.5, 0.0, 0.0, 2.0]
    model = one_operator("BUCKETIZE", [T(dtype, (4, 5))], [T("int32", ())], {"boundaries": boundaries})
    assert_same(model, [(np.arange(-10, 10).reshape(4, 5) / 4).astype(dtype)])

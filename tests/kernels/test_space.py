"""Blocks of pixels moved into channels or the batch, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError
from tests.conformance.harness import T, one_operator, run_qcore


def depth(name: str, x: Any, block: int) -> Any:
    return run_qcore(one_operator(name, [T(x.dtype.name, x.shape)], [T(x.dtype.name, ())], {"block_size": block}), [x])[0]


def batch(
    name: str, x: Any, block: list[int], margins: list[list[int]], scale: Any = None, zero_point: int = 0, constant: bool = True
) -> Any:
    arrays = [np.array(block, np.int32), np.array(margins, np.int32)]
    ins = [T(x.dtype.name, x.shape, scale, zero_point)] + [T("int32", a.shape, value=a if constant else None) for a in arrays]
    model = one_operator(name, ins, [T(x.dtype.name, (), scale, zero_point)])
    return run_qcore(model, [x] if constant else [x, *arrays])[0]


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int32", "int64"])
def test_channels_hold_the_block_row_by_row(dtype: str) -> None:
    x = np.arange(16).reshape(1, 2, 4, 2).astype(dtype)
    got = depth("SPACE_TO_DEPTH", x, 2)
    assert got.tolist() == [[[[0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]]]]
    np.testing.assert_array_equal(depth("DEPTH_TO_SPACE", got, 2), x)


def test_depth_and_back_for_other_blocks() -> None:
    for block in (1, 3):
        x = np.arange(2 * 6 * 3 * 5, dtype=np.int32).reshape(2, 6, 3, 5)
        np.testing.assert_array_equal(depth("DEPTH_TO_SPACE", depth("SPACE_TO_DEPTH", x, block), block), x)


def test_depth_refusals() -> None:
    x = np.zeros((1, 4, 6, 4), np.int8)
    with pytest.raises(ModelError, match=r"does not divide into blocks of 4 x 4"):
        depth("SPACE_TO_DEPTH", x, 4)
    with pytest.raises(ModelError, match="4 channels do not divide into blocks of 3 x 3"):
        depth("DEPTH_TO_SPACE", x, 3)
    for name in ("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"):
        with pytest.raises(ModelError, match="block_size is 0, expected at least 1"):
            depth(name, x, 0)
        with pytest.raises(ModelError, match="rank 3"):
            depth(name, x[0], 1)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("constant", [True, False])
def test_the_batch_holds_the_block_row_by_row(dtype: str, constant: bool) -> None:
    x = np.arange(8).reshape(1, 2, 4, 1).astype(dtype)
    got = batch("SPACE_TO_BATCH_ND", x, [2, 2], [[0, 0], [0, 0]], constant=constant)
    assert got.reshape(4, 2).tolist() == [[0, 2], [1, 3], [4, 6], [5, 7]]
    np.testing.assert_array_equal(batch("BATCH_TO_SPACE_ND", got, [2, 2], [[0, 0], [0, 0]], constant=constant), x)


def test_the_batch_goes_within_the_block() -> None:
    x = np.array([[0, 1], [2, 3]], np.int8).reshape(2, 2, 1)
    assert batch("SPACE_TO_BATCH_ND", x, [2], [[0, 0]]).reshape(-1).tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"), [("int8", 0.5, -7), ("uint8", 0.5, 255), ("int8", None, 0), ("float32", None, 0)]
)
def test_padding_is_real_zero(dtype: str, scale: Any, zero_point: int) -> None:
    x = np.array([1, 2, 3], dtype).reshape(1, 3, 1)
    got = batch("SPACE_TO_BATCH_ND", x, [2], [[2, 1]], scale, zero_point)
    assert got.reshape(2, 3).tolist() == [[zero_point, 1, 3], [zero_point, 2, zero_point]]


def test_crops() -> None:
    x = np.arange(6, dtype=np.int8).reshape(2, 3, 1)
    assert batch("BATCH_TO_SPACE_ND", x, [2], [[1, 2]]).reshape(-1).tolist() == [3, 1, 4]
    assert batch("BATCH_TO_SPACE_ND", x, [2], [[3, 3]]).shape == (1, 0, 1)


def test_batch_refusals() -> None:
    x = np.zeros((2, 3, 1), np.int8)
    with pytest.raises(ModelError, match=r"padded input \[2, 3, 1\] does not divide into blocks of \[2\]"):
        batch("SPACE_TO_BATCH_ND", x, [2], [[0, 0]])
    with pytest.raises(ModelError, match=r"a batch of 2 does not divide into blocks of \[3\]"):
        batch("BATCH_TO_SPACE_ND", x, [3], [[0, 0]])
    with pytest.raises(ModelError, match=r"crops \[4, 3\] take more than there is, 6"):
        batch("BATCH_TO_SPACE_ND", x, [2], [[4, 3]])
    for name in ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
        with pytest.raises(ModelError, match=r"block sizes \[0\], expected at least 1"):
            batch(name, x, [0], [[0, 0]])
        with pytest.raises(ModelError, match="holds a negative number"):
            batch(name, x, [1], [[0, -1]])
        with pytest.raises(ModelError, match=r"is \[2\], expected \[1\]"):
            batch(name, x, [1, 1], [[0, 0]])
        with pytest.raises(ModelError, match="rank 2"):
            batch(name, x[0], [1], [[0, 0]])
    with pytest.raises(ModelError, match="the memory limit is"):
        batch("SPACE_TO_BATCH_ND", x[:, :, None], [1, 1], [[2**20, 0], [0, 2**20]])

"""Reversal along axes, and up to a length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def reverse(x: Any, axes: list[int]) -> Any:
    ins = [T(x.dtype.name, x.shape), T("int32", (len(axes),), value=axes)]
    return run_qcore(one_operator("REVERSE_V2", ins, [T(x.dtype.name, x.shape)]), [x])[0]


def reverse_sequence(x: Any, lengths: Any, seq_dim: int, batch_dim: int) -> Any:
    lengths = np.asarray(lengths)
    ins = [T(x.dtype.name, x.shape), T(lengths.dtype.name, lengths.shape)]
    options = {"seq_dim": seq_dim, "batch_dim": batch_dim}
    return run_qcore(one_operator("REVERSE_SEQUENCE", ins, [T(x.dtype.name, x.shape)], options), [x, lengths])[0]


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "float16"])
@pytest.mark.parametrize("axes", [[0], [-1], [1, 0], [1, 2], [0, 1, 2]])
def test_adjacent_axes_in_any_order(dtype: str, axes: list[int]) -> None:
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    np.testing.assert_array_equal(reverse(x, axes), np.flip(x, axes))


@pytest.mark.parametrize("axes", [[0, 2], [1, 1], []])
def test_refuses_axes_that_are_not_adjacent(axes: list[int]) -> None:
    with pytest.raises(ModelError, match=r"REVERSE_V2 .*expected one or several adjacent ones"):
        reverse(np.zeros((2, 3, 4), np.int8), axes)


@pytest.mark.parametrize("length_type", [np.int32, np.int64])
def test_each_entry_up_to_its_own_length(length_type: type) -> None:
    x = np.arange(12, dtype=np.int32).reshape(3, 4)
    want = np.array([[0, 1, 2, 3], [6, 5, 4, 7], [11, 10, 9, 8]])
    lengths = np.array([1, 3, 4], length_type)
    np.testing.assert_array_equal(reverse_sequence(x, lengths, 1, 0), want)
    np.testing.assert_array_equal(reverse_sequence(np.ascontiguousarray(x.T), lengths, 0, 1), want.T)


def test_axes_between_and_around_are_moved_along() -> None:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    got = reverse_sequence(x, np.array([2, 0, -1, 3, 1]), 1, 3)
    for entry, length in enumerate([2, 0, 0, 3, 1]):
        np.testing.assert_array_equal(got[:, :length, :, entry], x[:, :length, :, entry][:, ::-1])
        np.testing.assert_array_equal(got[:, length:, :, entry], x[:, length:, :, entry])


def test_refusals() -> None:
    x = np.zeros((2, 3), np.int32)
    with pytest.raises(ModelError, match="a sequence length is 4, axis 1 has 3"):
        reverse_sequence(x, np.array([0, 4]), 1, 0)
    with pytest.raises(ModelError, match=r"seq_lengths have shape \[3\], expected \[2\]"):
        reverse_sequence(x, np.array([0, 0, 0]), 1, 0)
    with pytest.raises(ModelError, match="seq_dim 2 is out of range for rank 2"):
        reverse_sequence(x, np.array([0, 0]), 2, 0)
    with pytest.raises(ModelError, match="are both 1"):
        reverse_sequence(x, np.array([0, 0, 0]), 1, 1)
    with pytest.raises(UnsupportedError, match="input 0 is int8"):
        reverse_sequence(x.astype(np.int8), np.array([0, 0]), 1, 0)
    with pytest.raises(UnsupportedError, match="qcore has int32, int64"):
        reverse_sequence(x, np.zeros(2, np.int16), 1, 0)

"""LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT, BITWISE_XOR, RIGHT_SHIFT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32"]


def run(name: str, *inputs: Any) -> Any:
    arrays = [np.asarray(x) for x in inputs]
    kind = arrays[0].dtype.name
    return run_qcore(one_operator(name, [T(kind, x.shape) for x in arrays], [T(kind, ())]), arrays)[0]


def test_truth_tables() -> None:
    x, y = np.array([[False], [True]]), np.array([False, True])
    assert run("LOGICAL_AND", x, y).tolist() == [[False, False], [False, True]]
    assert run("LOGICAL_OR", x, y).tolist() == [[False, True], [True, True]]
    assert run("LOGICAL_NOT", y).tolist() == [True, False]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_exclusive_or(dtype: str) -> None:
    greatest = np.iinfo(dtype).max
    assert run("BITWISE_XOR", np.array([0b1100, greatest], dtype), np.array([0b1010, greatest], dtype)).tolist() == [0b0110, 0]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_are_cut_to_the_width(dtype: str) -> None:
    bits, least = np.iinfo(dtype).bits, np.iinfo(dtype).min
    assert run("RIGHT_SHIFT", np.array([100, 100, 100, 100], dtype), np.array([0, 3, bits - 1, bits + 5], dtype)).tolist() == [
        100,
        12,
        0,
        0,
    ]
    if least:
        assert run("RIGHT_SHIFT", np.array([-100, -1, least, -100], dtype), np.array([3, 99, bits - 1, -5], dtype)).tolist() == [
            -13,
            -1,
            -1,
            -100,
        ]


def test_other_types_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="input 0 is int32, qcore has bool"):
        run("LOGICAL_AND", np.int32([1]), np.int32([1]))
    with pytest.raises(UnsupportedError, match="input 0 is int64"):
        run("RIGHT_SHIFT", np.int64([1]), np.int64([1]))

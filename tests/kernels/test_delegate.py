"""What XNNPACK can hold, and what it does to tiny numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qcore.kernels.delegate import can_hold, delegated, flushing, is_static
from qcore.kernels.opdef import Node, Operand
from qcore.model import Quantization


def per_tensor(axis: int = 0, scales: int = 1) -> Quantization:
    return Quantization(np.full(scales, 0.5, np.float32), np.zeros(scales, np.int64), axis)


CODES = Operand("codes", "int8", (2, 3), per_tensor())
REAL = Operand("real", "float32", (2, 3))


@pytest.mark.parametrize("tensor", [CODES, REAL, dataclasses.replace(CODES, dtype="uint8"), dataclasses.replace(REAL, shape=(1,) * 6)])
def test_tensors_that_it_holds(tensor: Operand) -> None:
    assert can_hold(tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        dataclasses.replace(CODES, dtype="int16"),
        dataclasses.replace(CODES, quantization=None),
        dataclasses.replace(CODES, quantization=per_tensor(scales=2)),
        dataclasses.replace(CODES, quantization=per_tensor(axis=1)),
        dataclasses.replace(REAL, shape=(1,) * 7),
        dataclasses.replace(REAL, shape=(2, 0)),
    ],
)
def test_tensors_that_it_does_not(tensor: Operand) -> None:
    assert not can_hold(tensor)


@pytest.mark.parametrize(("arithmetic", "expected"), [("xnnpack", True), ("builtin", False), ("reference", False)])
def test_the_other_arithmetics_have_no_delegate(arithmetic: str, expected: bool) -> None:
    node = Node("ADD", "ADD", (CODES, REAL), (CODES,), arithmetic=arithmetic)  # type: ignore[arg-type]
    assert delegated(node, CODES, REAL) is expected


def test_only_a_value_of_the_file_is_static() -> None:
    assert not is_static(CODES)
    assert is_static(dataclasses.replace(CODES, constant=np.zeros((2, 3), np.int8)))
    assert not is_static(dataclasses.replace(CODES, constant=np.zeros((2, 3), np.int8), computed=True))


def test_subnormal_results_are_flushed_and_nothing_else() -> None:
    x = np.float32([1e-38, -1e-38, 2e-38, -2e-38, 0, np.inf, np.nan])
    np.testing.assert_array_equal(flushing(np.positive)(x), np.float32([0, 0, 2e-38, -2e-38, 0, np.inf, np.nan]))

"""A tensor's shape and rank."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from qcore.kernels.opdef import Node, Operand
from qcore.kernels.shape import RANK, SHAPE
from tests.conformance.harness import T, one_operator, run_qcore


@pytest.mark.parametrize("out_type", ["int32", "int64"])
def test_shape(out_type: str) -> None:
    model = one_operator("SHAPE", [T("float32", (2, 0, 3))], [T(out_type, (3,))], {"out_type": out_type})
    got = run_qcore(model, [np.zeros((2, 0, 3), np.float32)])[0]
    assert got.dtype == out_type
    assert got.tolist() == [2, 0, 3]


def test_rank() -> None:
    model = one_operator("RANK", [T("int8", (2, 3))], [T("int32", ())])
    got = run_qcore(model, [np.zeros((2, 3), np.int8)])[0]
    assert got.shape == () and got == 2


def test_both_are_known_without_values() -> None:
    node = Node("SHAPE", "SHAPE (op 0)", (Operand("x", "string", (4, 5)),), (Operand("y", "int32", ()),), {"out_type": "int32"})
    for definition in (SHAPE, RANK):
        step = definition.ready(node)
        assert step.known
        assert np.shape(step.kernel(step.params, None)) == step.shapes[0]


def test_refusals() -> None:
    x = Operand("x", "float32", (4, 5))
    with pytest.raises(UnsupportedError, match="out_type float32, qcore has int32, int64"):
        SHAPE.ready(Node("SHAPE", "SHAPE (op 0)", (x,), (x,), {"out_type": "float32"}))
    with pytest.raises(ModelError, match="is float32, out_type int64"):
        SHAPE.ready(Node("SHAPE", "SHAPE (op 0)", (x,), (x,), {"out_type": "int64"}))
    with pytest.raises(ModelError, match="is float32, expected int32"):
        RANK.ready(Node("RANK", "RANK (op 0)", (x,), (x,)))

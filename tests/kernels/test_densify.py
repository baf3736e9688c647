"""DENSIFY, and operators on sparse constants: the values that are stored, zeros elsewhere, within the memory limit."""

from __future__ import annotations

import numpy as np
import pytest

import qcore
from qcore.errors import QCoreError
from qcore.model import Model
from tests.conformance.harness import T, one_operator, run_qcore
from tests.kernels.sparse import make_sparse, rows_of_blocks

MATRIX = np.array([[0, 1, 0, 0], [2, 0, 0, 3]])


def sparse_model(operator: str, dtype: str = "float32", width: int = 1) -> Model:
    return make_sparse(one_operator(operator, [T(dtype, (2, 4), value=MATRIX)], [T(dtype, (2, 4))]), 0, width)


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_stored_elements_and_zeros(dtype: str, width: int) -> None:
    (got,) = run_qcore(sparse_model("DENSIFY", dtype, width), [])
    assert (got.dtype, got.tolist()) == (dtype, MATRIX.tolist())


def test_any_operator_takes_a_sparse_constant() -> None:
    assert run_qcore(sparse_model("ABS"), [])[0].tolist() == MATRIX.tolist()


def test_a_filter_may_be_sparse() -> None:
    x = np.array([[1, 10, 100, 1000]])
    model = make_sparse(
        one_operator("FULLY_CONNECTED", [T("float32", (1, 4)), T("float32", (2, 4), value=MATRIX)], [T("float32", (1, 2))]), 1
    )
    assert run_qcore(model, [x.astype(np.float32)])[0].tolist() == [[10, 3002]]
    inputs = [T("int8", (1, 4), 0.5, 3), T("int8", (2, 4), 2, value=MATRIX)]
    model = make_sparse(one_operator("FULLY_CONNECTED", inputs, [T("int8", (1, 2), 1, -5)]), 1)
    assert run_qcore(model, [np.array([[1, 10, 100, 23]], np.int8)])[0].tolist() == [[2, 51]]


def test_sums_of_a_sparse_filter_are_rounded_twice() -> None:
    """0.498 goes down to 0; twice it goes up to 1, and half of that to 1."""
    inputs = [T("int8", (1, 4), 0.25 - 2**-10), T("int8", (1, 4), 1, value=[[1, 0, 0, 0]])]
    model, x = one_operator("FULLY_CONNECTED", inputs, [T("int8", (1, 1), 1)]), np.array([[2, 0, 0, 0]], np.int8)
    assert run_qcore(model, [x])[0].item() == 0
    assert run_qcore(make_sparse(model, 1), [x])[0].item() == 1


def test_refusals() -> None:
    with pytest.raises(QCoreError, match=r"^DENSIFY \(op 0.* is no sparse constant"):
        run_qcore(one_operator("DENSIFY", [T("float32", (2, 4), value=MATRIX)], [T("float32", (2, 4))]), [])
    with pytest.raises(QCoreError, match="is no sparse constant"):
        run_qcore(one_operator("DENSIFY", [T("float32", (2, 4))], [T("float32", (2, 4))]), [np.zeros((2, 4), np.float32)])
    inputs = [T("int8", (1, 4), 1), T("int8", (2, 4), 1, 5, value=MATRIX)]
    with pytest.raises(QCoreError, match="a sparse filter takes int8 inputs and has zero point 0"):
        run_qcore(make_sparse(one_operator("FULLY_CONNECTED", inputs, [T("int8", (1, 2), 1)]), 1), [np.zeros((1, 4), np.int8)])


def test_small_files_that_stand_for_much_are_refused() -> None:
    """One alone, and two that only together are over the limit."""
    model = one_operator("ADD", [T("int8", (1, 1), 1, value=[[1]]), T("int8", (1, 1), 1, value=[[1]])], [T("int8", (1, 1), 1)])
    for index in (0, 1):
        tensor = model.subgraphs[0].tensors[index]
        tensor.shape, tensor.sparsity = (1, 2**20), rows_of_blocks([0, 1], [0], (1, 2**20), 1)
    for limit in (2**20 - 1, 3 * 2**19):
        with pytest.raises(QCoreError, match=f"a sparse constant of {2**20} bytes when made dense, more than the limit of"):
            qcore.Interpreter(model_content=model, memory_limit=limit).allocate_tensors()

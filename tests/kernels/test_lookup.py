"""EMBEDDING_LOOKUP: rows as they are, rows dequantized, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore
from tests.kernels.blockwise import with_blocks

TABLE = [[1, 2, 3], [4, 5, 6], [-7, -8, 7]]


def run(table: T, ids: Any, output_type: str) -> np.ndarray:
    numbers = np.asarray(ids, np.int32)
    output = T(output_type, (*numbers.shape, *table.shape[1:]))
    return run_qcore(one_operator("EMBEDDING_LOOKUP", [T("int32", numbers.shape), table], [output]), [numbers])[0]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int16", "int32", "int64", "int4"])
def test_rows_of_every_type_as_they_are(dtype: str) -> None:
    got = run(T(dtype, (3, 3), value=TABLE), [2, 0, 2], dtype)
    assert got.tolist() == [TABLE[2], TABLE[0], TABLE[2]]


def test_rows_of_higher_rank() -> None:
    table = np.arange(12).reshape(3, 2, 2)
    assert run(T("int32", (3, 2, 2), value=table), [1], "int32").tolist() == table[1:2].tolist()


@pytest.mark.parametrize("dtype", ["int8", "int4"])
@pytest.mark.parametrize("output", ["float32", "float16"])
def test_rows_are_dequantized_with_the_tables_scale_or_their_own(dtype: str, output: str) -> None:
    """Rows of three int4 codes start within a byte."""
    assert run(T(dtype, (3, 3), 0.5, value=TABLE), [1, 2], output).tolist() == [[2, 2.5, 3], [-3.5, -4, 3.5]]
    got = run(T(dtype, (3, 3), [0.5, 2, 4], value=TABLE), [1, 2], output)
    assert (got.dtype, got.tolist()) == (output, [[8, 10, 12], [-28, -32, 28]])


def test_rows_of_higher_rank_have_one_scale_each() -> None:
    table = T("int8", (2, 2, 2), [1, 10], value=np.arange(8))
    assert run(table, [1, 0], "float32").tolist() == [[[40, 50], [60, 70]], [[0, 1], [2, 3]]]


def test_rows_may_have_a_scale_for_each_block() -> None:
    table = T("int4", (2, 4), value=[[1, 2, 3, 4], [-8, 7, 0, 1]])
    model = one_operator("EMBEDDING_LOOKUP", [T("int32", (2,)), table], [T("float32", (2, 4))])
    with_blocks(model, 1, 2, [[1, 10], [0.5, 100]])
    assert run_qcore(model, [np.array([1, 0], np.int32)])[0].tolist() == [[-4, 3.5, 0, 100], [1, 2, 30, 40]]


def test_a_table_of_uint8_holds_int8_codes() -> None:
    assert run(T("uint8", (1, 2), 0.5, value=[[254, 2]]), [0], "float32").tolist() == [[-1, 1]]


def test_rows_that_are_copied_have_one_scale() -> None:
    with pytest.raises(QCoreError, match="has 3 scales, expected one where rows of int8 are copied"):
        run(T("int8", (3, 3), [1, 2, 3], value=TABLE), [1], "int8")


def test_no_ids_give_no_rows() -> None:
    assert run(T("int8", (3, 3), [1, 2, 3], value=TABLE), [], "float32").shape == (0, 3)


@pytest.mark.parametrize("number", [3, -1])
def test_ids_outside_the_table_are_refused_at_run_time(number: int) -> None:
    for scale, output in ((1, "float32"), (None, "int8")):
        with pytest.raises(QCoreError, match=rf"^EMBEDDING_LOOKUP \(op 0.*index {number} is out of range"):
            run(T("int8", (3, 3), scale, value=TABLE), [number], output)


@pytest.mark.parametrize(
    ("table", "ids", "output", "message"),
    [
        (T("int8", (3,), 1, value=[1, 2, 3]), [0], "float32", r"table .* has shape \[3\], expected rank 2 or more"),
        (T("int8", (3, 3), 1, value=TABLE), [[0]], "float32", "has rank 2"),
        (T("int8", (3, 3), 1, 1, value=TABLE), [0], "float32", r"table has zero points \[1\], expected 0"),
        (T("int8", (3, 3), value=TABLE), [0], "float32", "has no scale"),
        (T("int8", (3, 3), [1, 1, 1], axis=1, value=TABLE), [0], "float32", "table has 3 scales along axis 1"),
        (T("int16", (3, 3), 1, value=TABLE), [0], "float32", "is float32, .* is int16, expected one type"),
    ],
)
def test_refusals(table: T, ids: Any, output: str, message: str) -> None:
    with pytest.raises(QCoreError, match=r"^EMBEDDING_LOOKUP \(op 0.*" + message):
        run(table, ids, output)


def test_ids_must_be_int32() -> None:
    model = one_operator("EMBEDDING_LOOKUP", [T("int64", (1,)), T("int8", (3, 3), 1, value=TABLE)], [T("float32", (1, 3))])
    with pytest.raises(QCoreError, match="ids are int64, expected int32"):
        run_qcore(model, [np.zeros(1, np.int64)])

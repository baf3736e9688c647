"""STABLEHLO_ADD, _MULTIPLY, _MAXIMUM, _MINIMUM, _AND, _SHIFT_LEFT: small sums, wrapping, NaN, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore


def run(operator: str, dtype: str, x: Any, y: Any) -> list[Any]:
    arrays = [np.array(x).astype(dtype), np.array(y).astype(dtype)]
    model = one_operator(f"STABLEHLO_{operator}", [T(dtype, array.shape) for array in arrays], [T(dtype, (1,))])
    got = run_qcore(model, arrays)[0]
    assert got.dtype == dtype
    return got.tolist()


@pytest.mark.parametrize(
    ("operator", "wanted"), [("ADD", [5, -4]), ("MULTIPLY", [6, -5]), ("MAXIMUM", [3, 1]), ("MINIMUM", [2, -5]), ("AND", [2, 1])]
)
@pytest.mark.parametrize("dtype", ["int8", "int64", "float32", "float16"])
def test_small_numbers(dtype: str, operator: str, wanted: list[int]) -> None:
    if operator == "AND" and dtype.startswith("float"):
        with pytest.raises(QCoreError, match=f"is {dtype}, qcore has"):
            run(operator, dtype, [3, 1], [2, -5])
    else:
        assert run(operator, dtype, [3, 1], [2, -5]) == wanted


def test_integers_wrap() -> None:
    assert run("ADD", "int8", [127, -128], [1, -1]) == [-128, 127]
    assert run("MULTIPLY", "uint16", [256], [256]) == [0]
    assert run("SHIFT_LEFT", "int8", [5, 5, 5, 1], [0, 1, 6, 7]) == [5, 10, 64, -128]


def test_shifts_beyond_the_width_leave_nothing() -> None:
    assert run("SHIFT_LEFT", "int32", [5, 5, 5], [32, 100, -1]) == [0, 0, 0]


def test_booleans() -> None:
    assert [run(op, "bool", [0, 0, 1, 1], [0, 1, 0, 1]) for op in ("ADD", "MULTIPLY", "AND")] == [
        [False, True, True, True],
        [False, False, False, True],
        [False, False, False, True],
    ]


@pytest.mark.parametrize("operator", ["MAXIMUM", "MINIMUM"])
def test_the_first_stands_where_either_is_nan(operator: str) -> None:
    got = run(operator, "float32", [np.nan, 1], [1, np.nan])
    assert np.isnan(got[0])
    assert got[1] == 1


def test_shapes_must_be_the_same() -> None:
    assert run("ADD", "int32", np.zeros((2, 0)), np.zeros((2, 0))) == [[], []]
    with pytest.raises(QCoreError, match=r"inputs have shapes \[2\] and \[1\], expected the same"):
        run("ADD", "int32", [1, 2], [1])
    with pytest.raises(QCoreError, match="expected the same"):
        run("SHIFT_LEFT", "int32", [1, 2], [1, 2, 3])

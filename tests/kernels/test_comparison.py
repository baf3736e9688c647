"""Comparisons: expectations that can be worked out by hand, and refusals."""

from __future__ import annotations

import operator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore

COMPARISONS = {
    "EQUAL": operator.eq,
    "NOT_EQUAL": operator.ne,
    "LESS": operator.lt,
    "LESS_EQUAL": operator.le,
    "GREATER": operator.gt,
    "GREATER_EQUAL": operator.ge,
}


def run(name: str, dtype: Any, x: Any, y: Any, quantization: list[tuple[Any, int]] | None = None) -> Any:
    """Inputs have these scales and zero points."""
    kind = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    x, y = (np.asarray(value, object if kind == "string" else dtype) for value in (x, y))
    q = quantization or [(None, 0)] * 2
    got = run_qcore(one_operator(name, [T(kind, x.shape, *q[0]), T(kind, y.shape, *q[1])], [T("bool", ())]), [x, y])[0]
    assert got.dtype == bool
    return got


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int16", "int32", "int64"])
def test_numbers(name: str, dtype: str) -> None:
    x, y = np.array([[1], [2]]), np.array([1, 2, 3])
    assert run(name, dtype, x, y).tolist() == COMPARISONS[name](x, y).tolist()


@pytest.mark.parametrize("name", COMPARISONS)
def test_nan_compares_as_unequal(name: str) -> None:
    assert run(name, "float32", [np.nan], [np.nan]).tolist() == [name == "NOT_EQUAL"]


def test_brain_floats_have_an_order() -> None:
    assert run("LESS", ml_dtypes.bfloat16, [1, 2], [2, 1]).tolist() == [True, False]
    assert run("GREATER", ml_dtypes.bfloat16, [1, 2], [2, 1]).tolist() == [False, True]


def test_truth_values_and_strings() -> None:
    assert run("EQUAL", "bool", [True, False], True).tolist() == [True, False]
    x = [b"", b"ab", b"abc", "\u00e4".encode()]
    assert run("EQUAL", "string", x, [b"", b"abc", b"abc", b"a"]).tolist() == [True, False, True, False]
    assert run("NOT_EQUAL", "string", x, b"ab").tolist() == [True, False, True, True]
    assert run("EQUAL", "string", np.empty((0,), object), b"").tolist() == []


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize(("dtype", "shift"), [("int8", 0), ("uint8", 128)])
def test_quantized_operands_compare_by_real_values(name: str, dtype: str, shift: int) -> None:
    """Every pair of codes, at scales whose real values are whole in units of 2**-8."""
    x, y = np.arange(-128, 128)[:, np.newaxis], np.arange(-128, 128)
    wanted = COMPARISONS[name]((x - 3) * 0.5, (y + 7) * 0.25)
    got = run(name, dtype, x + shift, y + shift, [(0.5, 3 + shift), (0.25, -7 + shift)])
    np.testing.assert_array_equal(got, wanted)


def test_real_values_are_told_apart_down_to_two_hundred_and_fifty_sixths() -> None:
    q = [(2**-10, 0), (2**-10, 0)]
    assert run("EQUAL", "int8", [1, 1, 1, 2], [0, 2, 6, 5], q).tolist() == [True, False, False, True]


def test_a_scale_above_one_leaves_the_sign() -> None:
    q = [(1.5, 0), (1.5, 0)]
    assert run("LESS", "int8", [-5, -1, 0, 3], [-4, 0, 1, 9], q).tolist() == [False, True, False, False]


def test_sixteen_bits_are_equal_by_real_values_and_ordered_by_codes() -> None:
    q = [(0.5, 0), (0.25, 0)]
    assert run("EQUAL", "int16", [1, 2], [2, 2], q).tolist() == [True, False]
    assert run("NOT_EQUAL", "int16", [1, 2], [2, 2], q).tolist() == [False, True]
    assert run("LESS", "int16", [1, 2], [2, 2], q).tolist() == [True, False]


def test_refusals() -> None:
    with pytest.raises(ModelError, match="has 0 scales"):
        run("LESS", "int8", [1], [1])
    with pytest.raises(ModelError, match="has scale 1, expected any other"):
        run("LESS", "int8", [1], [1], [(1.0, 0), (0.5, 0)])
    with pytest.raises(UnsupportedError, match="input 0 is bool"):
        run("LESS", "bool", [True], [True])
    with pytest.raises(UnsupportedError, match="input 0 is bfloat16"):
        run("EQUAL", ml_dtypes.bfloat16, [1], [1])
    with pytest.raises(ModelError, match="output is int8, expected bool"):
        run_qcore(one_operator("LESS", [T("float32", (1,))] * 2, [T("int8", (1,))]), [np.zeros(1, np.float32)] * 2)

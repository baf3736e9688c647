"""Functions of one number: expectations that can be worked out by hand, and refusals."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qcore.errors import InputError, ModelError, QCoreError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore

CODES = np.arange(-128, 128)


def run(name: str, dtype: Any, x: Any, input: tuple[Any, int] = (None, 0), output: tuple[Any, int] = (None, 0)) -> Any:
    x, kind = np.asarray(x, dtype), np.dtype(dtype).name
    return run_qcore(one_operator(name, [T(kind, x.shape, *input)], [T(kind, (), *output)]), [x])[0]


def away(x: Any) -> Any:
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


FUNCTIONS = {
    "ABS": np.abs,
    "NEG": np.negative,
    "EXP": np.exp,
    "LOG": np.log,
    "SQRT": np.sqrt,
    "RSQRT": lambda x: 1 / np.sqrt(x),
    "SQUARE": np.square,
    "SIN": np.sin,
    "COS": np.cos,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "ROUND": np.rint,
    "SIGN": np.sign,
    "ZEROS_LIKE": lambda x: 0 * x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_float_functions(name: str, shape: tuple[int, ...]) -> None:
    x = np.linspace(0.1, 5.5, max(1, int(np.prod(shape)))).astype(np.float32)[: int(np.prod(shape))].reshape(shape)
    got = run(name, "float32", x)
    assert got.shape == shape
    np.testing.assert_allclose(got, FUNCTIONS[name](x.astype(np.float64)), rtol=1e-6, atol=1e-7)


def test_float_edges() -> None:
    assert run("ROUND", "float32", [0.5, 1.5, -2.5, 2.4999998]).tolist() == [0, 2, -2, 2]
    assert run("LOG", "float32", [0, 1, np.inf]).tolist() == [-np.inf, 0, np.inf]
    assert np.isnan(run("SQRT", "float32", [-1])).all()
    assert run("RSQRT", "float32", [0, 4]).tolist() == [np.inf, 0.5]
    assert run("SIGN", "float32", [np.nan, -0.0, -2, 5]).tolist() == [0, 0, -1, 1]


@pytest.mark.parametrize(
    ("name", "dtype"), [("ABS", "int32"), ("ABS", "int16"), ("NEG", "int8"), ("NEG", "int16"), ("NEG", "int32"), ("NEG", "int64")]
)
def test_integers_wrap(name: str, dtype: str) -> None:
    least = np.iinfo(dtype).min
    assert run(name, dtype, [-5, least]).tolist() == [5, least]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision(dtype: Any) -> None:
    for name, wanted in (("NEG", [-1.5, 2.5]), ("FLOOR", [1, -3]), ("ROUND", [2, -2])):
        got = run(name, dtype, [1.5, -2.5])
        assert got.dtype == dtype
        assert got.astype(float).tolist() == wanted


def test_other_plain_types() -> None:
    assert run("SIGN", "int32", [-9, 0, 9]).tolist() == [-1, 0, 1]
    assert run("SIGN", "float64", [-9, 0, 9]).tolist() == [-1, 0, 1]
    assert run("ZEROS_LIKE", "int64", [[1, 2]]).tolist() == [[0, 0]]


def test_negation_of_codes_knows_no_scale() -> None:
    assert run("NEG", "int8", [5, -128], (0.5, 3), (0.5, 7)).tolist() == [-5, -128]


def test_abs_of_codes() -> None:
    got = run("ABS", "int8", CODES, (0.5, 10), (0.5, -100))
    assert got.tolist() == np.clip(np.abs(CODES - 10) - 100, -128, 127).tolist()
    got = run("ABS", "int8", CODES, (0.5, 10), (0.25, -100))
    assert got.tolist() == np.clip(2 * np.abs(CODES - 10) - 100, -128, 127).tolist()
    got = run("ABS", "int16", [-32768, -3, 3], (0.5, 0), (1.0, 0))
    assert got.tolist() == [16384, 2, 2]


def test_exp_and_log_of_codes_are_the_nearest_codes() -> None:
    real = (CODES + 100) * 0.03125
    assert run("EXP", "int8", CODES, (0.03125, -100), (4.0, -128)).tolist() == np.clip(away(np.exp(real) / 4) - 128, -128, 127).tolist()
    positive = real[real > 0]
    got = run("LOG", "int8", CODES, (0.03125, -100), (0.0625, 20))
    assert got[real > 0].tolist() == np.clip(away(np.log(positive) * 16) + 20, -128, 127).tolist()
    assert (got[real <= 0] == -128).all()


def test_sqrt_of_codes_cuts_the_fraction_off() -> None:
    codes = CODES[CODES >= -100]
    got = run("SQRT", "int8", codes, (0.25, -100), (0.0625, -128))
    assert got.tolist() == np.clip(np.floor(np.sqrt((codes + 100) * 0.25) * 16) - 128, -128, 127).tolist()
    assert run("SQRT", "int16", [0, 1, 2, 32767], (1.0, 0), (2**-7, 0)).tolist() == [0, 128, 181, 23170]


def test_rsqrt_of_codes() -> None:
    codes = CODES[CODES > -100]
    got = run("RSQRT", "int8", codes, (0.25, -100), (0.03125, -128))
    exact = 1 / np.sqrt((codes + 100) * 0.25) / 0.03125
    assert np.abs(got.astype(int) + 128 - exact).max() <= 0.5 + 1e-4
    assert run("RSQRT", "int8", [-100], (0.25, -100), (0.03125, -128)).tolist() == [127]


def test_sixteen_bits_lie_on_lines() -> None:
    """Samples 128 codes apart: exact enough where the function is smooth, the greatest value at and below zero's sample."""
    x = np.arange(-32768, 32768, 37).astype(np.int16)
    got = run("EXP", "int16", x, (2**-14, 0), (2**-12, 0))
    np.testing.assert_allclose(got, np.exp(x * 2.0**-14) * 2**12, atol=3)
    positive = x[x > 4096]
    np.testing.assert_allclose(run("LOG", "int16", positive, (2**-10, 0), (2**-12, 0)), np.log(positive * 2.0**-10) * 2**12, atol=2)
    np.testing.assert_allclose(run("RSQRT", "int16", positive, (2**-10, 0), (2**-15, 0)), 2**15 / np.sqrt(positive * 2.0**-10), atol=2)
    assert run("RSQRT", "int16", [0], (2**-10, 0), (2**-15, 0)).tolist() == [32767]


@pytest.mark.parametrize("name", ["SQRT", "RSQRT"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_negative_numbers_are_refused_when_they_come(name: str, dtype: str) -> None:
    zero = 5 if dtype == "int8" else 0
    run(name, dtype, [zero, zero + 1], (0.5, zero), (0.5, 0))
    with pytest.raises(InputError, match=rf"{name} .*code {zero - 1} is negative .real zero is {zero}."):
        run(name, dtype, [zero, zero - 1], (0.5, zero), (0.5, 0))


@pytest.mark.parametrize(
    ("name", "dtype", "input", "output", "message"),
    [
        ("EXP", "int8", (None, 0), (None, 0), "has 0 scales"),
        ("LOG", "int16", (None, 0), (None, 0), "has 0 scales"),
        ("EXP", "int16", (1.0, 1), (1.0, 0), "zero point 1, expected 0 for int16"),
        ("SQRT", "int8", (1.0, 0), (0.0, 0), "scale 0.0, expected more than 0"),
        ("ABS", "int8", (1e5, 0), (1e-9, 0), "shift"),
        ("RSQRT", "int8", (1e-38, 0), (1e-38, 0), "factors|shift"),
    ],
)
def test_refusals(name: str, dtype: str, input: tuple[Any, int], output: tuple[Any, int], message: str) -> None:
    with pytest.raises(QCoreError, match=message):
        run(name, dtype, [1], input, output)


def test_types_without_meaning() -> None:
    with pytest.raises(UnsupportedError, match="input 0 is uint8, qcore has float32, int8, int16"):
        run("EXP", "uint8", [1], (1.0, 0), (1.0, 0))
    with pytest.raises(ModelError, match="expected one type"):
        run_qcore(one_operator("SIN", [T("float32", (1,))], [T("int8", (1,))]), [np.zeros(1, np.float32)])

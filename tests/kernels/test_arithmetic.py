"""MAXIMUM, MINIMUM, POW, ATAN2: expectations that can be worked out by hand, and refusals."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qcore.errors import InputError, ModelError
from tests.conformance.harness import T, one_operator, run_qcore

GREATEST = np.finfo(np.float32).max


def run(name: str, dtype: Any, x: Any, y: Any) -> Any:
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    kind = np.dtype(dtype).name
    return run_qcore(one_operator(name, [T(kind, x.shape), T(kind, y.shape)], [T(kind, ())]), [x, y])[0]


@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16, "int8", "uint8", "int16", "int32", "int64"])
def test_the_greater_and_the_lesser(dtype: Any) -> None:
    assert run("MAXIMUM", dtype, [[1], [5]], [3, 7]).tolist() == [[3, 7], [5, 7]]
    assert run("MINIMUM", dtype, [[1], [5]], [3, 7]).tolist() == [[1, 1], [3, 5]]


@pytest.mark.parametrize("name", ["MAXIMUM", "MINIMUM"])
def test_against_nan_the_second_number_wins(name: str) -> None:
    got = run(name, "float32", [np.nan, 1], [2, np.nan])
    assert got[0] == 2
    assert np.isnan(got[1])


def test_quantized_extremes_are_of_codes() -> None:
    ins = [T("int8", (2,), 0.5, 3)] * 2
    model = one_operator("MAXIMUM", ins, [T("int8", (2,), 0.5, 3)])
    assert run_qcore(model, [np.array([-128, 4], np.int8), np.array([127, 3], np.int8)])[0].tolist() == [127, 4]


def test_float_powers() -> None:
    assert run("POW", "float32", [2, 9, 4], [3, 0.5, -1]).tolist() == [8, 3, 0.25]
    assert run("POW", "float32", [[2], [3]], [1, 2]).tolist() == [[2, 4], [3, 9]]
    assert np.isnan(run("POW", "float32", [-8], [1 / 3]))


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_a_single_whole_exponent_multiplies_repeatedly(shape: tuple[int, ...]) -> None:
    """Products stay at the greatest number, which is how to tell."""
    x = [2, 1e30, -1e30, np.inf]
    got = run("POW", "float32", x, np.full(shape, 3))
    assert got.shape == np.broadcast_shapes((4,), shape)
    assert got.ravel().tolist() == [8, GREATEST, -GREATEST, GREATEST]
    assert run("POW", "float32", x, np.full(shape, 3.000005)).ravel().tolist() == [8, GREATEST, -GREATEST, GREATEST]
    assert run("POW", "float32", x, [3] * 4).tolist() == [8, np.inf, -np.inf, np.inf]
    assert run("POW", "float32", x[:2], np.full(shape, 0)).ravel().tolist() == [1, 1]


def test_integer_powers() -> None:
    assert run("POW", "int32", [3, -2, 0, 7], [4, 3, 0, 1]).tolist() == [81, -8, 1, 7]
    assert run("POW", "int32", [2, -2, 46341], [31, 31, 2]).tolist() == [-(2**31)] * 3
    assert run("POW", "int32", [46340, 1291, -1625], [2, 3, 2]).tolist() == [46340**2, -(2**31), 1625**2]


def test_integer_powers_of_one_exponent_wrap() -> None:
    for exponent in (1, 2, 5, 31, 32, 40):
        wanted = [(x**exponent + 2**31) % 2**32 - 2**31 for x in (3, -3, 65537)]
        assert run("POW", "int32", [3, -3, 65537], exponent).tolist() == wanted
    with pytest.raises(InputError, match="exponent -1 is negative"):
        run("POW", "int32", [3], -1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ml_dtypes.bfloat16])
def test_angles(dtype: Any) -> None:
    got = run("ATAN2", dtype, [0, 1, 0, -1, 1], [1, 0, -1, 0, 1])
    assert got.dtype == dtype
    np.testing.assert_allclose(got.astype(np.float64), np.array([0, 2, 4, -2, 1]) * np.pi / 4, rtol=2**-8)


def test_angles_do_not_broadcast() -> None:
    with pytest.raises(ModelError, match=r"inputs have shapes \[2\] and \[1\], expected the same"):
        run("ATAN2", "float32", [1, 2], [1])

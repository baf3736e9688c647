"""SOFTMAX and LOG_SOFTMAX: rows, fixed output ranges, long rows, scales at either end, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, QCoreError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore

SOFTMAX_OUTPUT = {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)}
LOG_OUTPUT = {"int8": (1 / 16, 127), "uint8": (1 / 16, 255)}


def softmax(x: Any, q: tuple[Any, ...] = (), output: tuple[Any, ...] | None = None, dtype: str | None = None, beta: float = 1.0) -> Any:
    x = np.asarray(x)
    dtype = dtype or x.dtype.name
    output = SOFTMAX_OUTPUT.get(dtype, ()) if output is None else output
    model = one_operator("SOFTMAX", [T(x.dtype.name, x.shape, *q)], [T(dtype, x.shape, *output)], {"beta": beta})
    return run_qcore(model, [x])[0]


def log_softmax(x: Any, q: tuple[Any, ...] = (), output: tuple[Any, ...] | None = None) -> Any:
    x = np.asarray(x)
    output = LOG_OUTPUT.get(x.dtype.name, ()) if output is None else output
    return run_qcore(one_operator("LOG_SOFTMAX", [T(x.dtype.name, x.shape, *q)], [T(x.dtype.name, x.shape, *output)]), [x])[0]


def test_rows_of_real_values_sum_to_one() -> None:
    x = np.array([[0, np.log(3)], [1000, 1000], [-1000, 0]], np.float32)
    np.testing.assert_allclose(softmax(x), [[0.25, 0.75], [0.5, 0.5], [0, 1]], rtol=1e-6)
    np.testing.assert_allclose(log_softmax(x), np.log([[0.25, 0.75], [0.5, 0.5], [1, 1]]) - [[0, 0], [0, 0], [1000, 0]], rtol=1e-6)


def test_beta_multiplies_the_exponent() -> None:
    x = np.array([0, np.log(3)], np.float32)
    np.testing.assert_allclose(softmax(x, beta=2.0), [0.1, 0.9], rtol=1e-6)
    code = np.array([0, 10], np.int8)
    assert softmax(code, (0.05, 0), beta=2.0).tolist() == softmax(code, (0.1, 0)).tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("scale", [0.01, 0.1, 1.0])
def test_codes_are_close_to_the_real_softmax(dtype: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    least = np.iinfo(dtype).min if dtype != "int16" else -128
    x = rng.integers(least, least + 256, (20, 10)).astype(dtype)
    real = np.exp(scale * (x.astype(float) - x.max(axis=1, keepdims=True)))
    real /= real.sum(axis=1, keepdims=True)
    output = SOFTMAX_OUTPUT[dtype]
    expected = np.minimum(real / output[0] + output[1], np.iinfo(dtype).max)
    assert np.abs(softmax(x, (scale, 0)) - expected).max() < (50 if dtype == "int16" else 0.51)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_8_bit_inputs_may_have_16_bit_outputs_that_start_at_the_least_code(dtype: str) -> None:
    x = np.array([[0, 0], [0, 100]], dtype)
    assert softmax(x, (1.0, 0), (1 / 65536, -32768), "int16").tolist() == [[0, 0], [-32768, 32767]]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_log_of_codes_is_close_to_the_real_one(dtype: str) -> None:
    rng = np.random.default_rng(1)
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max + 1, (20, 10)).astype(dtype)
    for scale in (0.01, 0.05):
        real = scale * x.astype(float)
        real -= np.log(np.exp(real).sum(axis=1, keepdims=True))
        assert np.abs(log_softmax(x, (scale, 0)) - np.clip(real * 16 + info.max, info.min, info.max)).max() < 0.51


def test_differences_beyond_the_range_give_the_least_code() -> None:
    x = np.array([[-128, 0, 127]], np.int8)
    assert softmax(x, (1000.0, 0)).tolist() == [[-128, -128, 127]]
    assert log_softmax(x, (1000.0, 0)).tolist() == [[-128, -128, 127]]
    assert log_softmax(x, (0.1, 0)).tolist() == [[-128, -76, 127]]


def test_long_rows_of_equal_codes() -> None:
    """TensorFlow Lite's reference kernel aborts from a sum of 512 on, half a step of the output, which rounds to none."""
    for length, code in ((511, -127), (512, -128), (5000, -128), (9000, -128)):
        assert set(softmax(np.zeros((1, length), np.int8), (0.1, 0)).ravel().tolist()) == {code}
    assert set(softmax(np.zeros((1, 8192), np.int8), (0.1, 0), (1 / 65536, -32768), "int16").ravel().tolist()) == {-32760}
    for length, code in ((4000, -6), (4096, -6), (100000, -6)):
        assert set(log_softmax(np.zeros((1, length), np.int8), (0.1, 0)).ravel().tolist()) == {code}
    assert set(softmax(np.zeros((1, 70000), np.int16), (0.001, 0)).ravel().tolist()) <= {0, 1}


def test_output_ranges_are_enforced() -> None:
    x = np.zeros((1, 3), np.int8)
    for output in ((1 / 256, 0), (1 / 255, -128)):
        with pytest.raises(ModelError, match="expected 1/256 and -128"):
            softmax(x, (0.1, 0), output)
    assert softmax(x, (0.1, 0), (1 / 256 * 1.0005, -128)).tolist() == [[-43, -43, -43]]
    with pytest.raises(ModelError, match="expected 1/32768 and 0"):
        softmax(x.astype(np.int16), (0.1, 0), (1 / 256, 0))
    with pytest.raises(ModelError, match="input is int16 with zero point 1"):
        softmax(x.astype(np.int16), (0.1, 1))
    for dtype, zero_point in (("int8", 127), ("uint8", 255)):
        for output in ((1 / 16, 0), (1 / 8, zero_point)):
            with pytest.raises(ModelError, match=f"expected 1/16 and {zero_point}"):
                log_softmax(x.astype(dtype), (0.1, 0), output)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="output is uint8, qcore has int8, int16 for int8 input"):
        softmax(np.zeros((1, 3), np.int8), (0.1, 0), (1 / 256, 0), "uint8")
    with pytest.raises(UnsupportedError, match="LOG_SOFTMAX"):
        log_softmax(np.zeros((1, 3), np.int16), (0.1, 0), (1 / 16, 0))
    for name in ("SOFTMAX", "LOG_SOFTMAX"):
        with pytest.raises(ModelError, match="input is a scalar"):
            run_qcore(one_operator(name, [T("float32", ())], [T("float32", ())]), [np.float32(0)])


@pytest.mark.parametrize(("scale", "beta"), [(0.0, 1.0), (1e-9, 1.0), (0.1, 0.0), (0.1, -1.0), (0.1, np.nan)])
def test_8_bit_factors_too_small_for_the_arithmetic_are_refused(scale: float, beta: float) -> None:
    with pytest.raises(ModelError, match="too small"):
        softmax(np.zeros((1, 3), np.int8), (scale, 0), beta=beta)


@pytest.mark.parametrize(("scale", "beta"), [(1e9, 1.0), (0.1, -1.0), (0.1, np.nan), (0.1, np.inf)])
def test_16_bit_factors_without_a_multiplier_are_refused(scale: float, beta: float) -> None:
    with pytest.raises(QCoreError, match="SOFTMAX"):
        softmax(np.zeros((1, 3), np.int16), (scale, 0), beta=beta)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3)])
def test_empty_tensors_are_fine(dtype: str, shape: tuple[int, ...]) -> None:
    q = () if dtype == "float32" else (0.1, 0)
    assert softmax(np.zeros(shape, dtype), q).shape == shape
    if dtype != "int16":
        assert log_softmax(np.zeros(shape, dtype), q).shape == shape


def test_rows_are_independent() -> None:
    rng = np.random.default_rng(2)
    for dtype in ("int8", "int16"):
        x = rng.integers(-100, 100, (2, 3, 7)).astype(dtype)
        rows = [softmax(row, (0.03, 0)) for row in x.reshape(6, 7)]
        np.testing.assert_array_equal(softmax(x, (0.03, 0)), np.array(rows).reshape(x.shape))

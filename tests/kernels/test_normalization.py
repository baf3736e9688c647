"""L2_NORMALIZATION and LOCAL_RESPONSE_NORMALIZATION: rows, windows, fixed output parameters, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from qcore.kernels.normalization import window_sums
from tests.conformance.harness import T, one_operator, run_qcore


def l2(x: Any, q: tuple[Any, ...] = (), output: tuple[Any, ...] | None = None, **options: Any) -> Any:
    x = np.asarray(x)
    if output is None:
        output = {"int8": (1 / 128, 0), "uint8": (1 / 128, 128)}.get(x.dtype.name, ())
    model = one_operator("L2_NORMALIZATION", [T(x.dtype.name, x.shape, *q)], [T(x.dtype.name, x.shape, *output)], options)
    return run_qcore(model, [x])[0]


def local_response(x: Any, radius: int, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5) -> Any:
    options = {"radius": radius, "bias": bias, "alpha": alpha, "beta": beta}
    return run_qcore(one_operator("LOCAL_RESPONSE_NORMALIZATION", [T("float32", x.shape)], [T("float32", x.shape)], options), [x])[0]


def test_rows_of_real_values_get_length_one() -> None:
    x = np.array([[3, 4], [0, -2], [0, 0], [1e-9, 0]], np.float32)
    np.testing.assert_allclose(l2(x), [[0.6, 0.8], [0, -1], [0, 0], [1e-3, 0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_codes_of_any_scale_get_steps_of_a_128th(dtype: str) -> None:
    zero_point = 10
    x = np.array([[13, 14], [10, 8], [10, 10], [11, 10]], dtype)
    middle = 0 if dtype == "int8" else 128
    expected = np.array([[77, 102], [0, -128], [0, 0], [127, 0]]) + middle
    for scale in (0.001, 10.0):
        assert l2(x, (scale, zero_point)).tolist() == expected.tolist()


def test_codes_are_close_to_the_real_values() -> None:
    rng = np.random.default_rng(0)
    for dtype, middle in (("int8", 0), ("uint8", 128)):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max + 1, (30, 13)).astype(dtype)
        real = x.astype(float) - 3
        expected = np.clip(128 * real / np.linalg.norm(real, axis=1, keepdims=True) + middle, info.min, info.max)
        assert np.abs(l2(x, (0.1, 3)) - expected).max() < 1


def test_output_parameters_are_enforced() -> None:
    for dtype, middle in (("int8", 0), ("uint8", 128)):
        for output in ((1 / 128, middle + 1), (1 / 127, middle)):
            with pytest.raises(ModelError, match=f"expected 1/128 and {middle}"):
                l2(np.zeros((1, 3), dtype), (0.1, 0), output)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="fused activation RELU, qcore has NONE"):
        l2(np.zeros((1, 3), np.float32), fused_activation_function="RELU")
    for shape in ((), (1, 1, 1, 1, 1)):
        with pytest.raises(ModelError, match="expected 1 to 4"):
            l2(np.zeros(shape, np.float32))
    with pytest.raises(ModelError, match="expected 4"):
        local_response(np.zeros((3, 3), np.float32), 1)
    with pytest.raises(ModelError, match="radius is -1"):
        local_response(np.zeros((1, 1, 1, 3), np.float32), -1)


def test_the_window_reaches_as_far_up_as_down() -> None:
    x = np.array([1, 2, 3, 4, 5], np.float32).reshape(1, 1, 1, 5)
    squares = [1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16 + 25, 16 + 25]
    np.testing.assert_allclose(local_response(x, 1).ravel(), x.ravel() / np.sqrt(1 + np.array(squares)), rtol=1e-6)
    np.testing.assert_allclose(local_response(x, 0, 2.0, 0.5, 1.0).ravel(), x.ravel() / (2 + 0.5 * x.ravel() ** 2), rtol=1e-6)


@pytest.mark.parametrize("radius", [5, 7, 2**31 - 1])
def test_a_window_may_be_wider_than_the_row(radius: int) -> None:
    x = np.array([1, 2, 3, 4, 5], np.float32).reshape(1, 1, 1, 5)
    np.testing.assert_allclose(local_response(x, radius).ravel(), x.ravel() / np.sqrt(56), rtol=1e-6)


@pytest.mark.parametrize("radius", range(8))
def test_window_sums_are_plain_sums(radius: int) -> None:
    x = np.random.default_rng(radius).normal(size=(2, 7))
    plain = [x[:, max(0, i - radius) : i + radius + 1].sum(axis=1) for i in range(7)]
    np.testing.assert_allclose(window_sums(x, radius), np.array(plain).T, rtol=1e-12, atol=1e-12)


def test_empty_tensors_are_fine() -> None:
    for shape in ((0, 3), (3, 0)):
        assert l2(np.zeros(shape, np.float32)).shape == shape
        assert l2(np.zeros(shape, np.int8), (0.1, 0)).shape == shape
    for shape4 in ((0, 1, 1, 3), (1, 1, 1, 0)):
        assert local_response(np.zeros(shape4, np.float32), 2).shape == shape4

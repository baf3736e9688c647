"""RELU and its relatives: bends, bounds as codes, rescaling between scales, broadcasting of alpha, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, QCoreError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore


def unary(name: str, x: Any, q: tuple[Any, ...] = (), output: tuple[Any, ...] | None = None, **options: Any) -> Any:
    x = np.asarray(x)
    dtype = x.dtype.name
    return run_qcore(one_operator(name, [T(dtype, x.shape, *q)], [T(dtype, x.shape, *(q if output is None else output))], options), [x])[0]


def prelu(x: Any, alpha: Any, q: tuple[Any, ...] = (), alpha_q: tuple[Any, ...] = (), output: tuple[Any, ...] = ()) -> Any:
    x, alpha = np.asarray(x), np.asarray(alpha)
    ins = [T(x.dtype.name, x.shape, *q), T(alpha.dtype.name, alpha.shape, *alpha_q)]
    return run_qcore(one_operator("PRELU", ins, [T(x.dtype.name, x.shape, *output)]), [x, alpha])[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RELU", [0, 0, 0.5, 9]),
        ("RELU6", [0, 0, 0.5, 6]),
        ("RELU_N1_TO_1", [-1, -0.5, 0.5, 1]),
        ("RELU_0_TO_1", [0, 0, 0.5, 1]),
    ],
)
def test_real_values_are_clamped(name: str, expected: list[float]) -> None:
    x = np.array([-9, -0.5, 0.5, 9, np.nan], np.float32)
    np.testing.assert_array_equal(unary(name, x), np.array([*expected, np.nan], np.float32))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RELU", [10, 10, 10, 11, 127]),
        ("RELU6", [10, 10, 10, 11, 22]),
        ("RELU_N1_TO_1", [8, 9, 10, 11, 12]),
        ("RELU_0_TO_1", [10, 10, 10, 11, 12]),
    ],
)
def test_codes_are_clamped_between_the_codes_of_the_bounds(name: str, expected: list[int]) -> None:
    x = np.array([-128, 9, 10, 11, 127], np.int8)
    assert unary(name, x, (0.5, 10)).tolist() == expected


def test_codes_are_rescaled_to_the_outputs_scale_and_zero_point() -> None:
    x = np.array([0, 100, 101, 103, 255], np.uint8)
    assert unary("RELU", x, (0.5, 100), (1.0, 3)).tolist() == [3, 3, 4, 5, 81]
    assert unary("RELU", x, (2.0, 100), (0.5, 3)).tolist() == [3, 3, 7, 15, 255]


def test_int16_is_symmetric() -> None:
    x = np.array([-32768, -1, 0, 3, 32767], np.int16)
    assert unary("RELU6", x, (0.001, 0)).tolist() == [0, 0, 0, 3, 6000]
    for name in ("RELU", "LEAKY_RELU"):
        with pytest.raises(ModelError, match="int16 with zero point 1, expected 0"):
            unary(name, x, (0.001, 0), (0.001, 1))
    with pytest.raises(UnsupportedError, match="input 0 is int16, qcore has float32, int8, uint8"):
        unary("RELU_N1_TO_1", x, (0.001, 0))


def test_a_table_for_large_tensors_of_16_bits_changes_nothing() -> None:
    x = np.arange(-32768, 32768, dtype=np.int16)
    twice = np.concatenate([x, x[::-1]])
    small = unary("LEAKY_RELU", x, (0.01, 0), (0.013, 0), alpha=0.3)
    large = unary("LEAKY_RELU", twice, (0.01, 0), (0.013, 0), alpha=0.3)
    np.testing.assert_array_equal(large, np.concatenate([small, small[::-1]]))


def test_leaky_multiplies_by_alpha_below_zero() -> None:
    assert unary("LEAKY_RELU", np.array([-2, -0.5, 0, 3], np.float32), alpha=0.5).tolist() == [-1, -0.25, 0, 3]
    assert unary("LEAKY_RELU", np.array([-2, 3], np.float32), alpha=-2.0).tolist() == [4, 3]
    x = np.array([-100, -11, -10, -9, 90], np.int8)
    assert unary("LEAKY_RELU", x, (0.5, -10), alpha=0.5).tolist() == [-55, -10, -10, -9, 90]


def test_ties_of_a_negative_alpha_are_those_of_a_negative_multiplier() -> None:
    """Half of -3, negated, is 1.5: the product with a negative multiplier rounds up."""
    assert unary("LEAKY_RELU", np.array([-3, -1, 5], np.int8), (1.0, 0), alpha=-0.5).tolist() == [2, 1, 5]
    assert unary("LEAKY_RELU", np.array([-3, -1, 5], np.int8), (1.0, 0), alpha=0.5).tolist() == [-1, 0, 5]


def test_prelu_broadcasts_alpha() -> None:
    x = np.array([[-1, 2, -3], [4, -5, 6]], np.float32)
    alpha = np.array([1, 10, 0.5], np.float32)
    assert prelu(x, alpha).tolist() == [[-1, 2, -1.5], [4, -50, 6]]
    assert prelu(x, alpha[:1]).tolist() == [[-1, 2, -3], [4, -5, 6]]
    assert prelu(x, np.array([[2], [3]], np.float32)).tolist() == [[-2, 2, -6], [4, -15, 6]]


def test_prelu_multiplies_codes() -> None:
    x = np.array([[-10, -2, 0, 7]], np.int8)
    alpha = np.array([12, 12, 12, 12], np.int8)
    assert prelu(x, alpha, (0.5, 0), (0.25, 10), (0.5, 1)).tolist() == [[-4, 0, 1, 8]]
    assert prelu(x.astype(np.int16), alpha, (0.5, 0), (0.25, 10), (0.5, 0)).tolist() == [[-5, -1, 0, 7]]


@pytest.mark.parametrize(("shape", "alpha"), [((2, 3), (2,)), ((3,), (2, 3)), ((1, 3), (2, 3))])
def test_prelu_refuses_an_alpha_of_another_shape(shape: tuple[int, ...], alpha: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="broadcast"):
        prelu(np.zeros(shape, np.float32), np.zeros(alpha, np.float32))


def test_prelu_refuses_an_alpha_of_another_type() -> None:
    with pytest.raises(ModelError, match="alpha is int16, expected int8"):
        prelu(np.zeros(3, np.int16), np.zeros(3, np.int16), (1.0, 0), (1.0, 0), (1.0, 0))
    with pytest.raises(ModelError, match="alpha is int8, expected float32"):
        prelu(np.zeros(3, np.float32), np.zeros(3, np.int8))


@pytest.mark.parametrize("scale", [0.0, 1e-30])
def test_scales_without_a_multiplier_are_refused(scale: float) -> None:
    for name, options in (("RELU", {}), ("LEAKY_RELU", {"alpha": 0.1})):
        with pytest.raises(QCoreError, match=name):
            unary(name, np.zeros(3, np.int8), (0.5, 0), (scale, 0), **options)


@pytest.mark.parametrize("alpha", [np.nan, np.inf, 1e30])
def test_an_alpha_without_a_multiplier_is_refused(alpha: float) -> None:
    with pytest.raises(QCoreError, match="LEAKY_RELU"):
        unary("LEAKY_RELU", np.zeros(3, np.int8), (0.5, 0), alpha=alpha)


def test_a_missing_scale_is_refused() -> None:
    with pytest.raises(ModelError, match="0 scales, expected one for the whole tensor"):
        unary("RELU", np.zeros(3, np.int8))


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
def test_empty_and_scalar_tensors_keep_their_shape(dtype: str) -> None:
    q = () if dtype == "float32" else (0.5, 0)
    for shape in ((), (0,), (2, 0, 3)):
        assert unary("RELU", np.zeros(shape, dtype), q).shape == shape
        assert unary("LEAKY_RELU", np.zeros(shape, dtype), q, alpha=0.5).shape == shape

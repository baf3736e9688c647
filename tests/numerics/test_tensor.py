"""quantize_tensor: TensorFlow Lite's weights by default, and every other granularity, range and type."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.errors import InputError, QuantizationError
from qcore.numerics import QuantizedTensor, choose_params, dequantize, element_type, quantize, quantize_tensor

CODES = ["int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "int32"]


@pytest.fixture
def weights() -> np.ndarray:
    w = np.random.default_rng(5).standard_normal((6, 3, 3, 8)).astype(np.float32)
    w[4] = 0
    return w


def test_weights_as_tensorflow_lite_quantizes_them(weights: np.ndarray) -> None:
    """Equation (8), written once more: per channel, symmetric, narrow; a channel of zeros has the least scale."""
    q = quantize_tensor(weights, dtype="int8", axis=0)
    for channel in range(6):
        reach = np.abs(weights[channel]).max()
        scale = reach / np.float32(127) if reach else np.float32(3.9370081e-09)
        reciprocal = np.float32(1.0 / float(scale))
        product = (weights[channel] * reciprocal).astype(np.float64)
        codes = np.copysign(np.floor(np.abs(product) + 0.5), product)
        assert q.params.scale[channel] == scale
        assert (q.data[channel] == np.clip(codes, -127, 127)).all()
    assert q.data.dtype == np.int8
    assert (q.params.quantized_dimension, q.params.narrow_range, q.params.block_size) == (0, True, 0)
    assert not q.params.zero_point.any()
    assert np.abs(q.data[[0, 1, 2, 3, 5]]).reshape(5, -1).max(axis=1).tolist() == [127] * 5


def test_asymmetric_codes_are_quantize_of_chosen_params(weights: np.ndarray) -> None:
    q = quantize_tensor(weights, "uint8", symmetric=False)
    params = choose_params(weights.min(), weights.max(), "uint8")
    assert (q.params.single(), q.params.quantized_dimension, q.params.narrow_range) == (params.single(), None, False)
    assert (q.data == quantize(weights, params)).all()


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("axis", "block_size"), [(None, None), (0, None), (-1, None), (2, 3), (3, 2)])
def test_every_type_and_granularity_is_within_half_a_step(
    weights: np.ndarray, dtype: str, symmetric: bool, axis: int | None, block_size: int | None
) -> None:
    q = quantize_tensor(weights, dtype, axis, symmetric, block_size=block_size)
    assert q.data.shape == weights.shape
    assert q.data.dtype == element_type(dtype).storage
    assert q.data.min() >= q.params.quantized_min
    assert q.params.narrow_range is symmetric
    scale, _ = q.params.broadcast(weights.shape)
    error = np.abs(q.dequantize().astype(np.float64) - weights)
    # Asymmetric, the nudge may move an end of the range by half a step; uint of few bits symmetric lose nothing either.
    assert (error <= scale * (0.5 if symmetric else 1.0) * 1.001 + np.abs(weights) * 2.0**-22).all()
    assert (q.dequantize() == dequantize(q.data, q.params)).all()


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_parts_are_quantized_as_if_alone(weights: np.ndarray, method: Any, symmetric: bool) -> None:
    """Per channel and blockwise, a part has the codes and scale it would have by itself."""
    options: dict[str, Any] = {"dtype": "int4", "symmetric": symmetric, "method": method, "percentile": 97.0}
    by_channel = quantize_tensor(weights, axis=3, **options)
    for channel in range(8):
        alone = quantize_tensor(weights[..., channel], **options)
        assert (by_channel.data[..., channel] == alone.data).all()
        assert by_channel.params.scale[channel] == alone.params.scale[0]
    by_block = quantize_tensor(weights, axis=3, block_size=4, **options)
    assert by_block.params.scale.shape == (6, 3, 3, 2)
    for index in [(0, 0, 0, 0), (0, 0, 0, 1), (1, 2, 0, 1), (4, 1, 1, 0), (5, 2, 2, 1)]:
        part = (*index[:3], slice(4 * index[3], 4 * index[3] + 4))
        alone = quantize_tensor(weights[part], **options)
        assert (by_block.data[part] == alone.data).all()
        assert (by_block.params.scale[index], by_block.params.zero_point[index]) == (alone.params.scale[0], alone.params.zero_point[0])


def test_percentiles_cut_both_tails() -> None:
    x = np.append(np.linspace(-1, 3, 10001), [1000.0, -500.0])
    asymmetric = quantize_tensor(x, "uint8", symmetric=False, method="percentile", percentile=99.9)
    low, high = np.percentile(x.astype(np.float32), [0.1, 99.9])
    assert asymmetric.params.scale[0] == pytest.approx((high - low) / 255)
    symmetric = quantize_tensor(x, method="percentile", percentile=99.9)
    assert symmetric.params.scale[0] == pytest.approx(np.percentile(np.abs(x), 99.9) / 127)
    whole = quantize_tensor(x, method="percentile", percentile=100)
    assert whole.params.scale[0] == quantize_tensor(x).params.scale[0]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("dtype", ["int8", "int4", "int2"])
def test_mse_is_the_best_of_its_grid(dtype: str, symmetric: bool) -> None:
    x = np.random.default_rng(2).laplace(size=3000).astype(np.float32)
    best = quantize_tensor(x, dtype, symmetric=symmetric, method="mse").error(x).mean_squared_error
    low, high = float(x.min()), float(x.max())
    errors = []
    for percent in range(5, 101):
        params = choose_params(low * percent / 100, high * percent / 100, dtype, symmetric, symmetric)
        errors.append(float(np.mean(np.square(x - dequantize(quantize(x, params), params), dtype=np.float64))))
    assert best == pytest.approx(min(errors), rel=1e-5)
    assert best <= quantize_tensor(x, dtype, symmetric=symmetric).error(x).mean_squared_error


def test_narrow_range_can_be_asked_for_either_way() -> None:
    x = np.float32([-1.0, 0.999])
    assert quantize_tensor(x, narrow_range=False).data.tolist() == [-127, 127]
    assert quantize_tensor(x, narrow_range=False).params.quantized_min == -128
    assert quantize_tensor(x, "int4", symmetric=False, narrow_range=True).data.min() == -7


def test_layouts_and_types_make_no_difference(weights: np.ndarray) -> None:
    halves = weights.astype(np.float16).astype(np.float32)
    expected = quantize_tensor(halves, axis=3)
    for other in (
        halves.astype(np.float16),
        halves.astype(np.float64),
        halves.astype(">f4"),
        halves.astype(">f8"),
        np.asfortranarray(halves),
    ):
        q = quantize_tensor(other, axis=3)
        assert (q.data == expected.data).all()
        assert (q.params.scale == expected.params.scale).all()
    turned = quantize_tensor(halves.transpose(3, 0, 1, 2)[:, ::-1], axis=0)
    assert (turned.data == expected.data.transpose(3, 0, 1, 2)[:, ::-1]).all()
    brain = weights.astype(ml_dtypes.bfloat16)
    assert (quantize_tensor(brain).data == quantize_tensor(brain.astype(np.float32)).data).all()
    before = halves.copy()
    quantize_tensor(halves, method="mse")
    assert (halves == before).all()


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_nan_and_infinities_are_refused_or_left_out(method: Any) -> None:
    x = np.float32([[1.0, np.nan], [-np.inf, 2.0]])
    with pytest.raises(QuantizationError, match=r"2 values.*nan.*\(0, 1\)"):
        quantize_tensor(x, method=method)
    q = quantize_tensor(x, method=method, nan="ignore", percentile=100)
    finite = quantize_tensor(np.float32([[1.0, 0.0], [0.0, 2.0]]), method=method, percentile=100)
    assert q.params.scale[0] == finite.params.scale[0]
    assert q.data[0, 1] == 0
    assert q.data[1, 0] == -127
    with pytest.raises(QuantizationError, match="float32"):
        quantize_tensor(np.array([1e300]))


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_empty_scalar_and_constant_tensors(method: Any) -> None:
    assert quantize_tensor(np.zeros((0, 3)), method=method).data.shape == (0, 3)
    assert quantize_tensor(np.zeros((3, 0)), axis=0, method=method).params.scale.shape == (3,)
    assert quantize_tensor(np.float32(2.5), method=method).dequantize() == pytest.approx(2.5)
    assert not quantize_tensor(np.zeros(4), method=method).data.any()
    assert quantize_tensor(np.full(4, -7.0), "uint8", symmetric=False, method=method).dequantize().tolist() == pytest.approx([-7] * 4)
    with pytest.raises(QuantizationError, match="scale"):
        quantize_tensor(np.zeros((0, 3)), axis=0, method=method)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30))
def test_quantizing_what_was_dequantized_changes_nothing(values: list[float]) -> None:
    """Baked weights: their greatest magnitude is a code, so the same scale comes out again."""
    q = quantize_tensor(values)
    again = quantize_tensor(q.dequantize())
    assert (again.data == q.data).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"dtype": "float32"},
        {"dtype": "int9"},
        {"axis": 4},
        {"axis": -5},
        {"block_size": 2},
        {"axis": 0, "block_size": 4},
        {"axis": 0, "block_size": 0},
        {"axis": 0, "block_size": -2},
        {"method": "entropy"},
        {"method": "percentile", "percentile": 50},
        {"method": "percentile", "percentile": 101},
        {"method": "percentile", "percentile": float("nan")},
        {"nan": "zero"},
    ],
)
def test_arguments_that_make_no_sense_are_refused(weights: np.ndarray, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        quantize_tensor(weights, **arguments)


@pytest.mark.parametrize("x", ["text", [[1.0], [1.0, 2.0]], np.array([1j]), np.array([object()])])
def test_what_holds_no_reals_is_refused(x: Any) -> None:
    with pytest.raises(InputError, match="real numbers"):
        quantize_tensor(x)


def test_the_error_of_another_tensor_is_refused(weights: np.ndarray) -> None:
    q = quantize_tensor(weights)
    assert isinstance(q, QuantizedTensor)
    with pytest.raises(InputError, match="shapes"):
        q.error(weights[0])

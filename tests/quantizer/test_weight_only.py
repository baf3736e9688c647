"""weight_only: integers in the file, real numbers in every kernel; blocks where kernels take them."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import InputError
from qcore.quantizer import quantize_model
from qcore.schema import constant, read
from qcore.schema.check import check
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, dense, find, names, tensor_of


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(("dtype", "greatest"), [("int8", 127), ("int4", 7)])
def test_a_dequantize_restores_symmetric_weights(dtype: str, greatest: int) -> None:
    model = dense(rng())
    quantized = quantize_model(model, "weight_only", weight_type=dtype)  # type: ignore[arg-type]
    check(quantized)
    assert names(quantized) == ["DEQUANTIZE", "FULLY_CONNECTED"]
    stored = tensor_of(quantized, find(quantized, "DEQUANTIZE"), 0)
    codes = constant(stored)
    assert codes is not None
    assert stored.dtype == dtype
    assert (codes.min(), codes.max()) == (-greatest, greatest)
    x = [rng().uniform(-1, 1, (1, 64)).astype(np.float32)]
    (want,), (got,) = run_qcore(model, x), run_qcore(quantized, x)
    assert np.abs(got - want).max() < 2 / greatest * np.abs(want).max()


def test_versions_say_which_dequantize_is_needed() -> None:
    model = dense(rng())
    found = [
        find(quantize_model(model, "weight_only", **options), "DEQUANTIZE").code.version  # type: ignore[arg-type]
        for options in ({}, {"per_channel": False}, {"weight_type": "int4"})
    ]
    assert found == [5, 2, 6]


def test_blocks_have_scales_that_float16_and_bfloat16_share() -> None:
    model = dense(rng())
    quantized = read(quantize_model(model, "weight_only", weight_type="int4", block_size=32).to_bytes())
    assert names(quantized) == ["FULLY_CONNECTED"]
    weights = tensor_of(quantized, find(quantized, "FULLY_CONNECTED"), 1)
    assert weights.dtype == "int4"
    assert weights.quantization is not None
    details = weights.quantization.details
    assert details is not None
    assert (details.name, details["zero_points"], details["block_size"]) == ("BlockwiseQuantization", -1, 32)
    scales = constant(quantized.subgraphs[0].tensors[details["scales"]])
    assert scales is not None
    assert (scales.dtype, scales.shape) == (np.float16, (32, 2))
    assert not (scales.astype(np.float32).view(np.uint32) & 0xFFFF).any()
    real, codes = constant(model.subgraphs[0].tensors[1]), constant(weights)
    assert real is not None
    assert codes is not None
    restored = codes.reshape(32, 2, 32) * scales.astype(np.float32)[..., np.newaxis]
    assert (np.abs(restored.reshape(32, 64) - real) <= 0.55 * np.repeat(scales.astype(np.float32), 32, axis=1)).all()


def test_blocks_run_and_stay_near_the_float_model() -> None:
    model = dense(rng())
    x = [rng().uniform(-1, 1, (1, 64)).astype(np.float32)]
    (want,), (got,) = run_qcore(model, x), run_qcore(quantize_model(model, "weight_only", weight_type="int4", block_size=32), x)
    assert np.abs(got - want).max() < 0.15 * np.abs(want).max()


def test_a_block_of_zeros_has_a_scale_above_zero() -> None:
    b = Builder()
    x, w, y = b.input("x", (1, 32)), b.constant("w", np.zeros((32, 32))), b.tensor("y", (1, 32))
    b.op("FULLY_CONNECTED", [x, w, b.constant("b", np.zeros(32))], y)
    quantized = quantize_model(b.model(y), "weight_only", weight_type="int4", block_size=32)
    scales = next(constant(t) for t in quantized.subgraphs[0].tensors if t.name == "w_scales")
    assert scales is not None
    assert (scales > 0).all()


def test_weights_that_blocks_do_not_fit_have_channels() -> None:
    quantized = quantize_model(dense(rng(), 33, 48), "weight_only", weight_type="int4", block_size=32)
    assert names(quantized) == ["DEQUANTIZE", "FULLY_CONNECTED"]
    stored = tensor_of(quantized, find(quantized, "DEQUANTIZE"), 0)
    assert stored.quantization is not None
    assert len(stored.quantization.scale) == 33


@pytest.mark.parametrize(
    "options", [{"block_size": 32}, {"weight_type": "int4", "block_size": 20}, {"weight_type": "int4", "block_size": 0}]
)
def test_blocks_are_for_int4_and_multiples_of_32(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="expected a multiple of 32 for int4"):
        quantize_model(dense(rng()), "weight_only", **options)  # type: ignore[arg-type]

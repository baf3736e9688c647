"""Recovery beyond convolutions and dense layers with weights of their own: transposed ones, tables, blocks, shared weights."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.model import Model
from qcore.quantizer.blocks import stored_scales
from qcore.quantizer.recovery.blockwise import descended_blocks, recovered_blocks
from qcore.quantizer.recovery.moments import Moments
from qcore.quantizer.recovery.recover import output_error
from qcore.quantizer.recovery.solve import INT4, Curvature, gptq, rounded
from qcore.quantizer.recovery.tables import least_error
from qcore.schema import constant
from tests.quantizer.builder import Builder
from tests.quantizer.test_int4 import text_model


def transposing() -> Model:
    """x -> TRANSPOSE_CONV -> RELU -> TRANSPOSE_CONV -> y."""
    b, random = Builder(), np.random.default_rng(0)
    x, h, r, y = b.input("x", (1, 4, 4, 6)), b.tensor("h", (1, 8, 8, 8)), b.tensor("r", (1, 8, 8, 8)), b.tensor("y", (1, 16, 16, 4))
    for (input, output), shape in zip(((x, h), (r, y)), ((8, 3, 3, 6), (4, 2, 2, 8)), strict=True):
        constants = [b.constant(f"{output}{role}", random.normal(size=size) / 3) for role, size in (("w", shape), ("b", shape[:1]))]
        size = b.constant(f"size{output}", b.tensors[output].shape, "int32")
        b.op("TRANSPOSE_CONV", [size, constants[0], input, constants[1]], output, padding="SAME", stride_h=2, stride_w=2)
    b.op("RELU", [h], r)
    b.operators.insert(1, b.operators.pop())
    return b.model(y)


def samples(model: Model, count: int, seed: int) -> list[np.ndarray]:
    random, x = np.random.default_rng(seed), model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    if x.dtype == "int32":
        return [random.integers(0, 20, x.shape).astype(np.int32) for _ in range(count)]
    return [(random.normal(size=x.shape) @ (np.eye(x.shape[-1]) + 0.8) + 0.5).astype(np.float32) for _ in range(count)]


CASES: dict[str, tuple[Any, dict[str, Any], float]] = {
    "transposed int4": (transposing, {"mode": "weight_only", "weight_type": "int4", "min_elements": 0}, 0.5),
    "transposed dynamic range": (transposing, {"mode": "dynamic_range", "min_elements": 0}, 0.95),
    "transposed int16x8": (transposing, {"mode": "int16x8"}, 0.95),
    "blocks": (text_model, {"mode": "dynamic_range", "weight_type": "int4", "block_size": 32, "min_elements": 0}, 0.7),
    "shared": (text_model, {"mode": "dynamic_range", "weight_type": "int4", "min_elements": 0}, 0.7),
    "shared, restored": (text_model, {"mode": "weight_only", "weight_type": "int4", "min_elements": 0}, 0.7),
    "shared int8": (text_model, {"mode": "int8", "weight_type": "int4"}, 0.7),
    "shared int16x8": (text_model, {"mode": "int16x8", "weight_type": "int4"}, 0.7),
}
"""The model, how it is quantized, and what part of the squared error may be left; it is less where rounding is most of it."""


@pytest.mark.parametrize("case", CASES)
def test_models_come_closer_on_other_samples_at_the_same_size(case: str) -> None:
    make, options, part = CASES[case]
    model, others = make(), samples(make(), 40, seed=2)
    given = samples(model, 40, seed=1)
    plain, recovered = (qcore.quantize_model(model, calibration=given, accuracy=accuracy, **options) for accuracy in (None, "max"))
    assert output_error(model, recovered, others) < part * output_error(model, plain, others)
    assert len(recovered.to_bytes()) == len(plain.to_bytes())
    assert [operator.name for operator in recovered.subgraphs[0].operators] == [operator.name for operator in plain.subgraphs[0].operators]


@pytest.mark.parametrize(("mode", "least"), [("dynamic_range", -7), ("int8", -8)])
def test_codes_that_kernels_misread_are_not_used(mode: Any, least: int) -> None:
    """Beside float32 builtin kernels misread -8; beside int8 they do not."""
    model = text_model()
    options: dict[str, Any] = {"min_elements": 0} if mode == "dynamic_range" else {}
    found = qcore.quantize_model(model, mode, samples(model, 10, seed=1), weight_type="int4", accuracy="max", **options)
    dense = next(operator for operator in found.subgraphs[0].operators if operator.name == "FULLY_CONNECTED")
    codes = constant(found.subgraphs[0].tensors[dense.inputs[1]])
    assert codes is not None and codes.min() == least


def test_weights_that_a_table_shares_with_a_dense_layer_stay_shared() -> None:
    """They are no layer; the rest of the model is recovered around them."""
    b, random = Builder(), np.random.default_rng(0)
    ids, table = b.input("ids", (7,), "int32"), b.constant("table", random.normal(size=(20, 64)))
    e, h, y = b.tensor("e", (7, 64)), b.tensor("h", (7, 64)), b.tensor("y", (7, 20))
    b.op("EMBEDDING_LOOKUP", [ids, table], e)
    b.op("FULLY_CONNECTED", [e, b.constant("w", random.normal(size=(64, 64))), b.constant("b", random.normal(size=64))], h)
    b.op("FULLY_CONNECTED", [h, table, b.constant("c", random.normal(size=20))], y)
    model = b.model(y)
    options: dict[str, Any] = {"mode": "dynamic_range", "weight_type": "int4", "min_elements": 0}
    plain = qcore.quantize_model(model, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # said if the plain one is closest
        recovered = qcore.quantize_model(model, samples=samples(model, 20, seed=1), accuracy="max", **options)
    assert len(recovered.to_bytes()) == len(plain.to_bytes())
    lookup, _, dense = recovered.subgraphs[0].operators
    assert lookup.inputs[1] == dense.inputs[1]


def test_rows_of_a_table_err_no_more_than_their_reach_makes_them() -> None:
    rows = np.random.default_rng(0).standard_t(3, size=(50, 32))
    codes, scale = least_error(rows, INT4, lambda scale: scale)
    plain_scale = np.abs(rows).max(axis=1) / 7
    plain = rounded(rows, plain_scale, INT4) * plain_scale[:, np.newaxis]
    errors = [((found - rows) ** 2).sum(axis=1) for found in (codes * scale[:, np.newaxis], plain)]
    assert (errors[0] <= errors[1]).all()
    assert errors[0].sum() < 0.9 * errors[1].sum()
    assert codes.min() >= -8 and codes.max() <= 7


def test_a_table_of_zeros_has_scales_all_the_same() -> None:
    codes, scale = least_error(np.zeros((2, 4)), INT4, lambda scale: np.maximum(scale, 1e-3))
    assert not codes.any() and (scale > 0).all()


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Weights and a curvature of inputs that go together."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(64, 64)) / 8 + np.eye(64) / 2
    return random.normal(size=(1, 10, 64)), (mixing @ mixing.T)[np.newaxis]


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_blocks_of_one_scale_get_the_codes_of_the_whole(blocks: int) -> None:
    """What a block moves to those that come is what its columns would have moved one by one."""
    target, curvature = problem()
    scale = np.full((1, 10), 0.4)
    whole = gptq(target, scale, Curvature(curvature).factor, INT4)
    codes, kept = recovered_blocks(target, np.full((1, 10, blocks), 0.4), curvature, INT4, ["gptq"])
    np.testing.assert_array_equal(codes, whole)
    np.testing.assert_array_equal(kept, 0.4)


def curved(codes: np.ndarray, scale: np.ndarray, target: np.ndarray, curvature: np.ndarray) -> float:
    apart = codes * np.repeat(scale, target.shape[2] // scale.shape[2], axis=2) - target
    return float(np.einsum("god,gde,goe->", apart, curvature, apart))


def test_each_method_brings_blocks_closer() -> None:
    target, curvature = problem()
    reach = np.abs(target.reshape(1, 10, 2, 32)).max(axis=3)
    scale = stored_scales(reach / 7).astype(np.float64)
    blocks = partial(recovered_blocks, target, scale, curvature, INT4)
    errors = [curved(*blocks(methods), target, curvature) for methods in ([], ["weight_scales"], ["weight_scales", "gptq"])]
    codes, scale = blocks(["weight_scales", "gptq"])
    for _ in range(3):
        codes, scale = descended_blocks(codes, target, scale, curvature, INT4, refit=True)
        errors.append(curved(codes, scale, target, curvature))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6 * errors[0]
    np.testing.assert_array_equal(stored_scales(scale), scale)


def test_moments_beside_each_other_keep_their_own_means() -> None:
    random = np.random.default_rng(0)
    one, other = (random.normal(size=(1, count, 3)) + shift for count, shift in ((5, 0.0), (10, 7.0)))
    found = Moments.of(one, one).beside(Moments.of(other, other))
    centred = np.concatenate([rows - rows.mean(axis=1, keepdims=True) for rows in (one, other)], axis=1)
    np.testing.assert_allclose(found.cov_q, centred.swapaxes(1, 2) @ centred / 15)
    np.testing.assert_allclose(found.mean_f, np.concatenate([one, other], axis=1).mean(axis=1))
    assert found.count == 15


def test_blocks_of_a_recovered_file_have_scales_that_float16_and_bfloat16_share() -> None:
    model = text_model()
    options: dict[str, Any] = {"weight_type": "int4", "block_size": 32, "min_elements": 0}
    found = qcore.quantize_model(model, "dynamic_range", samples=samples(model, 10, seed=1), accuracy="max", **options)
    scales = [constant(tensor) for tensor in found.subgraphs[0].tensors if tensor.name.endswith("_scales")]
    assert len(scales) == 2
    for scale in scales:
        assert scale is not None and not (scale.astype(np.float32).view(np.uint32) & 0xFFFF).any()

"""Normalization behind trained weights: folded into them, with the codes that training saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import QuantizationError
from qcore.model import OPTIONAL, Model
from qcore.quantizer import quantize_model
from qcore.schema import constant
from tests.quantizer.builder import Builder, find, names, tensor_of
from tests.quantizer.trained import BIAS, WEIGHTS, paired, params, rounded

SCALE = np.float32(np.abs(WEIGHTS).max() / 127)
FACTOR, ADDEND = np.array([0.5, -2.0, 1.0, 3.0], np.float32), np.array([0.1, 0.2, -0.3, 0.4], np.float32)


def normalized(factor: Any = FACTOR, addend: Any = ADDEND, bias: bool = True, activation: str = "NONE", read_twice: bool = False) -> Model:
    """x -> FULLY_CONNECTED with one scale of weights -> MUL -> ADD -> y; the last may be RELU."""
    b = Builder()
    x, h, m, y = b.input("x", (1, 5)), b.tensor("h", (1, 4)), b.tensor("m", (1, 4)), b.tensor("y", (1, 4))
    w = paired(b, b.constant("w", WEIGHTS), "uint8", SCALE, 128)
    shift = b.constant("bias", BIAS) if bias else OPTIONAL
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1), w, shift], h, fused_activation_function=activation)
    b.op("MUL", [h, b.constant("factor", factor)], m)
    b.op("ADD", [m, b.constant("addend", addend)], y, fused_activation_function="RELU")
    return b.model(rounded(b, y, 0, 9), *([h] if read_twice else []))


@pytest.mark.parametrize("bias", [True, False])
def test_it_becomes_a_scale_for_each_channel_and_a_bias(bias: bool) -> None:
    model = normalized(bias=bias)
    q = quantize_model(model, ranges="graph")
    assert names(q) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    dense = find(q, "FULLY_CONNECTED")
    assert dense.options is not None
    assert dense.options["fused_activation_function"] == "RELU"
    weights = tensor_of(q, dense, 1)
    assert params(weights) == ("int8", (SCALE * np.abs(FACTOR)).tolist(), [0] * 4)
    codes = qcore.quantize(WEIGHTS, qcore.QuantParams(SCALE, np.zeros(1, np.int64)))
    np.testing.assert_array_equal(constant(weights), codes * np.sign(FACTOR)[:, np.newaxis])  # type: ignore[arg-type]
    x = np.random.default_rng(3).uniform(-1, 1, (1, 5)).astype(np.float32)
    real, integer = (qcore.Interpreter(model_content=m).run(x)["y/fake"] for m in (model, q))
    np.testing.assert_allclose(integer, real, atol=9 / 255 * 1.01)


@pytest.mark.parametrize(
    "arguments",
    [
        {"activation": "RELU"},
        {"read_twice": True},
        {"factor": [1.0, 0.0, 1.0, 1.0]},
        {"factor": [1.0, np.inf, 1.0, 1.0]},
    ],
)
def test_what_is_no_scaling_of_weights_needs_ranges(arguments: dict[str, Any]) -> None:
    with pytest.raises(QuantizationError, match="of its tensors: 'h' \\(FULLY_CONNECTED\\)"):
        quantize_model(normalized(**arguments), ranges="graph")


def test_a_single_number_scales_every_channel() -> None:
    q = quantize_model(normalized(factor=[2.0], addend=[0.5]), ranges="graph")
    assert params(tensor_of(q, find(q, "FULLY_CONNECTED"), 1)) == ("int8", [SCALE * 2] * 4, [0] * 4)


def test_one_scale_for_each_tensor_leaves_nothing_to_fold_into() -> None:
    with pytest.raises(QuantizationError, match="no range for 2 of its tensors"):
        quantize_model(normalized(), per_channel_dense=False, ranges="graph")


def test_it_is_left_alone_unless_ranges_come_from_the_graph() -> None:
    assert names(quantize_model(normalized())) == ["QUANTIZE", "DEQUANTIZE", "FULLY_CONNECTED", "MUL", "ADD", "QUANTIZE", "DEQUANTIZE"]

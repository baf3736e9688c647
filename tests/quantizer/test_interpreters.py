"""Quantized models run wherever users run them, and qcore's reference arithmetic gives BUILTIN_REF's bits on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qcore.model import Model
from qcore.quantizer import quantize_model
from tests.conformance.harness import run, run_qcore, run_tflite
from tests.quantizer.builder import Builder, branches, dense, lstm


def bottleneck(rng: np.random.Generator) -> Model:
    """x -> CONV_2D -> DEPTHWISE_CONV_2D -> CONV_2D, + x; its mean -> FULLY_CONNECTED -> SOFTMAX -> y; and the sum itself."""
    b = Builder()
    x = b.input("x", (1, 8, 8, 4))
    wide, deep, narrow, total = (b.tensor(name, (1, 8, 8, depth)) for name, depth in (("a", 8), ("b", 8), ("c", 4), ("s", 4)))
    mean, logits, y = b.tensor("mean", (1, 4)), b.tensor("logits", (1, 5)), b.tensor("y", (1, 5))

    def constant(*shape: int) -> int:
        return b.constant(f"constant{len(b.tensors)}", rng.normal(size=shape) / 2)

    same: dict[str, Any] = {"stride_w": 1, "stride_h": 1, "padding": "SAME"}
    b.op("CONV_2D", [x, constant(8, 1, 1, 4), constant(8)], wide, fused_activation_function="RELU6", **same)
    b.op("DEPTHWISE_CONV_2D", [wide, constant(1, 3, 3, 8), constant(8)], deep, depth_multiplier=1, **same)
    b.op("CONV_2D", [deep, constant(4, 1, 1, 8), constant(4)], narrow, **same)
    b.op("ADD", [x, narrow], total)
    b.op("MEAN", [total, b.constant("axes", [1, 2], "int32")], mean)
    b.op("FULLY_CONNECTED", [mean, constant(5, 4), constant(5)], logits)
    b.op("SOFTMAX", [logits], y, beta=1.0)
    return b.model(y, total)


def joined(rng: np.random.Generator) -> Model:
    """A TANH and a LOGISTIC of x joined with a constant, cut, padded and moved, and multiplied with what stays float."""
    b = Builder()
    x = b.input("x", (1, 4, 4, 2))
    t, g, f = (b.tensor(name, (1, 4, 4, 2)) for name in "tgf")
    j, p, m, y = b.tensor("j", (1, 4, 4, 6)), b.tensor("p", (1, 6, 4, 6)), b.tensor("m", (1, 3, 2, 6)), b.tensor("y", (1, 6, 3, 2))
    product = b.tensor("product", (1, 4, 4, 2))
    b.op("TANH", [x], t)
    b.op("LOGISTIC", [x], g)
    b.op("NEG", [t], f)
    b.op("MUL", [f, g], product)
    b.op("CONCATENATION", [t, g, b.constant("c", rng.normal(size=(1, 4, 4, 2)))], j, axis=3)
    b.op("PAD", [j, b.constant("paddings", [[0, 0], [1, 1], [0, 0], [0, 0]], "int32")], p)
    b.op("MAX_POOL_2D", [p], m, stride_w=2, stride_h=2, filter_width=2, filter_height=2)
    b.op("TRANSPOSE", [m, b.constant("order", [0, 3, 1, 2], "int32")], y)
    return b.model(y, product)


MODELS: dict[str, Callable[[np.random.Generator], Model]] = {
    "dense": lambda rng: dense(rng, activation="RELU"),
    "branches": branches,
    "bottleneck": bottleneck,
    "joined": joined,
    "lstm": lambda _: lstm(),
}
MODES: dict[str, dict[str, Any]] = {
    "int8": {"mode": "int8"},
    "int8_io_int8": {"mode": "int8", "input_type": "int8", "output_type": "int8"},
    "int8_io_uint8": {"mode": "int8", "input_type": "uint8", "output_type": "uint8"},
    "int16x8": {"mode": "int16x8"},
    "int16x8_io_int16": {"mode": "int16x8", "input_type": "int16", "output_type": "int16"},
    "int16x8_int32": {"mode": "int16x8", "bias_type": "int32"},
}


def quantized(name: str, mode: str) -> tuple[Model, list[np.ndarray]]:
    """The model, and inputs that fit its interface."""
    rng = np.random.default_rng(11)
    model = MODELS[name](rng)
    graph = model.subgraphs[0]
    samples = [[rng.uniform(-1, 1, graph.tensors[i].shape).astype(np.float32) for i in graph.inputs] for _ in range(8)]
    found = quantize_model(model, calibration=samples, **MODES[mode])
    inputs = []
    for values, number in zip(samples[0], found.subgraphs[0].inputs, strict=True):
        dtype = found.subgraphs[0].tensors[number].dtype
        random = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, values.shape, endpoint=True) if "int" in dtype else values
        inputs.append(random.astype(dtype))
    return found, inputs


@pytest.mark.filterwarnings("ignore:quantize_model. these stay float32")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_qcore_gives_the_bits_of_builtin_ref(name: str, mode: str) -> None:
    model, inputs = quantized(name, mode)
    for ours, theirs in zip(run_qcore(model, inputs), run_tflite(model, inputs), strict=True):
        assert ours.dtype == theirs.dtype
        if mode.startswith("int16x8") and name == "lstm":  # 16x8 has no rule for it: it computes in floating point
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("ignore:quantize_model. these stay float32")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_litert_runs_them(name: str, mode: str) -> None:
    """LiteRT's kernels are its delegate's, a step or so off the reference."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    model, inputs = quantized(name, mode)
    for ours, theirs in zip(run_qcore(model, inputs), run(interpreter.Interpreter(model_content=model.to_bytes()), inputs), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
        np.testing.assert_allclose(ours, theirs, atol=0.02 * np.ptp(ours))

"""The convention "ai-edge" on small models, where every scale and conversion can be told beforehand; no tool is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore import Interpreter
from qcore.errors import InputError, QCoreError, QuantizationError
from qcore.kernels.registry import OPERATORS
from qcore.model import Model, Operator, Tensor
from qcore.quantizer import Rule, quantize_model
from qcore.quantizer.ai_edge_specification import SPECIFICATION
from tests.quantizer.builder import Builder, branches, dense, find, names, tensor_of


class Ranges:
    """By name; the others are [-1, 2]."""

    def __init__(self, model: Model, **named: tuple[float, float] | None) -> None:
        self.model, self.named = model, named

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        return self.named.get(self.model.subgraphs[subgraph].tensors[tensor].name, (-1.0, 2.0))


def ai_edge(model: Model, mode: str = "int8", ranges: dict[str, Any] | None = None, **options: Any) -> Model:
    calibration = Ranges(model, **(ranges or {})) if mode in ("int8", "int16x8") else None
    return quantize_model(model, mode, calibration, convention="ai-edge", **options)  # type: ignore[arg-type]


def params(tensor: Tensor) -> tuple[str, float, int]:
    assert tensor.quantization is not None
    return tensor.dtype, float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0])


def reads(model: Model, operator: Operator | str, slot: int = 0) -> tuple[str, float, int]:
    return params(tensor_of(model, find(model, operator) if isinstance(operator, str) else operator, slot))


def unary(*operators: str) -> Model:
    """x -> each operator in turn, over tensors t0, t1, ..."""
    b = Builder()
    last = b.input("x", (1, 4))
    for i, name in enumerate(operators):
        following = b.tensor(f"t{i}", (1, 4))
        b.op(name, [last, b.constant(f"shape{i}", [1, 4], "int32")] if name == "RESHAPE" else [last], following)
        last = following
    return b.model(last)


def test_every_row_is_an_operator_that_qcore_has() -> None:
    assert set(SPECIFICATION) <= set(OPERATORS)


@pytest.mark.parametrize(("mode", "dtype", "bias"), [("int8", "int8", "int32"), ("int16x8", "int16", "int64")])
def test_inputs_and_outputs_are_integers_unless_float32_is_asked_for(mode: str, dtype: str, bias: str) -> None:
    model = dense(np.random.default_rng(0))
    got = ai_edge(model, mode)
    fully_connected = find(got, "FULLY_CONNECTED")
    graph = got.subgraphs[0]
    assert names(got) == ["FULLY_CONNECTED"]
    assert [graph.tensors[i].dtype for i in (graph.inputs[0], *fully_connected.inputs[1:], graph.outputs[0])] == [
        dtype,
        "int8",
        bias,
        dtype,
    ]
    real = ai_edge(model, mode, input_type="float32", output_type="float32")
    assert names(real) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert real.signatures is not None
    assert real.signatures[0].outputs == [("y", real.subgraphs[0].outputs[0])]


def test_a_uint8_interface_is_converted_by_128() -> None:
    got = ai_edge(dense(np.random.default_rng(0)), input_type="uint8", output_type="uint8")
    graph = got.subgraphs[0]
    assert names(got) == ["QUANTIZE", "FULLY_CONNECTED", "QUANTIZE"]
    assert params(graph.tensors[graph.inputs[0]]) == ("uint8", float(np.float32(3) / np.float32(255)), 85)
    assert reads(got, "FULLY_CONNECTED") == ("int8", float(np.float32(3) / np.float32(255)), -43)


def test_an_input_hands_its_parameters_on_and_a_bounded_function_has_its_own() -> None:
    got = ai_edge(unary("RELU", "RESHAPE", "TANH"))
    tanh = find(got, "TANH")
    assert reads(got, tanh) == reads(got, "RESHAPE")
    assert params(got.subgraphs[0].tensors[tanh.outputs[0]]) == ("int8", 1 / 128, 0)


def test_what_stays_float_reads_and_gives_real_numbers() -> None:
    got = ai_edge(unary("RELU", "NEG", "RELU"))
    assert names(got) == ["RELU", "DEQUANTIZE", "NEG", "QUANTIZE", "RELU"]


def test_rules_keep_operators_in_floating_point() -> None:
    got = ai_edge(unary("RELU", "GELU"), rules=[Rule(False, operator="GELU")])
    assert names(got) == ["RELU", "DEQUANTIZE", "GELU", "QUANTIZE"]


def joined(first: str) -> Model:
    """x -> first -> a; a, x -> CONCATENATION -> y."""
    b = Builder()
    x, a, y = b.input("x", (1, 4)), b.tensor("a", (1, 4)), b.tensor("y", (1, 8))
    b.op(first, [x], a)
    b.op("CONCATENATION", [a, x], y, axis=1)
    return b.model(y)


def test_operands_take_the_parameters_of_what_they_are_joined_to() -> None:
    """RELU computes in them at once, as its kernel may; the input, and the bounded LOGISTIC, get a QUANTIZE."""
    free = ai_edge(joined("RELU"), ranges={"y": (-1.0, 4.0)})
    assert names(free) == ["RELU", "QUANTIZE", "CONCATENATION"]
    bound = ai_edge(joined("LOGISTIC"), ranges={"y": (-1.0, 4.0)})
    assert sorted(names(bound)) == ["CONCATENATION", "LOGISTIC", "QUANTIZE", "QUANTIZE"]
    for model in (free, bound):
        join = find(model, "CONCATENATION")
        assert reads(model, join, 0) == reads(model, join, 1) == params(model.subgraphs[0].tensors[join.outputs[0]])


def test_an_output_that_others_read_is_converted_for_each_of_them() -> None:
    """litert-quantizer gives the output that the last conversion made, or lets the last operator read the output's."""
    b = Builder()
    x, a, n, y = b.input("x", (1, 4)), b.tensor("a", (1, 4)), b.tensor("n", (1, 4)), b.tensor("y", (1, 4))
    b.op("RELU", [x], a)
    b.op("NEG", [a], n)
    b.op("ADD", [n, a], y)
    got = ai_edge(b.model(a, y))
    graph = got.subgraphs[0]
    assert [graph.tensors[i].dtype for i in graph.outputs] == ["int8", "int8"]
    add = find(got, "ADD")
    assert add.inputs[1] == graph.outputs[0]


def test_control_flow_stays_float() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op("WHILE", [x], y, cond_subgraph_index=1, body_subgraph_index=2)
    model = b.model(y)
    body = unary("RELU").subgraphs[0]
    condition = Builder()
    c, done, zero = condition.input("c", (1, 4)), condition.tensor("done", (1, 4), "bool"), condition.constant("zero", np.zeros((1, 4)))
    condition.op("GREATER", [c, zero], done)
    model.subgraphs += [condition.model(done).subgraphs[0], body]
    got = ai_edge(model)
    assert names(got, 2) == ["RELU"]
    assert got.subgraphs[2].tensors[0].dtype == "float32"


def test_weights_quantized_before_keep_their_codes() -> None:
    model = dense(np.random.default_rng(0))
    before = ai_edge(model, "dynamic_range")
    after = ai_edge(before)
    assert tensor_of(before, find(before, "FULLY_CONNECTED"), 1).buffer.data is not None
    assert reads(after, "FULLY_CONNECTED", 1) == reads(before, "FULLY_CONNECTED", 1)
    assert tensor_of(after, find(after, "FULLY_CONNECTED"), 2).dtype == "int32"


@pytest.mark.parametrize(
    ("mode", "options", "expected", "dtype"),
    [
        ("float16", {}, ["DEQUANTIZE", "CONV_2D", "NEG", "CONCATENATION"], "float16"),
        ("dynamic_range", {}, ["CONV_2D", "NEG", "CONCATENATION"], "int8"),
        ("weight_only", {}, ["DEQUANTIZE", "CONV_2D", "NEG", "CONCATENATION"], "int8"),
        ("weight_only", {"weight_type": "int4"}, ["DEQUANTIZE", "CONV_2D", "NEG", "CONCATENATION"], "int4"),
        ("weight_only", {"weight_type": "int4", "block_size": 32}, ["CONV_2D", "NEG", "CONCATENATION"], "float32"),
    ],
)
def test_weight_modes_store_weights_of_any_size_and_leave_biases(
    mode: str, options: dict[str, Any], expected: list[str], dtype: str
) -> None:
    got = ai_edge(branches(np.random.default_rng(0)), mode, **options)
    assert names(got) == expected
    stored = tensor_of(got, find(got, "DEQUANTIZE" if "DEQUANTIZE" in expected else "CONV_2D"), 0 if "DEQUANTIZE" in expected else 1)
    assert stored.dtype == dtype
    assert tensor_of(got, find(got, "CONV_2D"), 2).dtype == "float32"


def test_min_elements_keeps_small_weights() -> None:
    kept = ai_edge(dense(np.random.default_rng(0)), "dynamic_range", min_elements=3000)
    assert tensor_of(kept, find(kept, "FULLY_CONNECTED"), 1).dtype == "float32"


@pytest.mark.parametrize("mode", ["int8", "int16x8", "dynamic_range", "weight_only", "float16"])
def test_models_run_and_come_close(mode: str) -> None:
    rng = np.random.default_rng(0)
    model = branches(rng)
    samples = [rng.uniform(-1, 1, (1, 4, 4, 3)).astype(np.float32) for _ in range(3)]
    got = quantize_model(model, mode, samples if mode in ("int8", "int16x8") else None, convention="ai-edge")  # type: ignore[arg-type]
    (want,), (have,) = (list(Interpreter(model_content=m).run(samples[0]).values()) for m in (model, got))
    assert np.abs(want - have).max() < 0.03 * np.abs(want).max()


def test_samples_are_calibrated_by_moving_averages() -> None:
    got = quantize_model(unary("RELU"), "int8", [np.full((1, 4), 1, np.float32), np.full((1, 4), 2, np.float32)], convention="ai-edge")
    average = np.float32(0.95) * np.float32(1) + np.float32(1 - 0.95) * np.float32(2)
    assert reads(got, "RELU") == ("int8", float(average / np.float32(255)), -128)


@pytest.mark.parametrize(
    ("mode", "options", "message"),
    [
        ("int8", {"convention": "onnx"}, "convention: got 'onnx'"),
        ("int8", {"input_type": "int16"}, "input_type: got 'int16'"),
        ("int8", {"min_elements": 8}, "min_elements=8 does not apply to mode 'int8'"),
        ("int16x8", {"bias_type": "int32"}, "bias_type: got 'int32'"),
        ("weight_only", {"weight_type": "int4", "block_size": 96}, "block_size: got 96"),
    ],
)
def test_options_that_do_not_apply_are_refused(mode: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantize_model(dense(np.random.default_rng(0)), mode, **{"convention": "ai-edge", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "mode", "options", "message"),
    [
        (unary("RELU"), "int8", {"ranges": {"t0": None}}, "tensor 't0' has no calibrated range"),
        (unary("RELU"), "int8", {"ranges": {"t0": (float("nan"), 1.0)}}, "tensor 't0': range: got nan"),
        (unary("RELU", "NEG"), "int8", {"float_fallback": False}, "NEG .op 1, outputs .'t1'"),
        (dense(np.random.default_rng(0), depth=40), "weight_only", {"weight_type": "int4", "block_size": 32}, "constant 'weights': blocks"),
    ],
)
def test_models_that_cannot_be_quantized_so_are_refused(model: Model, mode: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        ai_edge(model, mode, **options)


def test_weights_that_are_no_numbers_are_refused_by_name() -> None:
    model = dense(np.random.default_rng(0))
    weights = model.tensor("weights")
    assert weights.buffer.data is not None
    weights.buffer.data = weights.buffer.data.copy()
    weights.buffer.data.view(np.float32)[3] = np.nan
    for mode in ("int8", "dynamic_range"):
        with pytest.raises(QCoreError, match="FULLY_CONNECTED, constant 'weights'"):
            ai_edge(model, mode)

"""int8 as a whole: what it gives, what it refuses, and that it says so."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import ModelError, QuantizationError
from qcore.model import OPTIONAL
from qcore.quantizer import Rule, quantize_model
from qcore.schema.check import check
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, branches, dense, find, names, tensor_of
from tests.quantizer.ranges import described, int8

RNG = np.random.default_rng(0)


def test_a_dense_layer_between_its_conversions() -> None:
    model = int8(dense(RNG))
    assert names(model) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    graph, operator = model.subgraphs[0], find(model, "FULLY_CONNECTED")
    assert [graph.tensors[i].dtype for i in operator.inputs] == ["int8", "int8", "int32"]
    assert [described(graph.tensors[i]) for i in (operator.inputs[0], operator.outputs[0])] == [("int8", 0.01, 0)] * 2
    check(model)


def test_the_interface_stays_float32_under_its_names() -> None:
    model = int8(dense(RNG))
    graph = model.subgraphs[0]
    assert [(graph.tensors[i].name, graph.tensors[i].dtype) for i in (*graph.inputs, *graph.outputs)] == [
        ("x", "float32"),
        ("y", "float32"),
    ]


def test_the_model_that_is_given_stays() -> None:
    model = dense(RNG)
    before = model.to_bytes()
    int8(model)
    assert model.to_bytes() == before


def test_results_are_near_those_of_the_float_model() -> None:
    """Each of the 64 products is off by at most half a step of x (0.005) times a weight, and half a step of the weight times x."""
    model, x = dense(RNG), RNG.uniform(-1, 1, (1, 64)).astype(np.float32)
    (want,) = run_qcore(model, [x])
    (got,) = run_qcore(quantize_model(model, "int8", [x]), [x])
    np.testing.assert_allclose(got, want, atol=0.02 * np.abs(want).max())


def test_strict_names_every_operator_that_stays_float_and_why() -> None:
    model = branches(RNG)
    with pytest.raises(QuantizationError) as caught:
        int8(model, float_fallback=False, rules=[Rule(False, operator="CONV_2D")])
    assert str(caught.value).split("\n") == [
        "int8 without float_fallback: 3 operators stay float",
        "CONV_2D (op 0, output 'c'): a rule of the caller keeps it float",
        "NEG (op 1, output 'n'): it has no int8 form",
        "CONCATENATION (op 2, output 'y'): input 'n' is computed in floating point, and has the scale of what reads it",
    ]


def test_strict_gives_a_model_of_integers_alone() -> None:
    model = int8(dense(RNG), float_fallback=False, input_type="int8", output_type="int8")
    assert {tensor.dtype for tensor in model.subgraphs[0].tensors} == {"int8", "int32"}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "expected"),
    [
        ("FULLY_CONNECTED", ["x"], ["y"], "at least 2 and 1"),
        ("FULLY_CONNECTED", ["x", None], ["y"], "at least 2 and 1"),
        ("TRANSPOSE_CONV", ["x", "x"], ["y"], "at least 3 and 1"),
        ("RESHAPE", [], ["y"], "at least 1 and 1"),
        ("ADD", ["x", "x"], [], "at least 1 and 1"),
        ("QUANTIZE", [], ["y"], "at least 1 and 1"),
    ],
)
def test_operators_without_what_passes_count_on_are_refused(name: str, inputs: list[str | None], outputs: list[str], expected: str) -> None:
    b = Builder()
    number = {None: OPTIONAL, "x": b.input("x", (1, 4)), "y": b.tensor("y", (1, 4))}
    b.op(name, [number[i] for i in inputs], [number[i] for i in outputs])
    with pytest.raises(ModelError, match=rf"{name} \(op 0, .*expected {expected}"):
        int8(b.model(number["x"]))


@pytest.mark.parametrize("name", ["CONV_2D", "ADD", "SQUARED_DIFFERENCE", "CONCATENATION", "PRELU", "BATCH_MATMUL", "SELECT_V2", "SVDF"])
@pytest.mark.parametrize("dtypes", ["float32 int32 float32 float32 float32", "int8 float32 int32 bool float32"])
def test_inputs_of_types_that_operators_do_not_take_raise_nothing_else(name: str, dtypes: str) -> None:
    """What no kernel would run is quantized, left, or refused; the passes survive it."""
    b = Builder()
    numbers = [b.input(f"x{i}", (2, 2), dtype) for i, dtype in enumerate(dtypes.split())]
    y = b.tensor("y", (2, 2))
    b.op(name, numbers, y)
    try:
        int8(b.model(y))
    except (ModelError, QuantizationError):
        return


def test_every_subgraph_is_quantized() -> None:
    model, second = dense(RNG), dense(RNG)
    model.subgraphs += second.subgraphs
    found = int8(model)
    assert names(found, 0) == names(found, 1) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]


def test_float16_constants_are_weights() -> None:
    model = int8(quantize_model(dense(RNG), "float16"))
    assert names(model) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert [tensor_of(model, find(model, "FULLY_CONNECTED"), slot).dtype for slot in (1, 2)] == ["int8", "int32"]

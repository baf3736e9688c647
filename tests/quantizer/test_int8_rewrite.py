"""Conversions in int8 graphs: where they stand, which vanish, and what the interface is called."""

from __future__ import annotations

import numpy as np

from qcore.model import Model
from qcore.schema.check import check
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, find, names, tensor_of
from tests.quantizer.ranges import described, int8, named


def chain(*operators: str) -> Model:
    """x -> the operators of one input, one after the other -> y."""
    b = Builder()
    number = b.input("x", (1, 4))
    for i, name in enumerate(operators):
        following = b.tensor("y" if i == len(operators) - 1 else f"t{i}", (1, 4))
        b.op(name, [number], following)
        number = following
    return b.model(number)


def interface(model: Model) -> list[tuple[str, str]]:
    graph = model.subgraphs[0]
    return [(graph.tensors[i].name, graph.tensors[i].dtype) for i in (*graph.inputs, *graph.outputs)]


def test_conversions_stand_where_floating_point_begins_and_ends() -> None:
    assert names(int8(chain("ABS", "NEG", "EXP"))) == ["QUANTIZE", "ABS", "DEQUANTIZE", "NEG", "QUANTIZE", "EXP", "DEQUANTIZE"]


def test_operators_in_floating_point_have_none_between_them() -> None:
    model = int8(chain("ABS", "NEG", "SIN", "NEG", "EXP"))
    assert names(model) == ["QUANTIZE", "ABS", "DEQUANTIZE", "NEG", "SIN", "NEG", "QUANTIZE", "EXP", "DEQUANTIZE"]


def test_a_model_of_floating_point_alone_has_none() -> None:
    assert names(int8(chain("NEG", "SIN"))) == ["NEG", "SIN"]


def test_floating_point_at_the_interface_has_none_but_for_integer_types() -> None:
    model = chain("NEG", "ABS", "SIN")
    assert names(int8(model)) == ["NEG", "QUANTIZE", "ABS", "DEQUANTIZE", "SIN"]
    assert names(int8(model, input_type="int8", output_type="int8")) == [
        "DEQUANTIZE", "NEG", "QUANTIZE", "ABS", "DEQUANTIZE", "SIN", "QUANTIZE",
    ]  # fmt: skip


def test_one_tensor_for_all_integer_readers() -> None:
    b = Builder()
    x, a, y, z = b.input("x", (1, 4)), b.tensor("a", (1, 4)), b.tensor("y", (1, 4)), b.tensor("z", (1, 4))
    b.op("ABS", [x], a)
    b.op("EXP", [a], y)
    b.op("MUL", [a, x], z)
    model = int8(b.model(y, z))
    assert sorted(names(model)) == ["ABS", "DEQUANTIZE", "DEQUANTIZE", "EXP", "MUL", "QUANTIZE"]
    assert tensor_of(model, find(model, "EXP"), 0) is tensor_of(model, find(model, "MUL"), 0)


def test_names_stay_at_the_interface_and_inside() -> None:
    model = int8(chain("ABS", "EXP", "ABS"))
    assert interface(model) == [("x", "float32"), ("y", "float32")]
    assert {"t0", "t1"} <= {tensor.name for tensor in model.subgraphs[0].tensors if tensor.dtype == "int8"}
    check(model)


def test_an_output_that_is_read_too_keeps_its_name() -> None:
    b = Builder()
    x, a, y = b.input("x", (1, 4)), b.tensor("a", (1, 4)), b.tensor("y", (1, 4))
    b.op("ABS", [x], a)
    b.op("EXP", [a], y)
    model = int8(b.model(a, y), input_type="int8", output_type="int8")
    assert interface(model) == [("x", "int8"), ("a", "int8"), ("y", "int8")]
    assert names(model) == ["ABS", "EXP"]


def test_a_signature_names_the_new_tensors() -> None:
    model = int8(chain("ABS"), output_type="int8")
    assert model.signatures is not None
    graph, signature = model.subgraphs[0], model.signatures[0]
    assert (signature.inputs, signature.outputs) == ([("x", graph.inputs[0])], [("y", graph.outputs[0])])


def test_an_operator_free_to_choose_computes_in_its_only_readers_parameters() -> None:
    """ABS gives a what MAXIMUM asks for, without a QUANTIZE between; TANH cannot, and gets one."""
    b = Builder()
    x = b.input("x", (1, 4))
    a, t, y = b.tensor("a", (1, 4)), b.tensor("t", (1, 4)), b.tensor("y", (1, 4))
    b.op("ABS", [x], a)
    b.op("TANH", [x], t)
    b.op("MAXIMUM", [a, t], y)
    model = int8(b.model(y), {"y": (-2.56, 2.54)})
    assert described(named(model, "a")) == ("int8", 0.02, 0)
    assert sorted(names(model)) == ["ABS", "DEQUANTIZE", "MAXIMUM", "QUANTIZE", "QUANTIZE", "TANH"]


def test_a_constant_that_floating_point_reads_too_stays_as_it_is_for_it() -> None:
    b = Builder()
    x, c = b.input("x", (1, 4)), b.constant("c", [1.0, 0.5, 0.25, 0.126])
    y, z = b.tensor("y", (1, 4)), b.tensor("z", (1, 4))
    b.op("MUL", [x, c], y)
    b.op("POW", [x, c], z)
    model = int8(b.model(y, z))
    ones = np.ones((1, 4), np.float32)
    _, power = run_qcore(model, [ones])
    np.testing.assert_allclose(power, ones, atol=0.02)
    assert tensor_of(model, find(model, "MUL"), 1).dtype == "int8"

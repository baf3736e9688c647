"""The editing layer: what passes do to a copy never reaches the original, and finishing leaves a model that checks out."""

from __future__ import annotations

import numpy as np

from qcore.model import OPTIONAL, Buffer, Metadata, Model, Quantization, Table
from qcore.numerics import QuantParams
from qcore.quantizer.graph import Graph, Use, copy_model, finish, params_of, real_constant, set_constant, to_quantization
from qcore.schema import constant, read
from qcore.schema.check import check
from tests.quantizer.builder import Builder, branches, dense, names


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_a_copy_shares_nothing_but_constant_bytes() -> None:
    model = branches(rng())
    before = model.to_bytes()
    copied = copy_model(model)
    graph = Graph(copied)
    assert graph.tensors[1].buffer is not model.subgraphs[0].tensors[1].buffer
    assert graph.tensors[1].buffer.data is model.subgraphs[0].tensors[1].buffer.data
    graph.operators[0].inputs[0] = OPTIONAL
    graph.operators[0].options.fields["stride_w"] = 7  # type: ignore[union-attr]
    set_constant(graph.tensors[1], np.zeros((5, 3, 3, 3), np.int8), "int8")
    assert model.to_bytes() == before


def test_finishing_an_unedited_model_changes_nothing() -> None:
    model = branches(rng())
    copied = copy_model(model)
    finish(copied)
    assert copied.to_bytes() == model.to_bytes()


def test_producers_and_consumers_name_operators_and_slots() -> None:
    graph = Graph(branches(rng()))
    conv, negate, join = graph.operators
    assert graph.producers() == {3: conv, 4: negate, 5: join}
    assert graph.consumers()[3] == [Use(negate, 0), Use(join, 0)]
    assert 5 not in graph.consumers()


def test_variables_have_no_producer() -> None:
    b = Builder()
    x, state = b.input("x", (1,)), b.tensor("state", (1,))
    b.tensors[state].is_variable = True
    b.op("ABS", [x], state)
    assert Graph(b.model(state)).producers() == {}


def test_an_added_operator_comes_right_before_its_first_reader() -> None:
    model = copy_model(branches(rng()))
    graph = Graph(model)
    doubled = graph.add_tensor("doubled", "float32", graph.tensors[3])
    uses = [use for use in graph.consumers()[3] if use.operator.name == "CONCATENATION"]
    graph.add_operator("ADD", [3, 3], [doubled])
    graph.redirect(uses, doubled)
    finish(model)
    assert names(model) == ["CONV_2D", "NEG", "ADD", "CONCATENATION"]
    check(model)


def test_a_chain_of_added_operators_is_ordered_by_what_it_reads() -> None:
    model = copy_model(dense(rng()))
    graph = Graph(model)
    first, second = (graph.add_tensor(name, "float32", graph.tensors[0]) for name in "ab")
    graph.redirect(graph.consumers()[0], second)
    graph.add_operator("NEG", [first], [second])
    graph.add_operator("ABS", [0], [first])
    finish(model)
    assert names(model) == ["ABS", "NEG", "FULLY_CONNECTED"]
    check(model)


def test_unused_tensors_and_buffers_go_and_the_rest_is_renumbered() -> None:
    model = copy_model(dense(rng()))
    model.buffers = [Buffer(), Buffer(np.arange(3, dtype=np.uint8)), *(t.buffer for t in model.subgraphs[0].tensors if t.is_constant)]
    graph = Graph(model)
    stored = graph.add_constant("weights_float16", np.zeros((32, 64), np.float16), "float16")
    restored = graph.add_tensor("restored", "float32", graph.tensors[1])
    graph.add_operator("DEQUANTIZE", [stored], [restored])
    graph.redirect(graph.consumers()[1], restored)
    finish(model)
    assert [t.name for t in model.subgraphs[0].tensors] == ["x", "bias", "y", "weights_float16", "restored"]
    assert model.signatures is not None
    assert model.signatures[0].outputs == [("y", 2)]
    assert len(model.buffers) == 2
    check(model)
    assert read(model.to_bytes()).to_bytes() == model.to_bytes()


def test_buffers_that_metadata_refer_to_stay() -> None:
    model = copy_model(dense(rng()))
    named, numbered = Buffer(np.zeros(2, np.uint8)), Buffer(np.ones(2, np.uint8))
    model.buffers = [Buffer(), Buffer(np.zeros(5, np.uint8)), named, numbered]
    model.metadata, model.metadata_buffer = [Metadata("about", named)], [3]
    finish(model)
    assert model.buffers[1:] == [named, numbered]
    assert model.metadata_buffer == [2]


def test_tensors_that_hold_blockwise_scales_are_renumbered_with_their_owner() -> None:
    model = copy_model(dense(rng()))
    graph = Graph(model)
    scales = graph.add_constant("scales", np.ones((32, 2), np.float16), "float16")
    details = Table("BlockwiseQuantization", {"scales": scales, "zero_points": -1, "block_size": 32})
    weights = graph.add_constant("codes", np.zeros((32, 64), np.int8), "int4", Quantization(details=details))
    graph.redirect(graph.consumers()[1], weights)
    finish(model)
    (found,) = [t for t in model.subgraphs[0].tensors if t.name == "codes"]
    assert found.quantization is not None
    assert found.quantization.details is not None
    assert model.subgraphs[0].tensors[found.quantization.details["scales"]].name == "scales"
    assert found.quantization.details["zero_points"] == OPTIONAL


def test_equal_constants_are_stored_once() -> None:
    b = Builder()
    x, y = b.input("x", (2,)), b.tensor("y", (2,))
    b.op("ADD_N", [x, b.constant("one", [1, 2]), b.constant("two", [1, 2])], y)
    model: Model = copy_model(b.model(y))
    finish(model)
    one, two = model.subgraphs[0].tensors[1:3] if model.subgraphs[0].tensors[1].is_constant else model.subgraphs[0].tensors[2:4]
    assert one.buffer is two.buffer


def test_replacing_an_interface_tensor_changes_signatures_too() -> None:
    model = copy_model(dense(rng()))
    graph = Graph(model)
    graph.replace_input(0, 1)
    graph.replace_output(3, 2)
    assert (graph.subgraph.inputs, graph.subgraph.outputs) == ([1], [2])
    assert model.signatures is not None
    assert (model.signatures[0].inputs, model.signatures[0].outputs) == ([("x", 1)], [("y", 2)])


def test_parameters_survive_being_stored() -> None:
    params = QuantParams(np.float32([0.5, 0.25]), np.array([0, 0]), "int8", 1)
    model = dense(rng())
    tensor = model.subgraphs[0].tensors[1]
    set_constant(tensor, np.zeros((32, 2), np.int8), "int8", to_quantization(params))
    assert params_of(tensor).scale.tolist() == [0.5, 0.25]
    assert params_of(tensor).quantized_dimension == 1
    assert real_constant(tensor) is None


def test_real_constants_are_float32_with_all_their_elements() -> None:
    tensors = dense(rng()).subgraphs[0].tensors
    values = real_constant(tensors[1])
    assert values is not None
    np.testing.assert_array_equal(values, constant(tensors[1]))
    assert real_constant(tensors[0]) is None

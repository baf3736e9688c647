"""How parameters reach every tensor in int8: forwards, backwards, from constants, and what the bias guard changes."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.model import Model, Operator, Tensor
from qcore.quantizer.graph import params_of
from qcore.schema import constant
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, find, names, tensor_of
from tests.quantizer.ranges import described, int8, named

COARSE = ("int8", 0.02, 0)
FINE = ("int8", 0.01, 0)
TWICE = (-2.56, 2.54)
"""The range of ``COARSE``; that of ``FINE`` is what ranges are unless told."""


def output(model: Model, operator: Operator, slot: int = 0) -> Tensor:
    return model.subgraphs[0].tensors[operator.outputs[slot]]


def codes(values: Tensor) -> list[object]:
    found = constant(values)
    assert found is not None
    return list(found.tolist())


def test_moves_of_one_input_hand_its_parameters_forwards() -> None:
    b = Builder()
    x, s, y = b.input("x", (1, 4)), b.tensor("s", (4,)), b.tensor("y", (2, 2))
    b.op("RESHAPE", [x, b.constant("flat", [4], "int32")], s)
    b.op("RESHAPE", [s, b.constant("square", [2, 2], "int32")], y)
    model = int8(b.model(y), {"x": TWICE})
    assert described(output(model, find(model, "RESHAPE"))) == COARSE


def test_joins_hand_their_outputs_parameters_backwards() -> None:
    """Through a second join too; the sums then compute in these parameters at once, without a QUANTIZE behind them."""
    b = Builder()
    x = b.input("x", (1, 2))
    sums = [b.tensor(name, (1, 2)) for name in "abc"]
    inner, y = b.tensor("inner", (1, 4)), b.tensor("y", (1, 6))
    for number in sums:
        b.op("ADD", [x, x], number)
    b.op("CONCATENATION", sums[:2], inner, axis=1)
    b.op("CONCATENATION", [inner, sums[2]], y, axis=1)
    model = int8(b.model(y), {"y": TWICE})
    assert names(model) == ["QUANTIZE", "ADD", "ADD", "ADD", "CONCATENATION", "CONCATENATION", "DEQUANTIZE"]
    assert {described(output(model, operator)) for operator in model.subgraphs[0].operators[1:6]} == {COARSE}


def test_a_fixed_range_that_joins_others_is_requantized() -> None:
    b = Builder()
    x, t, y = b.input("x", (1, 2)), b.tensor("t", (1, 2)), b.tensor("y", (1, 4))
    b.op("TANH", [x], t)
    b.op("CONCATENATION", [t, t], y, axis=1)
    model = int8(b.model(y), {"y": TWICE})
    assert names(model) == ["QUANTIZE", "TANH", "QUANTIZE", "CONCATENATION", "DEQUANTIZE"]
    assert described(output(model, find(model, "TANH"))) == ("int8", 1 / 128, 0)
    join = find(model, "CONCATENATION")
    assert [described(tensor_of(model, join, slot)) for slot in (0, 1)] == [COARSE] * 2


def test_a_constant_takes_the_parameters_of_what_it_joins() -> None:
    b = Builder()
    x, y = b.input("x", (1, 2)), b.tensor("y", (1, 4))
    b.op("CONCATENATION", [x, b.constant("c", [[0.5, 100.0]])], y, axis=1)
    model = int8(b.model(y), {"y": TWICE})
    joined = tensor_of(model, find(model, "CONCATENATION"), 1)
    assert (described(joined), codes(joined)) == (COARSE, [[25, 127]])


def test_a_constant_of_two_joins_is_stored_for_each() -> None:
    b = Builder()
    x, c = b.input("x", (1, 2)), b.constant("c", [[0.5, 1.0]])
    y, z = b.tensor("y", (1, 2)), b.tensor("z", (1, 2))
    b.op("MAXIMUM", [x, c], y)
    b.op("MINIMUM", [x, c], z)
    model = int8(b.model(y, z), {"y": TWICE})
    assert [codes(tensor_of(model, find(model, name), 1)) for name in ("MAXIMUM", "MINIMUM")] == [[[25, 50]], [[50, 100]]]


def test_an_input_that_two_joins_want_in_other_parameters_is_converted_for_one() -> None:
    b = Builder()
    x, z = b.input("x", (1, 2)), b.input("z", (1, 2))
    a, c, d = b.tensor("a", (1, 2)), b.tensor("c", (1, 2)), b.tensor("d", (1, 2))
    b.op("EXP", [x], a)
    b.op("MAXIMUM", [a, z], c)
    b.op("MINIMUM", [a, z], d)
    model = int8(b.model(c, d), {"c": TWICE})
    for name, wanted in (("MAXIMUM", COARSE), ("MINIMUM", FINE)):
        operator = find(model, name)
        assert [described(tensor_of(model, operator, slot)) for slot in (0, 1)] == [wanted] * 2


def layers(weights: object, *biases: object) -> Model:
    """x[1, 2] -> FULLY_CONNECTED -> an output for each bias, all of the same weights."""
    b = Builder()
    x, w = b.input("x", (1, 2)), b.constant("weights", weights)
    outputs = [b.tensor(f"y{i}", (1, 2)) for i in range(len(biases))]
    for bias, y in zip(biases, outputs, strict=True):
        b.op("FULLY_CONNECTED", [x, w, b.constant("bias", bias)], y)
    return b.model(*outputs)


def test_a_bias_has_the_scale_of_the_products() -> None:
    model = int8(layers([[1.27, 0], [0, 2.54]], [0.5, -0.5]))
    bias = tensor_of(model, find(model, "FULLY_CONNECTED"), 2)
    assert (bias.dtype, codes(bias)) == ("int32", [5000, -2500])
    np.testing.assert_allclose(params_of(bias).scale, [1e-4, 2e-4], 1e-6)


def test_the_bias_guard_raises_the_scale_of_weights_that_are_next_to_nothing() -> None:
    """Bias 1 in steps of 0.01 * 5e-7 / 127 passes half of int32; it gets that many steps, and the weights' scale grows to match."""
    model = int8(layers([[1e-9, 0], [0, 2.54]], [1.0, -0.5]))
    operator = find(model, "FULLY_CONNECTED")
    weights, bias = tensor_of(model, operator, 1), tensor_of(model, operator, 2)
    assert codes(bias) == [2**30, -2500]
    np.testing.assert_allclose(params_of(bias).scale, [1 / (2**30 - 1), 2e-4], 1e-6)
    np.testing.assert_allclose(params_of(weights).scale, [100 / (2**30 - 1), 0.02], 1e-6)
    assert codes(weights) == [[0, 0], [0, 127]]
    np.testing.assert_allclose(run_qcore(model, [np.zeros((1, 2), np.float32)])[0], [[1.0, -0.5]], atol=0.005)


def test_the_guard_leaves_another_layer_of_the_same_weights_alone() -> None:
    model = int8(layers([[1e-9, 0], [0, 2.54]], [1.0, -0.5], [0.0, 0.0]))
    scales = [params_of(tensor_of(model, o, 1)).scale[0] for o in model.subgraphs[0].operators if o.name == "FULLY_CONNECTED"]
    np.testing.assert_allclose(scales, [100 / (2**30 - 1), 5e-7 / 127], 1e-6)


def test_an_input_that_is_an_output_too_keeps_both_names() -> None:
    b = Builder()
    x, y = b.input("x", (1, 2)), b.tensor("y", (1, 2))
    b.op("ABS", [x], y)
    model = int8(b.model(y, x))
    graph = model.subgraphs[0]
    assert [graph.tensors[i].name for i in graph.outputs] == ["y", "x"]
    given = np.float32([[-0.5, 0.123]])
    absolute, same = run_qcore(model, [given])
    np.testing.assert_allclose(absolute, [[0.5, 0.12]], atol=1e-6)
    np.testing.assert_allclose(same, given, atol=0.005)


@pytest.mark.parametrize("strict", [False, True])
def test_strict_looks_once_more_at_operators_that_found_nothing_to_go_by(strict: bool) -> None:
    """Nothing saw r and m, and the converter comes by too early, so it leaves both operators float."""
    b = Builder()
    x, z = b.input("x", (1, 4)), b.tensor("z", (1, 4))
    r, m = b.tensor("r", (2, 2)), b.tensor("m", (4,))
    b.op("ABS", [x], z)
    b.op("RESHAPE", [z, b.constant("square", [2, 2], "int32")], r)
    b.op("RESHAPE", [r, b.constant("flat", [4], "int32")], m)
    model = int8(b.model(m), {"r": None, "m": None}, float_fallback=not strict)
    assert described(named(model, "z")) == FINE

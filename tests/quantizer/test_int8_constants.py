"""Constants in int8: whose parameters they have, and which codes."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.model import Model, Tensor
from qcore.quantizer.graph import Graph, params_of
from qcore.quantizer.int8_constants import constant_codes, constant_params, separate_constants, weights
from qcore.quantizer.options import Options
from qcore.quantizer.specification import PER_TENSOR
from qcore.schema import constant
from tests.quantizer.builder import Builder, find, names, tensor_of
from tests.quantizer.ranges import described, int8


def tensor(values: object) -> Tensor:
    b = Builder()
    return b.tensors[b.constant("c", values)]


def factor(model: Model, name: str = "MUL") -> Tensor:
    """The second input of the model's only operator of that name, in int8."""
    found = int8(model)
    return tensor_of(found, find(found, name), 1)


def codes(values: Tensor) -> list[object]:
    found = constant(values)
    assert found is not None
    return list(found.tolist())


def multiplied(by: object) -> Model:
    """x[2, 4] -> MUL by a constant -> y."""
    b = Builder()
    x, y = b.input("x", (2, 4)), b.tensor("y", (2, 4))
    b.op("MUL", [x, b.constant("c", by)], y)
    return b.model(y)


def test_weights_are_symmetric_with_a_scale_for_each_channel() -> None:
    params = constant_params(tensor([[1.27, -0.5], [0.1, -2.54]]), 0, "float32")
    assert params is not None
    np.testing.assert_array_equal(params.scale, np.float32([1.27, 2.54]) / np.float32(127))
    assert (params.zero_point.tolist(), params.quantized_min, params.quantized_dimension) == ([0, 0], -127, 0)


def test_weights_with_one_scale() -> None:
    params = constant_params(tensor([[1.27, -0.5], [0.1, -2.54]]), PER_TENSOR, "float32")
    assert params is not None
    assert (params.single(), params.quantized_min) == ((float(np.float32(2.54) / np.float32(127)), 0), -127)


def test_a_channel_of_zeros_has_the_least_scale() -> None:
    params = constant_params(tensor([[0, 0], [1.27, 0]]), 0, "float32")
    assert params is not None
    assert params.scale[0] == np.float32(1e-6 / 254)
    assert constant_codes(tensor([[0, 0], [1.27, 0]]), params, "float32").tolist() == [[0, 0], [127, 0]]


@pytest.mark.parametrize(("axis", "code"), [(0, 6), (PER_TENSOR, 7)])
def test_channels_multiply_by_a_reciprocal_of_the_scale_and_whole_tensors_by_one_of_the_reach(axis: int, code: int) -> None:
    """0.0070054727 is 6.4999994 steps of 0.13687617 / 127: the two products in float32 lie on both sides of a half."""
    values = tensor([[0.13687617, 0.0070054727]])
    params = constant_params(values, axis, "float32")
    assert params is not None
    assert constant_codes(values, params, "float32").tolist() == [[127, code]]


@pytest.mark.parametrize(
    ("values", "scale", "zero_point"),
    [([3.0], 3 / 255, -128), ([-3.0], 3 / 255, 127), ([-1.28, 1.27], 0.01, 0), ([0.0], 1e-6 / 255, 0)],
)
def test_other_constants_spread_over_all_codes_with_0_among_them(values: list[float], scale: float, zero_point: int) -> None:
    assert described(factor(multiplied(values))) == ("int8", pytest.approx(scale, 1e-6), zero_point)


def test_the_zero_point_counts_before_codes_are_rounded() -> None:
    """0.5 of a range [-1, 254]: half a step up from the zero point, -127, is -126.5, which rounds away from zero, back to it."""
    assert codes(factor(multiplied([-1, 0.5, 254, 0]))) == [-128, -127, 127, -127]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_constants_that_are_not_finite_have_no_parameters(value: float) -> None:
    assert constant_params(tensor([1.0, value]), None, "float32") is None
    assert names(int8(multiplied([value]))) == ["MUL"]


def test_an_empty_constant_and_a_missing_axis_have_no_parameters() -> None:
    assert constant_params(tensor(np.zeros((0, 4))), 0, "float32") is None
    assert constant_params(tensor([1.0]), 1, "float32") is None


def shared() -> Builder:
    """A constant that is the bias of two layers of different weights."""
    b = Builder()
    x, bias = b.input("x", (1, 2)), b.constant("bias", [0.5, -0.5])
    for name, reach in (("y", 1.27), ("z", 2.54)):
        b.op("FULLY_CONNECTED", [x, b.constant(f"{name}/weights", np.full((2, 2), reach)), bias], b.tensor(name, (1, 2)))
    return b


def test_a_shared_bias_is_stored_in_the_scale_of_each_layers_products() -> None:
    b = shared()
    model = int8(b.model(*(operator.outputs[0] for operator in b.operators)))
    layers = [operator for operator in model.subgraphs[0].operators if operator.name == "FULLY_CONNECTED"]
    found = [tensor_of(model, layer, 2) for layer in layers]
    assert [codes(bias) for bias in found] == [[5000, -5000], [2500, -2500]]
    np.testing.assert_allclose([params_of(bias).scale[0] for bias in found], [1e-4, 2e-4], 1e-6)


def test_separating_leaves_weights_shared() -> None:
    b = shared()
    weights_number = b.operators[0].inputs[1]
    b.operators[1].inputs[1] = weights_number
    graph = Graph(b.model(*(operator.outputs[0] for operator in b.operators)))
    separate_constants(graph)
    first, second = graph.operators
    assert first.inputs[1] == second.inputs[1] == weights_number
    assert first.inputs[2] != second.inputs[2]
    assert weights(graph, Options()) == {weights_number: 0}


def test_options_decide_about_the_axis_of_weights() -> None:
    b = shared()
    graph = Graph(b.model(b.operators[0].outputs[0]))
    assert set(weights(graph, Options(per_channel_dense=False)).values()) == {PER_TENSOR}
    assert set(weights(graph, Options(per_channel=False)).values()) == {PER_TENSOR}


def test_a_constant_that_is_weights_of_one_operator_is_so_for_all() -> None:
    """A PRELU's slopes, symmetric with one scale, which a MUL multiplies with too."""
    b = Builder()
    x, slopes = b.input("x", (2, 4)), b.constant("slopes", [0, 0.1, 0.2, 1.27])
    y, z = b.tensor("y", (2, 4)), b.tensor("z", (2, 4))
    b.op("MUL", [x, slopes], z)
    b.op("PRELU", [x, slopes], y)
    model = int8(b.model(y, z))
    for name in ("MUL", "PRELU"):
        assert described(tensor_of(model, find(model, name), 1)) == ("int8", pytest.approx(0.01, 1e-6), 0)

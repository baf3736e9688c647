"""What the optimizer does to quantized graphs that other tools wrote: the same results from fewer or other operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.model import OPTIONAL, Model
from qcore.schema import constant
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, find, names, tensor_of
from tests.quantizer.ranges import int8

CONVERTED = ["QUANTIZE", "DEQUANTIZE"]
RNG = np.random.default_rng(1)


def inside(model: Model, **options: Any) -> list[str]:
    """The operators between the conversions, with ranges that hold every value; they compute what the float model does."""
    given = RNG.uniform(-1, 1, model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape).astype(np.float32)
    quantized = int8(model, **options)
    (want,), (got,) = run_qcore(model, [given]), run_qcore(quantized, [given])
    np.testing.assert_allclose(got, want, atol=0.05)
    first, *found, last = names(quantized)
    assert [first, last] == CONVERTED
    return found


def activated(name: str, fused: str = "NONE", reader: bool = False) -> Model:
    """x + x, then an activation."""
    b = Builder()
    x, s, y = b.input("x", (1, 4)), b.tensor("s", (1, 4)), b.tensor("y", (1, 4))
    b.op("ADD", [x, b.constant("c", [0.1, 0, 0, -0.1])], s, fused_activation_function=fused)
    b.op(name, [s], y)
    if reader:
        z = b.tensor("z", (1, 4))
        b.op("MUL", [s, y], z)
        return b.model(z)
    return b.model(y)


@pytest.mark.parametrize("name", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_a_sum_applies_the_activation_behind_it(name: str) -> None:
    assert inside(activated(name)) == ["ADD"]
    options = find(int8(activated(name)), "ADD").options
    assert options is not None
    assert options["fused_activation_function"] == name


def test_a_sum_that_others_read_or_that_has_an_activation_keeps_it_apart() -> None:
    assert inside(activated("RELU", reader=True)) == ["ADD", "RELU", "MUL"]
    assert inside(activated("RELU6", fused="RELU")) == ["ADD", "RELU6"]


def test_a_dense_layer_keeps_dimensions_that_a_reshape_would_restore() -> None:
    b = Builder()
    x, flat, y = b.input("x", (2, 3, 4)), b.tensor("flat", (6, 5)), b.tensor("y", (2, 3, 5))
    b.op("FULLY_CONNECTED", [x, b.constant("w", RNG.normal(size=(5, 4)) / 8), OPTIONAL], flat)
    b.op("RESHAPE", [flat, b.constant("shape", [2, 3, 5], "int32")], y)
    model = b.model(y)
    assert inside(model) == ["FULLY_CONNECTED"]
    options = find(int8(model), "FULLY_CONNECTED").options
    assert options is not None
    assert options["keep_num_dims"] is True


def sliced(begin: list[int], end: list[int], strides: list[int], shape: tuple[int, ...], **options: Any) -> Model:
    b = Builder()
    x, y = b.input("x", (4, 4)), b.tensor("y", shape)
    bounds = [b.constant(name, values, "int32") for name, values in (("begin", begin), ("end", end), ("strides", strides))]
    b.op("STRIDED_SLICE", [x, *bounds], y, **options)
    return b.model(y)


def test_a_strided_slice_of_step_one_is_a_slice() -> None:
    model = sliced([1, 0], [3, 2], [1, 1], (2, 2))
    assert inside(model) == ["SLICE"]
    quantized = int8(model)
    size = constant(tensor_of(quantized, find(quantized, "SLICE"), 2))
    assert size is not None
    assert size.tolist() == [2, 2]


@pytest.mark.parametrize(
    "model",
    [
        sliced([0, 0], [4, 4], [2, 1], (2, 4)),
        sliced([-2, 0], [4, 4], [1, 1], (2, 4)),
        sliced([0, 0], [0, 2], [1, 1], (4, 2), end_mask=1),
    ],
)
def test_other_strided_slices_stay(model: Model) -> None:
    assert inside(model) == ["STRIDED_SLICE"]


def test_dimensions_of_one_are_reshapes_and_reshapes_of_reshapes_one() -> None:
    b = Builder()
    x, s, e, y = b.input("x", (1, 4)), b.tensor("s", (4,)), b.tensor("e", (4, 1)), b.tensor("y", (2, 2))
    b.op("SQUEEZE", [x], s, squeeze_dims=np.int32([0]))
    b.op("EXPAND_DIMS", [s, b.constant("axis", 1, "int32")], e)
    b.op("RESHAPE", [e, b.constant("shape", [2, 2], "int32")], y)
    assert inside(b.model(y)) == ["RESHAPE"]


def test_reshapes_back_and_forth_vanish() -> None:
    b = Builder()
    x, s, e, y = b.input("x", (1, 4)), b.tensor("s", (2, 2)), b.tensor("e", (1, 4)), b.tensor("y", (1, 4))
    b.op("RESHAPE", [x, b.constant("square", [2, 2], "int32")], s)
    b.op("RESHAPE", [s, b.constant("row", [1, 4], "int32")], e)
    b.op("MUL", [e, e], y)
    assert inside(b.model(y)) == ["MUL"]


def test_the_shape_among_a_reshapes_options_becomes_an_input() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (2, 2))
    b.op("RESHAPE", [x], y, new_shape=np.int32([2, 2]))
    model = int8(b.model(y))
    operator = find(model, "RESHAPE")
    shape = constant(tensor_of(model, operator, 1))
    assert shape is not None
    assert shape.tolist() == [2, 2]


def test_inputs_that_are_left_out_at_the_end_are_named() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 3))
    b.op("FULLY_CONNECTED", [x, b.constant("w", RNG.normal(size=(3, 4)) / 8)], y)
    assert find(int8(b.model(y)), "FULLY_CONNECTED").inputs[2:] == [OPTIONAL]

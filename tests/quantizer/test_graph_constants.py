"""Constants that a graph rounds: the very codes and scales of training, in the types that kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import QuantizationError
from qcore.model import Model
from qcore.quantizer import quantize_model
from qcore.schema import constant
from tests.quantizer.builder import Builder, find, names, tensor_of
from tests.quantizer.trained import WEIGHTS, paired, params, rounded

GRID = np.random.default_rng(1).integers(-5, 6, (4, 5))
"""Codes of which none is +-7: no scale that values give is that of training."""
SCALE = np.array([0.5, 0.25, 0.125, 0.75], np.float32)


def layer(weights: Any, b: Builder) -> Model:
    x, y = b.input("x", (1, 5)), b.tensor("y", (1, 4))
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1), weights], y)
    return b.model(rounded(b, y, -3, 3))


def on_grid(dtype: str, zero_point: int, axis: bool = True) -> Model:
    """Weights of four bits behind a pair of that type."""
    b = Builder()
    scale = SCALE if axis else SCALE[:1]
    return layer(paired(b, b.constant("w", GRID * scale[:, np.newaxis]), dtype, scale, zero_point), b)


def weights_of(model: Model) -> tuple[str, list[float], list[Any]]:
    tensor = tensor_of(model, find(model, "FULLY_CONNECTED"), 1)
    dtype, scale, zero_point = params(tensor)
    assert not any(zero_point)
    codes = constant(tensor)
    assert codes is not None
    return dtype, scale, codes.tolist()


FROM_TYPES = [("uint8", 128), ("int8", 0), ("uint8", 8), ("uint4", 8), ("int4", 0)]


@pytest.mark.parametrize(("dtype", "zero_point"), FROM_TYPES)
@pytest.mark.parametrize("axis", [True, False])
def test_four_bits_are_packed_where_asked_for_with_the_very_codes(dtype: str, zero_point: int, axis: bool) -> None:
    q = quantize_model(on_grid(dtype, zero_point, axis), weight_type="int4", ranges="graph")
    assert weights_of(q) == ("int4", (SCALE if axis else SCALE[:1]).tolist(), GRID.tolist())


@pytest.mark.parametrize(("dtype", "zero_point"), FROM_TYPES)
def test_otherwise_types_of_four_bits_are_int4_and_a_rule_for_int8_keeps_the_codes(dtype: str, zero_point: int) -> None:
    model = on_grid(dtype, zero_point)
    natural = "int4" if dtype.endswith("4") else "int8"
    assert weights_of(quantize_model(model, ranges="graph")) == (natural, SCALE.tolist(), GRID.tolist())
    rules = [qcore.Rule(True, operator="FULLY_CONNECTED", weight_type="int8")]
    assert weights_of(quantize_model(model, ranges="graph", rules=rules)) == ("int8", SCALE.tolist(), GRID.tolist())


def test_codes_of_eight_bits_do_not_become_int4_in_silence() -> None:
    b = Builder()
    model = layer(paired(b, b.constant("w", WEIGHTS), "int8", np.abs(WEIGHTS).max() / 127, 0), b)
    with pytest.raises(
        QuantizationError, match=r"weights 'behind' are trained for 8 bits, with codes from -\d+ to \d+, and do not fit int4"
    ):
        quantize_model(model, weight_type="int4", ranges="graph")
    assert weights_of(quantize_model(model, weight_type="int4"))[0] == "int8"


@pytest.mark.parametrize("carried", [{"scale": 0.01, "zero_point": 60}, {"scale": np.full(5, 0.02), "zero_point": 0, "axis": 1}])
def test_a_range_of_weights_that_kernels_do_not_take_is_left_to_their_values(carried: dict[str, Any]) -> None:
    b = Builder()
    model = layer(paired(b, b.constant("w", WEIGHTS), "int8", **carried), b)
    dtype, scale, codes = weights_of(quantize_model(model, float_fallback=False))
    assert (dtype, len(scale)) == ("int8", 4)
    with pytest.warns(UserWarning, match="constant 'behind' carries a range that kernels of FULLY_CONNECTED do not take"):
        assert weights_of(quantize_model(model, ranges="graph")) == (dtype, scale, codes)


def moved(operator: str) -> Model:
    """Weights per channel of a dense layer, as Keras has them, or of a convolution along one axis."""
    b = Builder()
    x, y = b.input("x", (1, 5)), b.tensor("y", (1, 4))
    if operator == "TRANSPOSE":
        w = paired(b, b.constant("w", (GRID * SCALE[:, np.newaxis]).T), "uint8", SCALE, 128, axis=1)
        argument, shape = b.constant("order", [1, 0], "int32"), (4, 5)
    else:
        w = paired(b, b.constant("w", (GRID * SCALE[:, np.newaxis]).reshape(4, 1, 5)), "uint8", SCALE, 128, axis=0)
        argument, shape = b.constant("shape", [4, 5], "int32"), (4, 5)
    kernel = b.tensor("kernel", shape)
    b.op(operator, [w, argument], kernel)
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1), kernel], y)
    return b.model(rounded(b, y, -3, 3))


@pytest.mark.parametrize("operator", ["TRANSPOSE", "RESHAPE"])
def test_scales_follow_elements_that_move(operator: str) -> None:
    q = quantize_model(moved(operator), ranges="graph")
    assert names(q) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert weights_of(q) == ("int8", SCALE.tolist(), GRID.tolist())


def test_kernels_without_int4_get_the_codes_as_int8() -> None:
    b = Builder()
    shape, x, y = b.constant("shape", [1, 4, 4, 2], "int32"), b.input("x", (1, 4, 4, 3)), b.tensor("y", (1, 4, 4, 2))
    codes = np.random.default_rng(2).integers(-5, 6, (2, 1, 1, 3))
    w = paired(b, b.constant("w", codes * 0.5), "uint4", 0.5, 8)
    b.op("TRANSPOSE_CONV", [shape, w, rounded(b, x, -1, 1)], y, padding="SAME", stride_w=1, stride_h=1)
    q = quantize_model(b.model(rounded(b, y, -3, 3)), ranges="graph")
    tensor = tensor_of(q, find(q, "TRANSPOSE_CONV"), 1)
    assert params(tensor) == ("int8", [0.5], [0])
    np.testing.assert_array_equal(constant(tensor), codes)  # type: ignore[arg-type]


def test_constants_that_are_codes_already_are_taken_as_they_are() -> None:
    b = Builder()
    whole = on_grid("int8", 0)
    w, codes = b.tensor("w", (4, 5)), b.tensor("codes", (4, 5), "int8")
    b.tensors[codes] = tensor_of(quantize_model(whole, ranges="graph"), find(quantize_model(whole, ranges="graph"), "FULLY_CONNECTED"), 1)
    b.op("DEQUANTIZE", [codes], w)
    assert weights_of(quantize_model(layer(w, b), ranges="graph")) == ("int8", SCALE.tolist(), GRID.tolist())


def test_a_constant_that_is_no_weight_keeps_its_zero_point() -> None:
    b = Builder()
    x, y = b.input("x", (1, 5)), b.tensor("y", (1, 5))
    b.op("ADD", [rounded(b, x, -1, 1), paired(b, b.constant("c", [0.5, 1, 1.5, 2, 3]), "uint8", 0.5, 3)], y)
    q = quantize_model(b.model(rounded(b, y, -1, 4)), ranges="graph")
    tensor = tensor_of(q, find(q, "ADD"), 1)
    assert params(tensor) == ("int8", [0.5], [-125])
    assert constant(tensor).tolist() == [-124, -123, -122, -121, -119]  # type: ignore[union-attr]

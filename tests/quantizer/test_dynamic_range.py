"""dynamic_range: which constants become int8, in which scales, and what their operators need beside."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import QuantizationError
from qcore.model import OPTIONAL, Model
from qcore.numerics import quantize_by_division
from qcore.quantizer import Rule, quantize_model
from qcore.schema import constant
from qcore.schema.check import check
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, dense, find, names, tensor_of


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def weights_of(model: Model, name: str, slot: int = 1) -> tuple[str, int]:
    """Type and number of scales."""
    tensor = tensor_of(model, find(model, name), slot)
    return tensor.dtype, 0 if tensor.quantization is None else len(tensor.quantization.scale)


def test_weights_get_a_scale_for_each_unit_and_a_bias_stays() -> None:
    model = dense(rng())
    quantized = quantize_model(model, "dynamic_range")
    check(quantized)
    assert weights_of(quantized, "FULLY_CONNECTED") == ("int8", 32)
    assert weights_of(quantized, "FULLY_CONNECTED", 2) == ("float32", 0)
    operator = find(quantized, "FULLY_CONNECTED")
    assert operator.options is not None
    assert operator.options["asymmetric_quantize_inputs"]
    assert operator.code.version == 12
    real = constant(model.subgraphs[0].tensors[1])
    assert real is not None
    tensor = tensor_of(quantized, operator, 1)
    assert tensor.quantization is not None
    np.testing.assert_array_equal(tensor.quantization.scale, np.abs(real).max(axis=1) / np.float32(127))


def test_per_tensor_scales_are_asked_for_all_or_for_dense_alone() -> None:
    model = dense(rng())
    assert weights_of(quantize_model(model, "dynamic_range", per_channel=False), "FULLY_CONNECTED") == ("int8", 1)
    assert weights_of(quantize_model(model, "dynamic_range", per_channel_dense=False), "FULLY_CONNECTED") == ("int8", 1)


@pytest.mark.parametrize(("elements", "dtype"), [(2048, "int8"), (2049, "float32")])
def test_weights_of_fewer_elements_stay(elements: int, dtype: str) -> None:
    assert weights_of(quantize_model(dense(rng()), "dynamic_range", min_elements=elements), "FULLY_CONNECTED")[0] == dtype


def test_codes_divide_by_the_scale_in_double() -> None:
    """22.4999997 steps are 22; a product with a float32 reciprocal of the scale gives 22.5, and 23."""
    weights = np.float32([[0.3483826, 0.061721325, -0.061721325]])
    assert quantize_by_division(weights, "int8", 0).data.tolist() == [[127, 22, -22]]


def test_one_constant_is_quantized_once_for_each_kind_of_scales() -> None:
    """A table that a GATHER looks up and a FULLY_CONNECTED multiplies with, which also is an output."""
    b = Builder()
    x, ids, table = b.input("x", (1, 64)), b.input("ids", (2,), "int32"), b.constant("table", rng().normal(size=(32, 64)))
    y, z, rows = b.tensor("y", (1, 32)), b.tensor("z", (1, 32)), b.tensor("rows", (2, 64))
    b.op("FULLY_CONNECTED", [x, table, OPTIONAL], y)
    b.op("GATHER", [table, ids], rows)
    b.op("FULLY_CONNECTED", [x, table, OPTIONAL], z)
    quantized = quantize_model(b.model(y, z, rows, table), "dynamic_range")
    check(quantized)
    assert names(quantized) == ["FULLY_CONNECTED", "GATHER", "FULLY_CONNECTED", "DEQUANTIZE"]
    stored = [t for t in quantized.subgraphs[0].tensors if t.name == "table"]
    assert [(t.dtype, 0 if t.quantization is None else len(t.quantization.scale)) for t in stored] == [
        ("float32", 0),
        ("int8", 32),
        ("int8", 1),
    ]
    codes = tensor_of(quantized, find(quantized, "DEQUANTIZE"), 0)
    assert codes.dtype == "int8"
    assert [t.name for t in map(quantized.subgraphs[0].tensors.__getitem__, quantized.subgraphs[0].outputs)] == ["y", "z", "rows", "table"]


def test_a_sequence_lstm_has_all_its_weights_quantized_or_none() -> None:
    def lstm(units: int) -> Model:
        b = Builder()
        x = b.input("x", (1, 3, 40))
        gates = [b.constant(f"w{i}", rng().normal(size=(units, 40))) for i in range(4)]
        recurrent = [b.constant(f"r{i}", rng().normal(size=(units, units))) for i in range(4)]
        biases = [b.constant(f"b{i}", rng().normal(size=units)) for i in range(4)]
        states = [b.tensor("h", (1, units)), b.tensor("c", (1, units))]
        for state in states:
            b.tensors[state].is_variable = True
        y = b.tensor("y", (1, 3, units))
        missing = [OPTIONAL] * 3
        inputs = [x, *gates, *recurrent, *missing, *biases, OPTIONAL, OPTIONAL, *states, *[OPTIONAL] * 4]
        b.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, y, fused_activation_function="TANH")
        return b.model(y)

    for units, dtype in ((40, "int8"), (30, "float32")):
        quantized = quantize_model(lstm(units), "dynamic_range")
        operator = find(quantized, "UNIDIRECTIONAL_SEQUENCE_LSTM")
        assert {tensor_of(quantized, operator, slot).dtype for slot in range(1, 9)} == {dtype}
        assert operator.options is not None
        assert operator.options["asymmetric_quantize_inputs"] is (units == 40)
        assert {tensor_of(quantized, operator, slot).dtype for slot in range(12, 16)} == {"float32"}


def test_a_basic_lstm_keeps_its_weights() -> None:
    b = Builder()
    x, h, c = (b.input(name, (1, 32)) for name in "xhc")
    w, bias = b.constant("w", rng().normal(size=(128, 64))), b.constant("b", rng().normal(size=128))
    outputs = [b.tensor(f"y{i}", (1, size)) for i, size in enumerate((32, 32, 64, 128))]
    b.op("LSTM", [x, h, w, bias, c], outputs, kernel_type="BASIC", fused_activation_function="TANH")
    for mode in ("dynamic_range", "weight_only"):
        assert weights_of(quantize_model(b.model(outputs[0]), mode), "LSTM", 2) == ("float32", 0)  # type: ignore[arg-type]


def test_rules_choose_among_readers_of_one_constant() -> None:
    b = Builder()
    x, w = b.input("x", (1, 64)), b.constant("w", rng().normal(size=(32, 64)))
    y, z = b.tensor("y", (1, 32)), b.tensor("z", (1, 32))
    b.op("FULLY_CONNECTED", [x, w, OPTIONAL], y)
    b.op("FULLY_CONNECTED", [x, w, OPTIONAL], z)
    quantized = quantize_model(b.model(y, z), "dynamic_range", rules=[Rule(False, tensor="z")])
    first, second = quantized.subgraphs[0].operators
    assert (tensor_of(quantized, first, 1).dtype, tensor_of(quantized, second, 1).dtype) == ("int8", "float32")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(bad: float) -> None:
    values = rng().normal(size=(32, 64))
    values[3, 3] = bad
    b = Builder()
    x, w, y = b.input("x", (1, 64)), b.constant("w", values), b.tensor("y", (1, 32))
    b.op("FULLY_CONNECTED", [x, w, OPTIONAL], y)
    with pytest.raises(QuantizationError, match="weights 'w' of FULLY_CONNECTED: some are NaN or infinite"):
        quantize_model(b.model(y), "dynamic_range")


def test_weights_without_a_channel_axis_are_refused() -> None:
    b = Builder()
    x, w, y = b.input("x", (1, 4, 4, 1)), b.constant("w", np.ones((64, 32))), b.tensor("y", (1, 4, 4, 1))
    b.op("DEPTHWISE_CONV_2D", [x, w, OPTIONAL], y)
    with pytest.raises(QuantizationError, match=r"got shape \[64, 32\], expected channels along axis 3"):
        quantize_model(b.model(y), "dynamic_range")


def test_results_stay_near_those_of_the_float_model() -> None:
    model = dense(rng())
    x = [rng().uniform(-1, 1, (1, 64)).astype(np.float32)]
    (want,), (got,) = run_qcore(model, x), run_qcore(quantize_model(model, "dynamic_range"), x)
    assert np.abs(got - want).max() < 0.02 * np.abs(want).max()

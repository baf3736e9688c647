"""int16x8: the arithmetic of scales and codes, and what each kind of operator gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from qcore.errors import QuantizationError
from qcore.model import OPTIONAL, Model, Quantization, Tensor
from qcore.numerics import dequantize
from qcore.quantizer import Rule, quantize_model
from qcore.quantizer.graph import params_of
from qcore.quantizer.int16x8_params import activation_params, quantize_constant
from qcore.quantizer.int16x8_specification import SPECIFICATION
from qcore.schema import constant
from qcore.schema.check import check
from qcore.schema.description import ENUMS
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, branches, dense, find, names, tensor_of


@dataclass
class Ranges:
    """Ranges by tensor number; one for all others."""

    known: Mapping[int, tuple[float, float] | None] = field(default_factory=dict)
    others: tuple[float, float] | None = (-1.0, 1.0)

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        assert (subgraph, dtype) == (0, "int16")
        return self.known.get(tensor, self.others)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def scale_of(tensor: Tensor) -> float:
    return params_of(tensor).single()[0]


def values_of(tensor: Tensor) -> np.ndarray:
    values = constant(tensor)
    assert values is not None
    return values


def test_activations_are_symmetric_and_reach_32767() -> None:
    params = activation_params(-0.3, 0.1, runnable=False)
    assert params.scale[0] == np.float32(0.3) / np.float32(32767)
    assert params.zero_point[0] == 0


@pytest.mark.parametrize("high", [0.0, 1.1754943508222875e-38])
def test_a_tensor_that_was_always_zero_has_the_scale_that_calibration_starts_from_or_a_usable_one(high: float) -> None:
    assert activation_params(0.0, high, runnable=False).scale[0] == np.finfo(np.float32).tiny / np.float32(32767)
    assert activation_params(0.0, high, runnable=True).scale[0] == np.float32(1) / np.float32(32767)


def test_weights_of_zeros_have_a_scale_of_1_for_all_or_of_0_for_each_channel() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 3))
    b.op("FULLY_CONNECTED", [x, b.constant("weights", np.zeros((3, 4)))], y)
    model = b.model(y)
    for per_channel, scales in ((True, [0, 0, 0]), (False, [1])):
        quantized = quantize_model(model, "int16x8", Ranges(), per_channel=per_channel)
        weights = tensor_of(quantized, find(quantized, "FULLY_CONNECTED"), 1)
        assert params_of(weights).scale.tolist() == scales
        assert not values_of(weights).any()


def test_constants_use_codes_up_to_32767() -> None:
    codes = quantize_constant(np.float32([3, -1.5, 0]), runnable=False)
    assert codes.data.tolist() == [32767, -16384, 0]


@pytest.mark.parametrize(("runnable", "scale"), [(False, 0), (True, float(np.float32(1) / np.float32(32767)))])
def test_constants_of_zeros_have_a_scale_of_0_or_a_usable_one(runnable: bool, scale: float) -> None:
    codes = quantize_constant(np.zeros(2, np.float32), runnable)
    assert (codes.data.tolist(), codes.params.scale.tolist()) == ([0, 0], [scale])


def test_a_dense_layer_has_int8_weights_and_a_bias_in_their_products_scale() -> None:
    model = dense(rng())
    quantized = quantize_model(model, "int16x8", Ranges({0: (-2.0, 1.0), 3: (-8.0, 9.0)}))
    check(quantized)
    assert names(quantized) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    operator = find(quantized, "FULLY_CONNECTED")
    x, weights, bias = (tensor_of(quantized, operator, slot) for slot in range(3))
    assert (x.dtype, weights.dtype, bias.dtype) == ("int16", "int8", "int64")
    assert scale_of(x) == np.float32(2) / np.float32(32767)
    products = np.float32(scale_of(x)) * params_of(weights).scale
    np.testing.assert_array_equal(params_of(bias).scale, products)
    real = values_of(model.subgraphs[0].tensors[2])
    np.testing.assert_allclose(values_of(bias) * products, real, atol=float(products.max()))
    assert operator.options is not None
    assert operator.options["quantized_bias_type"] == "int64"
    assert operator.code.version == 11


def test_biases_may_be_int32_and_weights_have_one_scale() -> None:
    quantized = quantize_model(dense(rng()), "int16x8", Ranges(), bias_type="int32", per_channel=False)
    operator = find(quantized, "FULLY_CONNECTED")
    weights, bias = tensor_of(quantized, operator, 1), tensor_of(quantized, operator, 2)
    assert (bias.dtype, len(params_of(bias).scale), len(params_of(weights).scale)) == ("int32", 1, 1)


def test_a_depthwise_convolution_has_an_int64_bias_whatever_is_asked() -> None:
    b = Builder()
    x, y = b.input("x", (1, 2, 2, 3)), b.tensor("y", (1, 2, 2, 3))
    b.op("DEPTHWISE_CONV_2D", [x, b.constant("f", np.ones((1, 1, 1, 3))), b.constant("b", np.ones(3))], y, stride_w=1, stride_h=1)
    quantized = quantize_model(b.model(y), "int16x8", Ranges(), bias_type="int32")
    assert tensor_of(quantized, find(quantized, "DEPTHWISE_CONV_2D"), 2).dtype == "int64"


def test_what_is_int16_already_stays_as_it_is() -> None:
    once = quantize_model(dense(rng()), "int16x8", Ranges(), bias_type="int32", input_type="int16", output_type="int16")
    assert quantize_model(once, "int16x8", Ranges()).to_bytes() == once.to_bytes()


def test_weights_too_small_for_their_bias_are_raised() -> None:
    """The scale grows until the bias takes half of int32 in the scale of the input's own range, not of the one propagated to it."""
    b = Builder()
    x, y, z = b.input("x", (1, 2)), b.tensor("y", (1, 2)), b.tensor("z", (1, 2))
    b.op("RESHAPE", [x, b.constant("shape", [1, 2], "int32")], y)
    b.op("FULLY_CONNECTED", [y, b.constant("w", [[1e-9, 0], [1, 1]]), b.constant("b", [1.5, 1.5])], z)
    quantized = quantize_model(b.model(z), "int16x8", Ranges({x: (-1.0, 1.0), y: (-0.5, 0.5)}))
    weights = tensor_of(quantized, find(quantized, "FULLY_CONNECTED"), 1)
    own = np.float32(0.5) / np.float32(32767)
    raised = np.float32(2 * 1.5 / (2**31 - 1) * np.float64(np.float32(127) / own)) / np.float32(127)
    np.testing.assert_array_equal(params_of(weights).scale, [raised, np.float32(1) / np.float32(127)])


@pytest.mark.parametrize(("per_channel", "told", "scales"), [(True, [8, 2], [8, 2]), (True, [8], [3, 1]), (False, [8], [8])])
def test_weights_that_carry_a_range_are_scaled_to_it(per_channel: bool, told: list[float], scales: list[float]) -> None:
    """As far as there are as many numbers as scales; TensorFlow's quantizer does not look at the values then."""
    b = Builder()
    x, w, y = b.input("x", (1, 2)), b.constant("w", [[1.0, 3.0], [1.0, 0.0]]), b.tensor("y", (1, 2))
    b.tensors[w].quantization = Quantization(min=-np.float32(told), max=np.float32(told) / 2)
    b.op("FULLY_CONNECTED", [x, w], y)
    quantized = quantize_model(b.model(y), "int16x8", Ranges(), per_channel=per_channel)
    weights = params_of(tensor_of(quantized, find(quantized, "FULLY_CONNECTED"), 1))
    np.testing.assert_array_equal(weights.scale, np.float32(scales) / np.float32(127))


def test_what_moves_codes_keeps_the_scale_of_its_input() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (4, 1))
    b.op("RESHAPE", [x, b.constant("shape", [4, 1], "int32")], y)
    quantized = quantize_model(b.model(y), "int16x8", Ranges({x: (-4.0, 4.0), y: (-1.0, 1.0)}))
    assert scale_of(tensor_of(quantized, find(quantized, "DEQUANTIZE"), 0)) == np.float32(4) / np.float32(32767)


def test_bounded_functions_have_the_scale_of_the_unit_interval() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op("TANH", [x], y)
    quantized = quantize_model(b.model(y), "int16x8", Ranges({y: None}))
    assert scale_of(tensor_of(quantized, find(quantized, "DEQUANTIZE"), 0)) == 2.0**-15


def test_joined_tensors_are_requantized_to_the_output_and_constants_in_place() -> None:
    quantized = quantize_model(branches(rng()), "int16x8", Ranges({3: (0.0, 2.0), 4: (-2.0, 0.0), 5: (-3.0, 2.0)}))
    check(quantized)
    join = find(quantized, "CONCATENATION")
    conv, negated, extra = (tensor_of(quantized, join, slot) for slot in range(3))
    assert {scale_of(tensor) for tensor in (conv, negated, extra)} == {float(np.float32(3) / np.float32(32767))}
    assert extra.is_constant
    # Out of floating point comes a QUANTIZE with the tensor's own range, and another to the shared scale.
    assert names(quantized).count("QUANTIZE") == 4
    assert names(quantized).count("DEQUANTIZE") == 2


def test_an_operator_without_int16_kernel_reads_and_gives_real_numbers() -> None:
    quantized = quantize_model(branches(rng()), "int16x8", Ranges())
    negate = find(quantized, "NEG")
    assert tensor_of(quantized, negate, 0).dtype == "float32"
    assert quantized.subgraphs[0].tensors[negate.outputs[0]].dtype == "float32"


def test_float_operators_read_codes_of_an_input_whatever_the_order() -> None:
    b = Builder()
    x, n, r, y = b.input("x", (1, 4)), b.tensor("n", (1, 4)), b.tensor("r", (1, 4)), b.tensor("y", (1, 4))
    b.op("NEG", [x], n)
    b.op("RELU", [x], r)
    b.op("ADD", [n, r], y)
    quantized = quantize_model(b.model(y), "int16x8", Ranges(), input_type="int16", output_type="int16")
    check(quantized)
    assert names(quantized) == ["DEQUANTIZE", "NEG", "RELU", "QUANTIZE", "ADD"]


def test_biases_of_zeros_are_shared_and_others_are_not() -> None:
    b = Builder()
    x, w = b.input("x", (1, 4)), b.constant("w", rng().normal(size=(4, 4)))
    zeros, ones = b.constant("zeros", np.zeros(4)), b.constant("ones", np.ones(4))
    steps = [b.tensor(f"y{i}", (1, 4)) for i in range(4)]
    for source, bias, target in zip([x, *steps], [zeros, zeros, ones, ones], steps, strict=False):
        b.op("FULLY_CONNECTED", [source, w, bias], target)
    quantized = quantize_model(b.model(steps[-1]), "int16x8", Ranges({x: (-9.0, 9.0), steps[1]: (-2.0, 2.0)}))
    layers = [operator for operator in quantized.subgraphs[0].operators if operator.name == "FULLY_CONNECTED"]
    assert layers[0].inputs[2] == layers[1].inputs[2]
    assert layers[2].inputs[2] != layers[3].inputs[2]
    assert len({operator.inputs[1] for operator in layers}) == 1


def test_padding_values_and_both_choices_share_the_scale_of_what_they_join() -> None:
    b = Builder()
    x, other, condition = b.input("x", (2,)), b.input("other", (2,)), b.input("condition", (2,), "int32")
    b.tensors[condition].dtype = "bool"
    s, y = b.tensor("s", (2,)), b.tensor("y", (4,))
    b.op("SELECT", [condition, x, other], s)
    b.op("PADV2", [s, b.constant("pads", [[1, 1]], "int32"), b.constant("value", np.float32(-7))], y)
    quantized = quantize_model(b.model(y), "int16x8", Ranges({other: (-2.0, 2.0)}), runnable=True)
    select, pad = find(quantized, "SELECT"), find(quantized, "PADV2")
    assert scale_of(tensor_of(quantized, select, 1)) == scale_of(tensor_of(quantized, select, 2))
    value = tensor_of(quantized, pad, 2)
    assert scale_of(value) == scale_of(tensor_of(quantized, pad, 0))
    assert values_of(value) == -32767


@pytest.mark.parametrize(
    ("model", "ranges", "reason"),
    [
        (branches, Ranges(), r"NEG \(op 1, output 'n'\): 16x8 has no rule for it"),
        (dense, Ranges({3: None}), r"FULLY_CONNECTED \(op 0, output 'y'\): 'y' has no finite range"),
        (dense, Ranges({0: (-1.0, float("inf"))}), "'x' has no finite range"),
    ],
)
def test_without_fallback_operators_are_refused_with_the_reason(model: object, ranges: Ranges, reason: str) -> None:
    with pytest.raises(QuantizationError, match=reason):
        quantize_model(model(rng()), "int16x8", ranges, float_fallback=False)  # type: ignore[operator]


def weighted(weights: np.ndarray | None, bias: np.ndarray | None) -> Model:
    b = Builder()
    x = b.input("x", (1, 4))
    w = b.input("w", (2, 4)) if weights is None else b.constant("w", weights)
    y = b.tensor("y", (1, 2))
    b.op("FULLY_CONNECTED", [x, w, b.input("bias", (2,)) if bias is None else b.constant("bias", bias)], y)
    return b.model(y)


@pytest.mark.parametrize(
    ("weights", "bias", "reason"),
    [
        (None, np.ones(2), "its weights are no finite float32 constant"),
        (np.full((2, 4), np.inf), np.ones(2), "its weights are no finite float32 constant"),
        (np.ones((2, 4)), None, "its bias is no finite float32 constant"),
        (np.ones((2, 4)), np.array([1, np.nan]), "its bias is no finite float32 constant"),
        (np.ones((2, 4)), np.ones(3), r"its bias has shape \[3\], expected 2 elements"),
    ],
)
def test_unusable_weights_keep_an_operator_in_floating_point(weights: np.ndarray | None, bias: np.ndarray | None, reason: str) -> None:
    model = weighted(weights, bias)
    assert names(quantize_model(model, "int16x8", Ranges())) == ["FULLY_CONNECTED"]
    with pytest.raises(QuantizationError, match=reason):
        quantize_model(model, "int16x8", Ranges(), float_fallback=False)


def test_an_operator_that_only_litert_has_in_int16_is_warned_of() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 8))
    b.op("TILE", [x, b.constant("multiples", [1, 2], "int32")], y)
    with pytest.warns(UserWarning, match=r"TILE needs LiteRT 2, .*; Rule\(False, operator='TILE'\)"):
        quantize_model(b.model(y), "int16x8", Ranges())
    kept = quantize_model(b.model(y), "int16x8", Ranges(), rules=[Rule(False, operator="TILE")])
    assert names(kept) == ["TILE"]


def test_constants_of_float16_are_weights() -> None:
    model = quantize_model(quantize_model(dense(rng()), "float16"), "int16x8", Ranges())
    assert names(model) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]


@pytest.mark.parametrize(("bias_type", "named"), [("int64", None), ("int32", "int32")])
def test_files_from_before_2020_say_the_type_of_biases_only_where_they_must(bias_type: str, named: str | None) -> None:
    """TensorFlow's converter does not find their operators; int64 goes without saying, int32 would be read as int64."""
    model = dense(rng())
    for old in (False, True):
        model.subgraphs[0].operators[0].code.in_old_field = old
        found = quantize_model(model, "int16x8", Ranges(), bias_type=bias_type)  # type: ignore[arg-type]
        options = find(found, "FULLY_CONNECTED").options
        assert options is not None
        assert options["quantized_bias_type"] == ((named or "float32") if old else bias_type)


def test_sums_do_not_have_power_of_two_scales() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op("ADD", [x, b.constant("c", np.ones(4))], y, pot_scale_int16=True)
    operator = find(quantize_model(b.model(y), "int16x8", Ranges()), "ADD")
    assert operator.options is not None
    assert operator.options["pot_scale_int16"] is False


def test_a_calibrated_model_computes_what_the_float_model_does() -> None:
    model = branches(rng())
    samples = [rng().uniform(-1, 1, (1, 4, 4, 3)).astype(np.float32) for _ in range(3)]
    quantized = quantize_model(model, "int16x8", samples)
    (want,), (got,) = run_qcore(model, samples[:1]), run_qcore(quantized, samples[:1])
    np.testing.assert_allclose(got, want, atol=0.01 * float(np.abs(want).max()))


def test_weights_dequantize_to_within_half_a_step() -> None:
    model = dense(rng())
    weights = tensor_of(q := quantize_model(model, "int16x8", Ranges()), find(q, "FULLY_CONNECTED"), 1)
    real = values_of(model.subgraphs[0].tensors[1])
    error = np.abs(dequantize(values_of(weights), params_of(weights)) - real)
    assert (error <= 0.5001 * params_of(weights).scale[:, np.newaxis]).all()


def test_the_specification_names_builtin_operators() -> None:
    assert set(SPECIFICATION) <= set(ENUMS["BuiltinOperator"].names)
    assert OPTIONAL not in {slot for row in SPECIFICATION.values() for slot in row.inputs}


@pytest.mark.parametrize(("inputs", "outputs"), [([], [1]), ([OPTIONAL], [1]), ([0], [])])
def test_a_dequantize_that_lacks_something_is_left(inputs: list[int], outputs: list[int]) -> None:
    b = Builder()
    b.input("x", (1, 4))
    b.tensor("y", (1, 4))
    b.op("DEQUANTIZE", inputs, outputs)
    assert names(quantize_model(b.model(0), "int16x8", Ranges())) == ["DEQUANTIZE"]

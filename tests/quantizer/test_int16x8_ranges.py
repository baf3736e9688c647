"""Mode "int16x8", and int16 activations among int8 ones, from ranges in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import InputError, QuantizationError
from qcore.model import Model
from qcore.quantizer import quantize_model
from qcore.schema import constant
from tests.quantizer.builder import Builder, find, names, tensor_of
from tests.quantizer.trained import BIAS, WEIGHTS, output_of, paired, params, rounded

SCALE = np.float32(np.abs(WEIGHTS).max() / 110)
"""Of weights; their codes reach 110."""


def network(bits: int, inner: bool = True) -> Model:
    """x -> FULLY_CONNECTED -> h; h, RESHAPE(h) -> CONCATENATION -> y -> SOFTMAX; all that training rounds is rounded."""
    b = Builder()
    x, h, j, z = b.input("x", (1, 5)), b.tensor("h", (1, 4)), b.tensor("j", (1, 8)), b.tensor("z", (1, 8))
    w = rounded(b, b.constant("w", WEIGHTS), -128 * SCALE, 127 * SCALE)
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1, num_bits=bits), w, b.constant("bias", BIAS)], h)
    h = rounded(b, h, -4, 4, num_bits=bits) if inner else h
    flat = b.tensor("flat", (1, 4))
    b.op("RESHAPE", [h, b.constant("shape", [1, 4], "int32")], flat)
    b.op("CONCATENATION", [h, flat], j, axis=1)
    b.op("SOFTMAX", [rounded(b, j, -4, 4, num_bits=bits)], z, beta=1.0)
    return b.model(z)


def close(model: Model, quantized: Model, steps: float) -> None:
    """The same to so many steps of a softmax in 16 bits."""
    for x in np.random.default_rng(4).uniform(-1, 1, (20, 1, 5)).astype(np.float32):
        real, integer = (qcore.Interpreter(model_content=m).run(x)["z"] for m in (model, quantized))
        np.testing.assert_allclose(integer, real, atol=steps / 2**15)


def test_sixteen_bits_keep_their_scale_and_weights_their_codes() -> None:
    q = quantize_model(network(16), "int16x8", ranges="graph", float_fallback=False)
    assert names(q) == ["QUANTIZE", "FULLY_CONNECTED", "RESHAPE", "CONCATENATION", "SOFTMAX", "DEQUANTIZE"]
    dense = find(q, "FULLY_CONNECTED")
    assert params(tensor_of(q, dense, 0)) == ("int16", [np.float32(2 / 65535)], [0])
    assert params(output_of(q, dense)) == ("int16", [np.float32(8 / 65535)], [0])
    weights = tensor_of(q, dense, 1)
    assert params(weights) == ("int8", [pytest.approx(SCALE, rel=1e-7)] * 4, [0] * 4)
    codes = qcore.quantize(WEIGHTS, qcore.QuantParams(SCALE, np.zeros(1, np.int64)))
    np.testing.assert_array_equal(constant(weights), codes)  # type: ignore[arg-type]
    close(network(16), q, 3)


def test_of_eight_bits_the_range_counts() -> None:
    q = quantize_model(network(8), "int16x8", ranges="graph", float_fallback=False)
    dense = find(q, "FULLY_CONNECTED")
    assert params(tensor_of(q, dense, 0)) == ("int16", [pytest.approx(1 / 32767, rel=0.01)], [0])
    close(network(16), q, 30)


def test_a_tensor_without_a_range_takes_that_of_an_operator_that_keeps_it_or_is_named() -> None:
    assert names(quantize_model(network(16, inner=False), "int16x8", ranges="graph")).count("QUANTIZE") == 1
    b = Builder()
    x, h, y = b.input("x", (1, 5)), b.tensor("h", (1, 4)), b.tensor("y", (1, 4))
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1, num_bits=16), b.constant("w", WEIGHTS)], h)
    b.op("ABS", [h], y)
    model = b.model(rounded(b, y, -3, 3, num_bits=16))
    with pytest.raises(QuantizationError, match=r"int16x8 with ranges='graph': no range for 1 of its tensors: 'h' \(FULLY_CONNECTED\)"):
        quantize_model(model, "int16x8", ranges="graph")


def test_without_being_told_the_mode_does_not_look_there() -> None:
    with pytest.raises(InputError, match="mode 'int16x8' needs calibration"):
        quantize_model(network(16), "int16x8")


@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_pairs_do_the_same_as_fake_quant(dtype: str) -> None:
    b = Builder()
    x, y = b.input("x", (1, 5)), b.tensor("y", (1, 4))
    zero_point = 32768 if dtype == "uint16" else 0
    b.op("FULLY_CONNECTED", [paired(b, x, dtype, 0.25, zero_point), b.constant("w", WEIGHTS)], y)
    q = quantize_model(b.model(paired(b, y, dtype, 0.5, zero_point)), "int16x8", ranges="graph", float_fallback=False)
    dense = find(q, "FULLY_CONNECTED")
    assert params(tensor_of(q, dense, 0)) == ("int16", [0.25], [0])
    assert params(output_of(q, dense)) == ("int16", [0.5], [0])


SHAPES = {"FULLY_CONNECTED": ((1, 5), (5, 5)), "CONV_2D": ((1, 1, 1, 5), (5, 1, 1, 5)), "DEPTHWISE_CONV_2D": ((1, 1, 1, 5), (1, 1, 1, 5))}
"""Of the input and output of an operator, and of its weights."""


@pytest.mark.parametrize("operator", SHAPES)
def test_four_bits_are_packed_where_int16_kernels_read_them_with_the_very_codes(operator: str) -> None:
    b = Builder()
    outer, inner = SHAPES[operator]
    codes = np.random.default_rng(1).integers(-7, 8, inner)
    x, y, w = b.input("x", outer), b.tensor("y", outer), b.constant("w", codes * 0.25)
    strides = {} if operator == "FULLY_CONNECTED" else {"stride_h": 1, "stride_w": 1}
    b.op(operator, [paired(b, x, "int16", 0.25, 0), paired(b, w, "int4", 0.25, 0)], y, **strides)
    model = b.model(paired(b, y, "int16", 0.5, 0))
    for rules, packed in (((), operator != "DEPTHWISE_CONV_2D"), ((qcore.Rule(True, weight_type="int8"),), False)):
        q = quantize_model(model, "int16x8", ranges="graph", float_fallback=False, rules=rules)
        weights = tensor_of(q, find(q, operator), 1)
        dtype, scale, _ = params(weights)
        assert (dtype, set(scale)) == ("int4" if packed else "int8", {0.25})
        np.testing.assert_array_equal(constant(weights), codes)  # type: ignore[arg-type]


def float_between(*kept: str) -> Model:
    """x -> a -> b -> c, of which all is rounded to 16 bits, and those named stay float."""
    b = Builder()
    ends = [b.input("x", (1, 5)), *(b.tensor(name, (1, 5)) for name in "abc")]
    rounds = [paired(b, ends[0], "int16", 0.25, 0)]
    for number in ends[1:]:
        b.op("FULLY_CONNECTED", [rounds[-1], b.constant("w", np.eye(5))], number)
        rounds.append(paired(b, number, "int16", 0.125, 0))
    for tensor, name in zip([tensor for tensor in b.tensors if tensor.name == "codes"], "xabc", strict=True):
        tensor.name = f"{name}_codes"
    return quantize_model(b.model(rounds[-1]), "int16x8", ranges="graph", rules=[qcore.Rule(False, tensor=name) for name in kept])


@pytest.mark.parametrize("kept", ["", "a", "b", "c", "ab", "bc", "abc"])
def test_what_stays_float_goes_on_rounding_and_codes_keep_their_names(kept: str) -> None:
    q = float_between(*kept)
    tensors = q.subgraphs[0].tensors
    dense = [tensors[o.outputs[0]].dtype for o in q.subgraphs[0].operators if o.name == "FULLY_CONNECTED"]
    assert dense == ["float32" if name in kept else "int16" for name in "abc"]
    computed = [tensors[o.outputs[0]] for o in q.subgraphs[0].operators]
    assert [tensor.name for tensor in computed if tensor.dtype == "int16"] == ["x_codes", "a_codes", "b_codes", "c_codes"]
    x = np.array([[0.12, 0.36, -0.6, 2, -7.4]], np.float32)
    (y,) = qcore.Interpreter(model_content=q).run(x).values()
    np.testing.assert_array_equal(y, [[0, 0.25, -0.5, 2, -7.5]])


def test_a_range_behind_another_one_counts_too() -> None:
    b = Builder()
    x, y = b.input("x", (1, 5)), b.tensor("y", (1, 5))
    b.op("ABS", [paired(b, x, "int16", 0.25, 0)], y)
    q = quantize_model(b.model(paired(b, paired(b, y, "int16", 0.25, 0), "int16", 1, 0)), "int16x8", ranges="graph")
    (result,) = qcore.Interpreter(model_content=q).run(np.array([[0.4, -0.6, 1, -1.24, 9]], np.float32)).values()
    np.testing.assert_array_equal(result, [[1, 1, 1, 1, 9]])


def mixed(join: int) -> Model:
    """x -> first -> h -> second -> y, the first in 16 bits, h in these bits, the second in 8 bits."""
    b = Builder()
    x, h, y = b.input("x", (1, 5)), b.tensor("h", (1, 4)), b.tensor("y", (1, 4))
    b.op("FULLY_CONNECTED", [rounded(b, x, -1, 1, num_bits=16), b.constant("v", WEIGHTS)], h)
    b.op("FULLY_CONNECTED", [rounded(b, h, -4, 4, num_bits=join), b.constant("w", WEIGHTS[:, :4])], y)
    return b.model(rounded(b, y, -9, 9))


RULES: dict[str, Any] = {"ranges": "graph", "rules": [qcore.Rule(True, tensor="h", activation_type="int16")]}


def test_rules_say_which_operators_are_of_sixteen_bits() -> None:
    q = quantize_model(mixed(8), **RULES)
    assert names(q) == ["QUANTIZE", "FULLY_CONNECTED", "QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    first, second = (operator for operator in q.subgraphs[0].operators if operator.name == "FULLY_CONNECTED")
    assert params(tensor_of(q, first, 0)) == ("int16", [np.float32(2 / 65535)], [0])
    assert output_of(q, first).dtype == "int16"
    assert params(tensor_of(q, second, 0)) == ("int8", [np.float32(8 / 255)], [0])
    assert params(output_of(q, second)) == ("int8", [np.float32(18 / 255)], [0])


def test_where_types_meet_the_range_is_that_of_eight_bits() -> None:
    with pytest.raises(QuantizationError, match=r"no range for 1 of its tensors: 'h/fake' \(DEQUANTIZE\)"):
        quantize_model(mixed(16), **RULES)


def test_a_join_into_other_codes_stays_as_it_is() -> None:
    b = Builder()
    x, y, z = b.input("x", (1, 5)), b.tensor("y", (2, 5), "int8"), b.tensor("z", (1, 5))
    rounded_x = rounded(b, x, -1, 1, num_bits=16)
    b.op("CONCATENATION", [rounded_x, rounded_x], y)
    b.op("ABS", [rounded_x], z)
    assert "CONCATENATION" in names(quantize_model(b.model(rounded(b, z, 0, 1, num_bits=16), y), "int16x8", ranges="graph"))

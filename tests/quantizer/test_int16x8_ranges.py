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

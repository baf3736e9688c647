"""The int8 and 16x8 tables against the kernels: what they promise, kernels must take."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import QCoreError
from qcore.kernels.registry import OPERATORS
from qcore.model import OPTIONAL, Model, Operator, OperatorCode, Quantization, Subgraph
from qcore.quantizer import int16x8_specification
from qcore.quantizer.runnable import NO_KERNEL
from qcore.quantizer.specification import PER_TENSOR, SPECIFICATION, OperatorSpec, float_slots, spec_of
from qcore.runtime.interpreter import Interpreter
from qcore.schema.description import ENUMS
from tests.quantizer.builder import Builder, find
from tests.quantizer.ranges import int8

INTEGER = sorted(name for name, spec in SPECIFICATION.items() if spec.integer and name not in NO_KERNEL["int8"])
FIXED = sorted(name for name, spec in SPECIFICATION.items() if spec.output is not None)


@pytest.mark.parametrize("name", INTEGER)
def test_every_integer_operator_has_an_int8_kernel(name: str) -> None:
    assert "int8" in OPERATORS[name].types, OPERATORS[name].types


@pytest.mark.parametrize("name", sorted(set(int16x8_specification.SPECIFICATION) - set(NO_KERNEL["int16x8"])))
def test_every_operator_of_16x8_has_an_int16_kernel(name: str) -> None:
    assert "int16" in OPERATORS[name].types, OPERATORS[name].types


@pytest.mark.parametrize(("mode", "dtype"), [("int8", "int8"), ("int16x8", "int16")])
def test_operators_said_to_have_no_kernel_have_none(mode: str, dtype: str) -> None:
    assert not [name for name in NO_KERNEL[mode] if dtype in OPERATORS[name].types]


@pytest.mark.parametrize("name", sorted(SPECIFICATION))
def test_rows_name_builtin_operators(name: str) -> None:
    assert name in ENUMS["BuiltinOperator"].numbers


def fixed(name: str) -> Model:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op(name, [x], y, **({"beta": 1.0} if name == "SOFTMAX" else {}))
    return int8(b.model(y), input_type="int8", output_type="int8")


@pytest.mark.parametrize("name", FIXED)
def test_fixed_output_ranges_are_those_that_kernels_insist_on(name: str) -> None:
    model = fixed(name)
    output = model.subgraphs[0].tensors[find(model, name).outputs[0]]
    assert output.quantization is not None
    spec = SPECIFICATION[name].output
    assert spec is not None
    assert (output.quantization.scale.tolist(), output.quantization.zero_point.tolist()) == ([spec[0]], [spec[1]])
    Interpreter(model_content=model).allocate_tensors()
    if name == "TANH":
        return  # its kernel takes any scale
    output.quantization = Quantization(output.quantization.scale * np.float32(1.25), output.quantization.zero_point)
    with pytest.raises(QCoreError, match=name):
        Interpreter(model_content=model).allocate_tensors()


def test_an_operator_with_a_fixed_range_or_weights_shares_no_scale() -> None:
    """Rows whose fields contradict each other would depend on the order of the passes."""
    for name, spec in SPECIFICATION.items():
        assert not (spec.same_scale and (spec.output or spec.weights or spec.bias or spec.recurrent)), name
        assert spec.bias is None or spec.bias.filter in spec.weights, name


def test_what_an_operator_cannot_leave_out() -> None:
    assert SPECIFICATION["CONV_2D"].required == 2
    assert SPECIFICATION["TRANSPOSE_CONV"].required == 3
    assert SPECIFICATION["ADD"].required == 1
    assert OperatorSpec().output_params is None


def test_an_lstm_of_five_inputs_and_a_custom_operator_have_no_row() -> None:
    def operator(name: str, inputs: int) -> Operator:
        return Operator(OperatorCode(name), list(range(inputs)), [0])

    assert spec_of(operator("LSTM", 5)) is None
    assert spec_of(operator("LSTM", 24)) is SPECIFICATION["LSTM"]
    assert spec_of(Operator(OperatorCode("CUSTOM", custom_code="CONV_2D"), [0, 1], [0])) is None


def test_float_slots_leave_out_integers_and_what_is_missing() -> None:
    b = Builder()
    x, i = b.input("x", (1,)), b.input("i", (1,), "int32")
    assert float_slots(Subgraph("main", b.tensors, [], [], []), [i, x, OPTIONAL, x]) == [1, 3]


def test_prelu_alone_has_weights_with_one_scale() -> None:
    assert [name for name, spec in SPECIFICATION.items() if PER_TENSOR in spec.weights.values()] == ["PRELU"]

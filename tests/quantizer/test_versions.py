"""Versions: a file asks for the kernels that it needs, and has one version of each operator."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.model import Buffer, Model, Operator, OperatorCode, Quantization, Subgraph, Table, Tensor
from qcore.quantizer.versions import needed_version, set_versions
from qcore.schema import default_options


def operator(name: str, types: str, output: str, tensors: list[Tensor], channels: bool, **options: object) -> Operator:
    """Adds an operator's tensors; its second input has per-channel scales if asked for."""
    start = len(tensors)
    tensors.extend(Tensor(dtype, dtype, (2, 2), Buffer()) for dtype in (*types.split(), output))
    if channels:
        tensors[start + 1].quantization = Quantization(np.ones(2, np.float32), np.zeros(2, np.int64))
    table = default_options(name)
    end = len(tensors) - 1
    return Operator(OperatorCode(name), list(range(start, end)), [end], Table(table.name, {**table.fields, **options}))


@pytest.mark.parametrize(
    ("name", "types", "output", "version"),
    [
        ("ADD", "float32 float32", "float32", 1),
        ("ADD", "int8 int8", "int8", 2),
        ("ADD", "int16 int16", "int16", 3),
        ("SUB", "int16 int16", "int16", 5),
        ("SPLIT", "int32 int8", "int8", 2),
        ("SPLIT", "int32 int16", "int16", 4),
        ("STRIDED_SLICE", "int8 int32", "int8", 2),
        ("CONV_2D", "float32 float32", "float32", 1),
        ("CONV_2D", "int8 int8", "int8", 3),
        ("CONV_2D", "int8 int4", "int8", 7),
        ("CONV_2D", "int16 int8", "int16", 8),
        ("CONV_2D", "float32 int8", "float32", 2),
        ("DEPTHWISE_CONV_2D", "float32 int8", "float32", 4),
        ("TRANSPOSE_CONV", "int32 int8 int8", "int8", 2),
        ("TRANSPOSE_CONV", "int32 int8 int16", "int16", 5),
        ("TRANSPOSE_CONV", "int32 int8 float32", "float32", 2),
        ("FULLY_CONNECTED", "int8 int8", "int8", 4),
        ("FULLY_CONNECTED", "int16 int8", "int16", 11),
        ("FULLY_CONNECTED", "float32 int8", "float32", 3),
        ("QUANTIZE", "float32", "int8", 1),
        ("QUANTIZE", "float32", "int16", 2),
        ("DEQUANTIZE", "int8", "float32", 2),
        ("DEQUANTIZE", "int16", "float32", 3),
        ("DEQUANTIZE", "float16", "float32", 3),
        ("DEQUANTIZE", "int4", "float32", 6),
        ("EMBEDDING_LOOKUP", "int32 int4", "float32", 4),
        ("NEG", "float32", "float32", 1),
    ],
)
def test_types_ask_for_a_version(name: str, types: str, output: str, version: int) -> None:
    tensors: list[Tensor] = []
    assert needed_version(operator(name, types, output, tensors, False), tensors) == version


@pytest.mark.parametrize(("name", "version"), [("CONV_2D", 5), ("DEPTHWISE_CONV_2D", 6), ("FULLY_CONNECTED", 12), ("EMBEDDING_LOOKUP", 4)])
def test_per_channel_weights_beside_float_inputs_ask_for_more(name: str, version: int) -> None:
    tensors: list[Tensor] = []
    inputs = "int32 int8" if name == "EMBEDDING_LOOKUP" else "float32 int8"
    assert needed_version(operator(name, inputs, "float32", tensors, True), tensors) == version


@pytest.mark.parametrize(("name", "version"), [("FULLY_CONNECTED", 9), ("BATCH_MATMUL", 4), ("UNIDIRECTIONAL_SEQUENCE_LSTM", 3)])
def test_asymmetric_inputs_ask_for_more(name: str, version: int) -> None:
    tensors: list[Tensor] = []
    asked = operator(name, "float32 int8 int8", "float32", tensors, False, asymmetric_quantize_inputs=True)
    assert needed_version(asked, tensors) == version


def test_all_uses_of_an_operator_share_the_greatest_version() -> None:
    tensors: list[Tensor] = []
    operators = [operator("ADD", f"{t} {t}", t, tensors, False) for t in ("float32", "int8", "int16")]
    operators.append(Operator(OperatorCode("CUSTOM", 7, "mine"), [0], [0]))
    operators.append(operator("ABS", "float32", "float32", tensors, False))
    operators[-1].code.version = 4
    model = Model([Subgraph("main", tensors, [], [], operators)], operator_codes=[OperatorCode("UNUSED")])
    set_versions(model)
    assert [(code.name, code.version, code.custom_code) for code in model.operator_codes] == [
        ("ADD", 3, None),
        ("CUSTOM", 7, "mine"),
        ("ABS", 4, None),
    ]
    assert operators[0].code is operators[2].code

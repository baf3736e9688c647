"""Types of inputs and outputs: what lies inside never changes."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import QuantizationError
from qcore.model import Model
from qcore.quantizer import Rule, quantize_model
from qcore.schema.check import check
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, branches, dense, names

SAMPLES = [np.random.default_rng(2).uniform(-1, 1, (1, 64)).astype(np.float32) for _ in range(4)]


def quantized(mode: str, input_type: str, output_type: str) -> Model:
    model = quantize_model(dense(np.random.default_rng(0)), mode, SAMPLES, input_type=input_type, output_type=output_type)  # type: ignore[arg-type]
    check(model)
    return model


def interface(model: Model) -> list[tuple[str, str]]:
    graph = model.subgraphs[0]
    return [(graph.tensors[i].name, graph.tensors[i].dtype) for i in (*graph.inputs, *graph.outputs)]


@pytest.mark.parametrize(
    ("mode", "types", "operators"),
    [
        ("int8", ("float32", "float32"), ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]),
        ("int8", ("int8", "int8"), ["FULLY_CONNECTED"]),
        ("int8", ("uint8", "uint8"), ["QUANTIZE", "FULLY_CONNECTED", "QUANTIZE"]),
        ("int8", ("int8", "float32"), ["FULLY_CONNECTED", "DEQUANTIZE"]),
        ("int8", ("float32", "uint8"), ["QUANTIZE", "FULLY_CONNECTED", "QUANTIZE"]),
        ("int16x8", ("float32", "float32"), ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]),
        ("int16x8", ("int16", "int16"), ["FULLY_CONNECTED"]),
        ("int16x8", ("float32", "int16"), ["QUANTIZE", "FULLY_CONNECTED"]),
    ],
)
def test_names_stay_and_conversions_go(mode: str, types: tuple[str, str], operators: list[str]) -> None:
    model = quantized(mode, *types)
    assert interface(model) == [("x", types[0]), ("y", types[1])]
    assert names(model) == operators
    assert model.signatures is not None
    graph = model.subgraphs[0]
    assert model.signatures[0].inputs == [("x", graph.inputs[0])]
    assert model.signatures[0].outputs == [("y", graph.outputs[0])]


def test_uint8_codes_are_128_above_int8_ones() -> None:
    signed, unsigned = quantized("int8", "int8", "int8"), quantized("int8", "uint8", "uint8")
    for narrow, wide in zip(
        (*signed.subgraphs[0].inputs, *signed.subgraphs[0].outputs),
        (*unsigned.subgraphs[0].inputs, *unsigned.subgraphs[0].outputs),
        strict=True,
    ):
        a, b = signed.subgraphs[0].tensors[narrow].quantization, unsigned.subgraphs[0].tensors[wide].quantization
        assert a is not None
        assert b is not None
        assert (a.scale.tolist(), a.zero_point + 128) == (b.scale.tolist(), b.zero_point)


def test_all_types_give_the_same_codes() -> None:
    codes = np.random.default_rng(3).integers(-128, 128, (1, 64)).astype(np.int8)
    (signed,) = run_qcore(quantized("int8", "int8", "int8"), [codes])
    (unsigned,) = run_qcore(quantized("int8", "uint8", "uint8"), [(codes.astype(np.int16) + 128).astype(np.uint8)])
    np.testing.assert_array_equal(signed.astype(np.int16) + 128, unsigned)


def test_indices_stay_integers() -> None:
    b = Builder()
    ids, x, y = b.input("ids", (2,), "int32"), b.input("x", (4, 3)), b.tensor("y", (2, 3))
    b.op("GATHER", [x, ids], y)
    samples = [[np.int32([0, 1]), np.ones((4, 3), np.float32)]]
    model = quantize_model(b.model(y), "int16x8", samples, input_type="int16", output_type="int16")
    assert interface(model) == [("ids", "int32"), ("x", "int16"), ("y", "int16")]


@pytest.mark.parametrize("kept", ["x", "y"])
def test_an_interface_in_floating_point_is_refused_by_name(kept: str) -> None:
    b = Builder()
    x, n, r, y = (b.tensor(name, (1, 4)) if name != "x" else b.input(name, (1, 4)) for name in "xnry")
    b.op("ABS", [x], n)
    b.op("RELU", [n], r)
    b.op("ABS", [r], y)
    rule = Rule(False, tensor="n" if kept == "x" else "y")
    types = {"input_type": "int16"} if kept == "x" else {"output_type": "int16"}
    with pytest.raises(QuantizationError, match=f"put '{kept}' is (read|computed) in floating point by ABS"):
        quantize_model(b.model(y), "int16x8", [np.ones((1, 4), np.float32)], rules=[rule], **types)  # type: ignore[arg-type]


def test_an_input_that_nothing_reads_stays() -> None:
    b = Builder()
    b.input("unread", (1, 4))
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op("RELU", [x], y)
    sample = [np.ones((1, 4), np.float32)] * 2
    model = quantize_model(b.model(y), "int16x8", [sample], input_type="int16")
    assert interface(model)[:2] == [("unread", "float32"), ("x", "int16")]


def test_an_output_that_floating_point_reads_on_keeps_both_forms() -> None:
    model = branches(np.random.default_rng(0))
    graph = model.subgraphs[0]
    graph.outputs = [3, 6]
    model.signatures = None
    found = quantize_model(model, "int16x8", [np.ones((1, 4, 4, 3), np.float32)], output_type="int16")
    check(found)
    assert [t for _, t in interface(found)] == ["float32", "int16", "int16"]

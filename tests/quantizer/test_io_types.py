"""Types of inputs and outputs: what lies inside never changes."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import QuantizationError
from qcore.model import Model, Signature
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


def absolutes() -> Model:
    """x -> ABS -> n -> RELU -> r -> ABS -> y."""
    b = Builder()
    x, n, r, y = (b.tensor(name, (1, 4)) if name != "x" else b.input(name, (1, 4)) for name in "xnry")
    b.op("ABS", [x], n)
    b.op("RELU", [n], r)
    b.op("ABS", [r], y)
    return b.model(y)


@pytest.mark.parametrize("kept", ["x", "y"])
def test_an_interface_in_floating_point_stays_so_and_is_named(kept: str) -> None:
    rule = Rule(False, tensor="n" if kept == "x" else "y")
    with pytest.warns(UserWarning, match=f"put '{kept}' is (read|computed) in floating point by ABS, expected int16"):
        model = quantize_model(absolutes(), "int16x8", [np.ones((1, 4), np.float32)], rules=[rule], input_type="int16", output_type="int16")
    check(model)
    assert interface(model) == [(name, "float32" if name == kept else "int16") for name in "xy"]


def passing_on(*outputs: str) -> Model:
    """x -> RELU -> y, and z, which nothing computes with; the outputs of those names."""
    b = Builder()
    numbers = {"x": b.input("x", (1, 4)), "z": b.input("z", (1, 4)), "y": b.tensor("y", (1, 4))}
    b.op("RELU", [numbers["x"]], numbers["y"])
    return b.model(*(numbers[name] for name in outputs))


def test_an_interface_in_floating_point_is_refused_without_fallback() -> None:
    """No operator stays float, only the interface would."""
    samples = [[np.ones((1, 4), np.float32)] * 2]
    with pytest.raises(QuantizationError, match="output 'z' is computed by no operator, expected int16"):
        quantize_model(passing_on("y", "z"), "int16x8", samples, float_fallback=False, output_type="int16")


@pytest.mark.parametrize(("mode", "dtype"), [("int8", "int8"), ("int16x8", "int16")])
def test_an_input_that_is_an_output_too_changes_its_type_as_both(mode: str, dtype: str) -> None:
    samples = [[np.ones((1, 4), np.float32)] * 2]
    for types in ({}, {"input_type": dtype, "output_type": dtype}):
        model = quantize_model(passing_on("y", "x"), mode, samples, **types)  # type: ignore[arg-type]
        check(model)
        found = dtype if types else "float32"
        assert interface(model) == [("x", found), ("z", "float32"), ("y", found), ("x", found)]


def test_int8_quantizes_an_input_for_operators_in_floating_point_too() -> None:
    """A rule keeps the first ABS: it reads x through a DEQUANTIZE, and the interface is int8 all the same."""
    types = {"input_type": "int8", "output_type": "int8"}
    samples = [np.ones((1, 4), np.float32)]
    model = quantize_model(absolutes(), "int8", samples, rules=[Rule(False, tensor="n")], **types)  # type: ignore[arg-type]
    assert interface(model) == [("x", "int8"), ("y", "int8")]
    assert names(model) == ["DEQUANTIZE", "ABS", "QUANTIZE", "RELU", "ABS"]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_int8_leaves_a_signature_that_was_not_calibrated(dtype: str) -> None:
    model = absolutes()
    second = absolutes().subgraphs[0]
    model.subgraphs.append(second)
    assert model.signatures is not None
    model.signatures.append(Signature("second", [("x", 0)], [("y", 3)], 1))
    samples = [("serve", {"x": np.ones((1, 4), np.float32)})]
    with pytest.warns(UserWarning, match=f"input 'x' is read in floating point by ABS, expected {dtype}; output 'y' is computed"):
        found = quantize_model(model, "int8", samples, input_type=dtype, output_type=dtype)  # type: ignore[arg-type]
    check(found)
    assert [[graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)] for graph in found.subgraphs] == [
        [dtype] * 2,
        ["float32"] * 2,
    ]


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

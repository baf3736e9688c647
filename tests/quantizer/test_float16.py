"""float16: every constant that is read, once, at half width."""

from __future__ import annotations

import numpy as np

from qcore.quantizer import Rule, quantize_model
from qcore.schema import constant
from qcore.schema.check import check
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, branches, dense, names, tensor_of


def test_constants_become_float16_behind_one_dequantize_each() -> None:
    model = branches(np.random.default_rng(0))
    quantized = quantize_model(model, "float16")
    check(quantized)
    assert names(quantized) == ["DEQUANTIZE", "DEQUANTIZE", "CONV_2D", "NEG", "DEQUANTIZE", "CONCATENATION"]
    for operator in quantized.subgraphs[0].operators:
        if operator.name == "DEQUANTIZE":
            stored = tensor_of(quantized, operator, 0)
            (original,) = [t for t in model.subgraphs[0].tensors if t.name == stored.name]
            values = constant(original)
            assert values is not None
            np.testing.assert_array_equal(constant(stored), values.astype(np.float16))


def test_values_beyond_float16_saturate() -> None:
    b = Builder()
    x, y = b.input("x", (3,)), b.tensor("y", (3,))
    b.op("ADD", [x, b.constant("c", [1e9, -1e9, 65519])], y)
    quantized = quantize_model(b.model(y), "float16")
    np.testing.assert_array_equal(constant(quantized.subgraphs[0].tensors[2]), np.float16([65504, -65504, 65504]))


def test_readers_share_a_constant_and_its_dequantize() -> None:
    b = Builder()
    x, c, s, y = b.input("x", (2,)), b.constant("c", [1, 2]), b.tensor("s", (2,)), b.tensor("y", (2,))
    b.op("ADD", [x, c], s)
    b.op("MUL", [s, c], y)
    quantized = quantize_model(b.model(y), "float16")
    assert names(quantized) == ["DEQUANTIZE", "ADD", "MUL"]


def test_a_reader_that_a_rule_keeps_reads_float32() -> None:
    b = Builder()
    x, c, s, y = b.input("x", (2,)), b.constant("c", [1, 2]), b.tensor("s", (2,)), b.tensor("y", (2,))
    b.op("ADD", [x, c], s)
    b.op("MUL", [s, c], y)
    quantized = quantize_model(b.model(y), "float16", rules=[Rule(False, operator="MUL")])
    dequantize, add, mul = quantized.subgraphs[0].operators
    assert tensor_of(quantized, mul, 1).is_constant
    assert add.inputs[1] == dequantize.outputs[0]


def test_returned_constants_integers_and_the_original_stay() -> None:
    b = Builder()
    x, c, y = b.input("x", (2, 3)), b.constant("c", [1, 2]), b.tensor("y", (3, 2))
    b.op("RESHAPE", [x, b.constant("shape", [3, 2], "int32")], y)
    model = b.model(y, c)
    before = model.to_bytes()
    quantized = quantize_model(model, "float16")
    assert names(quantized) == ["RESHAPE"]
    assert [t.dtype for t in quantized.subgraphs[0].tensors if t.is_constant] == ["float32", "int32"]
    assert model.to_bytes() == before


def test_the_file_allows_reduced_precision_and_needs_the_float16_dequantize() -> None:
    quantized = quantize_model(dense(np.random.default_rng(0)), "float16")
    assert quantized.metadata is not None
    (entry,) = quantized.metadata
    assert entry.name == "reduced_precision_support"
    assert entry.buffer.data is not None
    assert entry.buffer.data.tobytes() == b"fp16accfp32"
    assert {code.name: code.version for code in quantized.operator_codes} == {"DEQUANTIZE": 3, "FULLY_CONNECTED": 1}


def test_results_differ_by_the_rounding_of_constants_alone() -> None:
    model = branches(np.random.default_rng(0))
    x = [np.random.default_rng(1).uniform(-1, 1, (1, 4, 4, 3)).astype(np.float32)]
    (want,), (got,) = run_qcore(model, x), run_qcore(quantize_model(model, "float16"), x)
    np.testing.assert_allclose(got, want, atol=2e-2)

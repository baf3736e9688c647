"""int4 weights, whole and in blocks: what each mode writes where, and that TensorFlow Lite and LiteRT run it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.cli.weight_page import markdown
from qcore.errors import InputError
from qcore.model import Model, Operator, Tensor
from qcore.schema import constant
from tests.conformance.harness import RESOLVERS, run, run_qcore, run_tflite
from tests.quantizer.builder import Builder, dense, find, names, tensor_of

SAME: dict[str, Any] = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
IDS = (7,)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@cache
def image_model(product: bool = False) -> Model:
    """x -> CONV_2D -> DEPTHWISE_CONV_2D -> TRANSPOSE_CONV -> MEAN -> FULLY_CONNECTED -> BATCH_MATMUL, if ``product``."""
    b, random = Builder(), rng()

    def add(name: str, *shape: int) -> int:
        return b.constant(name, random.normal(size=shape) / 2)

    x, shapes = b.input("x", (1, 6, 6, 3)), [(1, 6, 6, 8), (1, 6, 6, 8), (1, 12, 12, 8), (1, 8), (1, 16), (1, 4)]
    c, d, t, m, f, y = (b.tensor(name, shape) for name, shape in zip("cdtmfy", shapes, strict=True))
    b.op("CONV_2D", [x, add("wc", 8, 3, 3, 3), add("bc", 8)], c, fused_activation_function="RELU", **SAME)
    b.op("DEPTHWISE_CONV_2D", [c, add("wd", 1, 3, 3, 8), add("bd", 8)], d, depth_multiplier=1, **SAME)
    size = b.constant("size", [1, 12, 12, 8], "int32")
    b.op("TRANSPOSE_CONV", [size, add("wt", 8, 3, 3, 8), d, add("bt", 8)], t, padding="SAME", stride_h=2, stride_w=2)
    b.op("MEAN", [t, b.constant("axes", [1, 2], "int32")], m, keep_dims=False)
    b.op("FULLY_CONNECTED", [m, add("wf", 16, 8), add("bf", 16)], f)
    b.op("BATCH_MATMUL", [f, add("wb", 16, 4)], y)
    if not product:
        b.operators.pop()
    return b.model(y if product else f)


@cache
def text_model(width: int = 64) -> Model:
    """ids -> EMBEDDING_LOOKUP -> FULLY_CONNECTED with RELU -> FULLY_CONNECTED with the same weights -> y."""
    b, random = Builder(), rng()
    ids, e, f, y = b.input("ids", IDS, "int32"), *(b.tensor(name, (*IDS, width)) for name in "efy")
    weights = b.constant("shared", random.normal(size=(width, width)) / 4)
    b.op("EMBEDDING_LOOKUP", [ids, b.constant("table", random.normal(size=(20, width)))], e)
    b.op("FULLY_CONNECTED", [e, weights, b.constant("b1", random.normal(size=width))], f, fused_activation_function="RELU")
    b.op("FULLY_CONNECTED", [f, weights, b.constant("b2", random.normal(size=width))], y)
    return b.model(y)


def samples(model: Model, count: int = 12) -> list[np.ndarray]:
    random, x = np.random.default_rng(1), model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    if x.dtype == "int32":
        return [random.permutation(20)[: x.shape[0]].astype(np.int32) for _ in range(count)]
    return [random.normal(size=x.shape).astype(np.float32) for _ in range(count)]


def quantized(model: Model, mode: Any, **options: Any) -> Model:
    """With weights of any size, and codes of all rows of a table."""
    if mode in ("weight_only", "dynamic_range"):
        return qcore.quantize_model(model, mode, min_elements=0, **options)
    return qcore.quantize_model(model, mode, samples(model), runnable=True, **options)


def weights_of(model: Model, operator: Operator) -> tuple[Tensor, bool]:
    """The tensor that holds an operator's weights, and whether a DEQUANTIZE stands between."""
    graph = model.subgraphs[0]
    source = next((each for each in graph.operators if operator.inputs[1] in each.outputs), None)
    return (graph.tensors[operator.inputs[1]], False) if source is None else (graph.tensors[source.inputs[0]], True)


def kinds(model: Model) -> dict[str, str]:
    """The form of the weights of each type of operator, in the words of docs/int4.md."""
    found = {}
    for operator in model.subgraphs[0].operators:
        if operator.name in WEIGHTED:
            tensor, restored = weights_of(model, operator)
            blocks = tensor.quantization is not None and tensor.quantization.details is not None
            found[operator.name] = tensor.dtype + " behind a DEQUANTIZE" * restored + "; blocks" * blocks
    return found


PAGE = [line.strip("| ").split(" | ") for line in markdown().splitlines() if line.startswith("| ")]
WEIGHTED = {line[0]: dict(zip(PAGE[0][1:], line[1:], strict=True)) for line in PAGE[2:8]}
"""The first table of docs/int4.md: by operator and mode."""

MODES = ("weight_only", "dynamic_range", "int8", "int16x8")


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_writes_what_the_page_says(mode: str) -> None:
    assert len(WEIGHTED) == 6
    wide, narrow = (
        kinds(quantized(image_model(True), mode, weight_type=dtype)) | kinds(quantized(text_model(), mode, weight_type=dtype))
        for dtype in ("int8", "int4")
    )
    said = {operator: written[mode].removesuffix("; blocks") for operator, written in WEIGHTED.items()}
    assert narrow == {operator: wide[operator] if said[operator] == "-" else said[operator] for operator in wide}


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_writes_blocks_where_the_page_says(mode: str) -> None:
    found = kinds(quantized(text_model(), mode, weight_type="int4", block_size=32))
    said = {operator: WEIGHTED[operator][mode] for operator in found}
    assert found == {operator: "int4; blocks" if said[operator].endswith("; blocks") else said[operator] for operator in found}


@pytest.mark.parametrize("convention", ["tensorflow", "ai-edge"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("make", "block_size"), [(image_model, None), (text_model, None), (text_model, 32)])
def test_common_interpreters_run_it_and_qcore_has_their_bits(make: Any, block_size: int | None, mode: Any, convention: Any) -> None:
    """Floats, where results are, within the tolerance of float sums."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    model = make()
    options: dict[str, Any] = {"weight_type": "int4", "block_size": block_size, "convention": convention}
    if mode in ("weight_only", "dynamic_range"):
        found = qcore.quantize_model(model, mode, min_elements=0, **options)
    else:
        found = qcore.quantize_model(model, mode, samples(model), input_type="float32", output_type="float32", **options)
    for x in samples(model, 2):
        theirs = {"builtin": [run_tflite(found, [x], RESOLVERS["builtin"])], "xnnpack": [run_tflite(found, [x], RESOLVERS["xnnpack"])]}
        theirs["xnnpack"].append(run(litert.Interpreter(model_content=found.to_bytes()), [x]))
        if convention == "ai-edge" and block_size:
            del theirs["builtin"]  # it leaves fused activations out, which this convention keeps
        for arithmetic, results in theirs.items():
            (ours,) = run_qcore(found, [x], arithmetic=arithmetic)
            for (other,) in results:
                if mode in ("weight_only", "dynamic_range"):
                    np.testing.assert_allclose(ours, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())
                else:
                    np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("convention", ["tensorflow", "ai-edge"])
def test_a_rule_chooses_for_one_operator(mode: Any, convention: Any) -> None:
    model, rules = text_model(), [qcore.Rule(True, operator="EMBEDDING_LOOKUP", weight_type="int4")]
    found = kinds(quantized_by(model, mode, convention, rules=rules, block_size=32))
    assert found["EMBEDDING_LOOKUP"] == "int4; blocks"
    assert found["FULLY_CONNECTED"].startswith("int8")


def quantized_by(model: Model, mode: Any, convention: Any, **options: Any) -> Model:
    given = samples(model) if mode in ("int8", "int16x8") else None
    return qcore.quantize_model(model, mode, given, convention=convention, **options)


def test_int16_activations_decide_whose_weights_are_int4() -> None:
    """DEPTHWISE_CONV_2D takes int4 beside int8, and misreads it beside int16."""
    model, rules = image_model(), [qcore.Rule(True, tensor=name, activation_type="int16") for name in "cd"]
    found = quantized(model, "int8", weight_type="int4", rules=rules)
    assert kinds(found) == {"CONV_2D": "int4", "DEPTHWISE_CONV_2D": "int8", "TRANSPOSE_CONV": "int8", "FULLY_CONNECTED": "int4"}
    for x in samples(model, 2):
        (ours,), (theirs,) = run_qcore(found, [x], arithmetic="xnnpack"), run_tflite(found, [x], RESOLVERS["xnnpack"])
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("convention", ["tensorflow", "ai-edge"])
def test_what_is_looked_up_can_be_an_integer_output(convention: Any) -> None:
    b = Builder()
    ids, y = b.input("ids", IDS, "int32"), b.tensor("y", (*IDS, 8))
    b.op("EMBEDDING_LOOKUP", [ids, b.constant("table", rng().normal(size=(20, 8)))], y)
    model = b.model(y)
    options: dict[str, Any] = {"weight_type": "int4", "output_type": "int8", "convention": convention}
    found = qcore.quantize_model(model, "int8", samples(model), **options)
    assert names(found) == ["EMBEDDING_LOOKUP", "QUANTIZE"]
    x = samples(model, 1)
    (ours,), (theirs,) = run_qcore(found, x), run_tflite(found, x)
    assert ours.dtype == np.int8
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("mode", ["int8", "int16x8", "dynamic_range", "weight_only"])
def test_weights_of_half_width_become_int4_like_others(mode: Any) -> None:
    half = qcore.quantize_model(image_model(), "float16")
    assert kinds(quantized(half, mode, weight_type="int4")) == kinds(quantized(image_model(), mode, weight_type="int4"))


def test_blocks_without_int4_are_refused() -> None:
    with pytest.raises(InputError, match="block_size: got 32 for int8 weights, expected a multiple of 32 for int4"):
        qcore.quantize_model(text_model(), "dynamic_range", block_size=32)


@pytest.mark.parametrize(
    ("mode", "kind"), [("weight_only", "int4 behind a DEQUANTIZE"), ("dynamic_range", "int8"), ("int8", "int8"), ("int16x8", "float32")]
)
def test_rows_that_do_not_fill_bytes_are_not_looked_up_in_int4(mode: str, kind: str) -> None:
    assert kinds(quantized(text_model(33), mode, weight_type="int4"))["EMBEDDING_LOOKUP"] == kind


def test_without_float_fallback_tables_stay_integers() -> None:
    found = quantized(text_model(), "int8", weight_type="int4", float_fallback=False)
    assert kinds(found)["EMBEDDING_LOOKUP"] == "int8"
    assert names(found) == ["EMBEDDING_LOOKUP", "FULLY_CONNECTED", "FULLY_CONNECTED", "DEQUANTIZE"]


@pytest.mark.parametrize("mode", ["int8", "int16x8"])
def test_operators_that_share_weights_go_on_to(mode: str) -> None:
    """Their biases follow the scales, each with the scale of its own input."""
    found = quantized(text_model(), mode, weight_type="int4")
    first, second = (operator for operator in found.subgraphs[0].operators if operator.name == "FULLY_CONNECTED")
    assert constant(tensor_of(found, first, 1)) is not None
    assert tensor_of(found, first, 1).buffer is tensor_of(found, second, 1).buffer
    for operator in (first, second):
        x, w, b = (tensor_of(found, operator, slot).quantization for slot in range(3))
        assert x is not None and w is not None and b is not None
        np.testing.assert_allclose(b.scale, x.scale * w.scale, rtol=1e-6)


def test_operators_of_one_unit_keep_int8_beside_int8() -> None:
    """TensorFlow Lite's XNNPACK fails a model with such an operator, if it has a bias."""
    assert kinds(quantized(dense(rng(), units=1), "int8", weight_type="int4")) == {"FULLY_CONNECTED": "int8"}
    assert kinds(quantized(dense(rng(), units=1), "int16x8", weight_type="int4")) == {"FULLY_CONNECTED": "int4"}


def test_few_units_have_no_blocks() -> None:
    options: dict[str, Any] = {"weight_type": "int4", "block_size": 32}
    assert kinds(quantized(dense(rng(), units=3), "dynamic_range", **options)) == {"FULLY_CONNECTED": "int4"}
    assert kinds(quantized(dense(rng(), units=4), "dynamic_range", **options)) == {"FULLY_CONNECTED": "int4; blocks"}


@pytest.mark.parametrize("activation", ["RELU", "RELU6", "RELU_N1_TO_1", "NONE"])
def test_a_fused_activation_of_blocks_becomes_an_operator(activation: str) -> None:
    model = dense(rng(), activation=activation)
    found = quantized(model, "dynamic_range", weight_type="int4", block_size=32)
    assert names(found) == ["FULLY_CONNECTED"] + [activation] * (activation != "NONE")
    options = find(found, "FULLY_CONNECTED").options
    assert options is not None and options["fused_activation_function"] == "NONE"
    x = [rng().normal(size=(1, 64)).astype(np.float32)]
    (ours,), (theirs,) = run_qcore(found, x, arithmetic="builtin"), run_tflite(found, x, RESOLVERS["builtin"])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert [found.subgraphs[0].tensors[i].name for i in found.subgraphs[0].outputs] == ["y"]

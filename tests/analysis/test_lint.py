"""Lint: that rules find what breaks them and nothing else, in models built to break them one by one, and survive any model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.analysis.lint import Lint, lint
from qcore.analysis.lint.findings import SEVERITIES
from qcore.analysis.lint.partitions import partitions
from qcore.analysis.lint.targets import HOMES, target_named
from qcore.errors import InputError, ModelError
from qcore.kernels.registry import OPERATORS
from qcore.model import OPTIONAL, Buffer, Model, Operator, OperatorCode, Quantization, Subgraph, Tensor
from qcore.numerics.dtypes import ELEMENT_TYPES
from qcore.schema import default_options
from qcore.schema.description import ENUMS
from tests.conformance.harness import T, one_operator

BUILTINS = set(ENUMS["BuiltinOperator"].numbers)
DIGITS = Path(qcore.__file__).parent / "data" / "digits_int8.tflite"


def weights(*shape: int, dtype: str = "int8", scales: int = 1, axis: int = 0) -> T:
    return T(dtype, shape, [0.01] * scales if dtype != "float32" else None, axis=axis, value=np.ones(shape))


def x(*shape: int, dtype: str = "int8", scale: float | None = 0.1) -> T:
    return T(dtype, shape, None if dtype.startswith("float") else scale)


def conv(filter: T | None = None, input: T | None = None, bias: T | None = None, stride: int = 1, **options: object) -> Model:
    bias = bias or T("int32", (4,), 0.001, value=np.zeros(4))
    options = {"padding": "SAME", "stride_h": stride, "stride_w": stride, **options}
    return one_operator("CONV_2D", [input or x(1, 8, 8, 3), filter or weights(4, 3, 3, 3), bias], [x(1, 8, 8, 4)], options)


def dense(scales: int = 1, dtype: str = "int8", rows: int = 1) -> Model:
    bias = T("int32", (4,), 0.001, value=np.zeros(4))
    return one_operator("FULLY_CONNECTED", [x(rows, 6, dtype=dtype), weights(4, 6, scales=scales), bias], [x(rows, 4, dtype=dtype)])


def dense_int4_of_int16() -> Model:
    return one_operator("FULLY_CONNECTED", [x(1, 6, dtype="int16"), weights(4, 6, dtype="int4"), None], [x(1, 4, dtype="int16")])


def rules(found: Lint) -> set[str]:
    return {finding.rule for finding in found}


BROKEN = [
    ("any/no-kernel", one_operator("SQUARED_DIFFERENCE", [x(4, dtype="int16"), x(4, dtype="int16")], [x(4, dtype="int16")]), "int16"),
    ("any/per-channel-dense", dense(scales=4), "4 scales"),
    ("any/dynamic-range", dense(dtype="float32"), "float input"),
    ("tflm/dynamic-range", dense(dtype="float32"), "dynamic range"),
    ("tflm/type", one_operator("RELU", [x(4, dtype="uint8")], [x(4, dtype="uint8")]), "uint8"),
    ("tflm/operator", one_operator("GELU", [x(4)], [x(4)]), "does not have"),
    ("tflm/per-channel-dense", dense(scales=4), "4 scales"),
    ("tflm/inputs", one_operator("CONCATENATION", [x(1, 4)] * 11, [x(1, 44)], {"axis": 1}), "11 inputs"),
    ("tflm/constant", one_operator("TRANSPOSE", [x(2, 3), T("int32", (2,))], [x(3, 2)]), "run time"),
    ("tflm/constant", one_operator("STRIDED_SLICE", [x(4), *[T("int32", (1,))] * 3], [x(2)]), "begin"),
    ("tflm/constant", one_operator("FILL", [T("int32", (0,), value=[]), x(dtype="float32")], [x(dtype="float32")]), "no elements"),
    ("tflm/rank", one_operator("STRIDED_SLICE", [x(1, 1, 1, 1, 4), *[T("int32", (5,), value=[1] * 5)] * 3], [x(4)]), "5 dimensions"),
    ("tflm/empty", one_operator("ADD", [x(2, 0), x(2, 0)], [x(2, 0)]), r"\[2, 0\]"),
    ("tflm/size", one_operator("RESHAPE", [x(2, 6), T("int32", (2,), value=[3, 4])], [x(1, 4)]), "differ in size"),
    ("tflm/weights-type", dense_int4_of_int16(), "int4 for int16"),
    ("edgetpu/activation", one_operator("CONCATENATION", [x(1, 4)] * 2, [x(1, 8)], {"fused_activation_function": "RELU"}), "RELU"),
    ("edgetpu/dilation", conv(dilation_h_factor=2), "dilation_h_factor is 2"),
    ("edgetpu/one-row", dense(rows=3), "more than one row"),
    ("edgetpu/type", dense(dtype="int16"), "int16"),
    ("ethos-u/stride", conv(stride=4), r"strides are \[4, 4\]"),
    ("ethos-u/weights-sum", conv(T("int8", (4, 300, 300, 1), 0.01, value=np.full((4, 300, 300, 1), 127)), x(1, 8, 8, 1)), "11430000"),
    ("ethos-u/weights-type", conv(T("int4", (4, 3, 3, 3), 0.1, value=np.ones((4, 3, 3, 3)))), "int4"),
    ("ethos-u/same-scale", one_operator("MAXIMUM", [x(4), x(4, scale=0.2)], [x(4)]), "different scales"),
    ("ethos-u/factor", one_operator("RESIZE_BILINEAR", [x(1, 4, 4, 1), T("int32", (2,), value=[12, 12])], [x(1, 12, 12, 1)]), "one factor"),
    ("ethos-u/window", one_operator("AVERAGE_POOL_2D", [x(1, 9, 9, 1)], [x(1, 9, 9, 1)], {"padding": "SAME", "filter_width": 9}), "9"),
    ("nnapi/output-type", dense(dtype="int16"), "int16"),
    ("nnapi/deprecated", dense(), "Android 15"),
    ("nnapi/api-level", one_operator("RSQRT", [x(4)], [x(4)]), "29"),
    ("gpu-fp16/operator", one_operator("ARG_MAX", [x(4), T("int32", (1,), value=[0])], [x(dtype="int32", scale=None)]), "CPU"),
    ("gpu-fp16/codes", dense(), "computed with as floats"),
    ("gpu-fp16/beta", one_operator("SOFTMAX", [x(1, 4, dtype="float32")], [x(1, 4, dtype="float32")], {"beta": 2.0}), "beta is 2"),
    ("gpu-fp16/rank", one_operator("RELU", [x(1, 1, 1, 1, 2, dtype="float32")], [x(1, 1, 1, 1, 2, dtype="float32")]), "5 dimensions"),
]


@pytest.mark.parametrize(("rule", "model", "message"), BROKEN, ids=[rule for rule, _, _ in BROKEN])
def test_rule_finds_the_model_built_to_break_it(rule: str, model: Model, message: str) -> None:
    found = [finding for finding in lint(model, rule.split("/")[0]) if finding.rule == rule]
    assert found, f"{rule} found nothing"
    assert found[0].source
    assert re.search(message, found[0].message)


@pytest.mark.parametrize("target", ["tflm", "edgetpu", "ethos-u"])
@pytest.mark.parametrize("model", [conv(), dense()], ids=["conv", "dense"])
def test_plain_int8_layers_have_no_findings(target: str, model: Model) -> None:
    assert list(lint(model, target)) == []


def test_float_layers_run_on_the_gpu_and_on_nothing_that_takes_codes() -> None:
    bias = T("float32", (4,), value=np.zeros(4))
    model = one_operator("FULLY_CONNECTED", [x(1, 6, dtype="float32"), weights(4, 6, dtype="float32"), bias], [x(1, 4, dtype="float32")])
    assert list(lint(model, "gpu-fp16")) == []
    for target in ("edgetpu", "ethos-u"):
        found = lint(model, target)
        assert not found.ok
        assert (found.mapped, found.partitions) == (0, 0)
        assert f"{target}/nothing" in rules(found)


def test_errors_come_first_and_counts_add_up() -> None:
    found = lint(DIGITS.read_bytes(), "edgetpu")
    order = [SEVERITIES.index(finding.severity) for finding in found]
    assert order == sorted(order)
    assert sum(found.counts.values()) == len(found)
    assert found.ok == (found.counts["error"] == 0)
    assert json.loads(json.dumps(found.as_dict()))["target"] == "edgetpu"


def chain(*names: str) -> Model:
    """Unary operators, one after the other, on int8."""
    q = Quantization(np.array([0.1], np.float32), np.array([0], np.int64))
    tensors = [Tensor(f"t{i}", "int8", (1, 4), Buffer(), quantization=q) for i in range(len(names) + 1)]
    operators = [Operator(OperatorCode(name), [i], [i + 1], default_options(name)) for i, name in enumerate(names)]
    return Model([Subgraph("main", tensors, [0], [len(names)], operators)])


def test_pieces_are_runs_of_mapped_operators_and_of_a_graph_in_pieces_the_edge_tpu_takes_the_first() -> None:
    model = chain("RELU", "ELU", "RELU", "TANH", "ELU", "RELU")
    assert partitions(model.subgraphs[0], {0, 2, 3, 5}) == [[0], [2, 3], [5]]
    found = lint(model, "edgetpu")
    assert (found.mapped, found.partitions) == (1, 3)
    assert [f.op for f in found if f.rule == "edgetpu/one-partition"] == [2, 3, 5]
    assert "nnapi/partitions" in rules(lint(model, "nnapi"))


def test_branches_that_wait_for_nothing_share_a_piece() -> None:
    model = chain("RELU", "ELU", "RELU")
    model.subgraphs[0].operators[2].inputs = [0]  # reads the input, not the second operator
    assert partitions(model.subgraphs[0], {0, 2}) == [[0, 2]]


def test_operators_that_wait_for_each_other_do_not_hang() -> None:
    model = chain("RELU", "RELU")
    model.subgraphs[0].operators[0].inputs = [2]
    assert partitions(model.subgraphs[0], {0, 1}) == []


def test_unused_tensors_and_unknown_shapes_are_noted() -> None:
    model = chain("RELU")
    model.subgraphs[0].tensors.append(Tensor("left", "int8", (4,), Buffer(np.zeros(4, np.uint8))))
    model.subgraphs[0].tensors[0].shape_signature = (-1, 4)
    found = {finding.rule: finding for finding in lint(model, "any")}
    assert "4 bytes" in found["any/unused-tensor"].message
    assert "[-1, 4]" in found["any/dynamic-shape"].message
    assert found["any/unused-tensor"].severity == "note"


def test_float_operators_among_codes_are_found() -> None:
    q = Quantization(np.array([0.1], np.float32), np.array([0], np.int64))
    tensors = [Tensor("a", "int8", (4,), Buffer(), quantization=q)] + [Tensor(n, "float32", (4,), Buffer()) for n in "bc"]
    operators = [Operator(OperatorCode("DEQUANTIZE"), [0], [1]), Operator(OperatorCode("EXP"), [1], [2])]
    found = [f for f in lint(Model([Subgraph("main", tensors, [0], [2], operators)]), "any") if f.rule == "any/float-fallback"]
    assert [f.operator for f in found] == ["EXP"]


@pytest.mark.parametrize("target", HOMES)
def test_no_rule_stumbles_over_operators_without_tensors_options_or_dimensions(target: str) -> None:
    q = Quantization(np.array([0.1], np.float32), np.array([0], np.int64))
    empty = Tensor("e", "int32", (0,), Buffer(np.zeros(0, np.uint8)))
    tensors = [Tensor("s", "int8", (), Buffer(), quantization=q), empty, Tensor("f", "float32", (1, 0, 2, 3), Buffer())]
    for name in sorted(BUILTINS):
        for inputs in ([], [OPTIONAL] * 5, [0], [0, 0, 0, 0], [1, 1, 1], [2, 1, 1, 1], [2, 2, 2]):
            for options in (None, default_options(name)):
                operator = Operator(OperatorCode(name), inputs, [0] if inputs else [], options)
                assert isinstance(lint(Model([Subgraph("main", tensors, [0], [0], [operator])]), target), Lint)


@pytest.mark.parametrize("target", HOMES)
def test_tables_name_operators_that_there_are_and_types_that_there_are(target: str) -> None:
    found = target_named(target)
    custom = {"TFLite_Detection_PostProcess", "CIRCULAR_BUFFER", "ethos-u"}
    assert set(found.operators) <= BUILTINS | custom
    assert {t for row in found.operators.values() for t in row.types} <= set(ELEMENT_TYPES)
    assert found.name == target
    assert found.edition


def test_operators_that_run_nowhere_are_an_error_for_every_type_without_a_kernel() -> None:
    for name, definition in OPERATORS.items():
        if definition.types and definition.inputs == (1, 1) and "int16" not in definition.types:
            found = lint(one_operator(name, [x(4, dtype="int16")], [x(4, dtype="int16")]), "any")
            assert "any/no-kernel" in rules(found), name


def test_what_is_no_target_or_no_model_is_refused() -> None:
    with pytest.raises(InputError, match="target is 'tpu', expected one of any, tflm"):
        lint(chain("RELU"), "tpu")
    with pytest.raises(ModelError):
        lint(b"not a model")

"""``diff`` says where two models differ: each kind of edit shows as what it is, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore import edit
from qcore.analysis.diffing.difference import Change, ValueChange
from qcore.errors import InputError
from qcore.model import Buffer, Metadata, Model, Operator, Signature
from qcore.schema import constant, default_options
from tests.quantizer.builder import Builder, branches

DIGITS = Path(qcore.__file__).parent / "data" / "digits_int8.tflite"
FLOAT = DIGITS.with_name("digits_float.tflite")
DENSE = "sequential_1/digit_1/MatMul"


def digits() -> Model:
    return qcore.load(DIGITS)


def codes(model: Model | None = None) -> np.ndarray:
    return np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8)


def test_equal_models_are_the_same_in_one_line() -> None:
    for other in (DIGITS, digits(), DIGITS.read_bytes()):
        found = qcore.diff(DIGITS, other, codes())
        assert (found.equal, found.conclusion, found.counts) == (True, "the same model", {})


def test_a_constant_shows_how_many_elements_differ_and_by_how_much() -> None:
    other = digits()
    weights = constant(other.tensor(DENSE))
    assert weights is not None
    changed = weights.copy()
    changed.flat[7], changed.flat[9] = weights.flat[7] ^ 4, weights.flat[9] ^ 1
    edit.set_constant(other, DENSE, changed)
    found = qcore.diff(DIGITS, other, codes())
    scale = other.tensor(DENSE).quantization.scale  # type: ignore[union-attr]
    (change,) = found.constants
    assert (change.tensor, change.elements, change.differing, change.codes) == (DENSE, weights.size, 2, 4)
    assert change.real == pytest.approx(4 * scale[0])
    assert set(found.counts) <= {"constants", "values"}
    assert all(departure.positions[0] >= 8 for departure in found.values)


def test_scales_show_how_many_differ_and_the_ratio() -> None:
    other = digits()
    q = other.tensor("sequential_1/conv2d_1_2/convolution").quantization
    assert q is not None
    q.scale = q.scale.copy()
    q.scale[3] *= 2
    found = qcore.diff(DIGITS, other)
    (change,) = found.quantization
    assert (change.scales, change.axes, change.differing, change.ratio) == ((32, 32), (0, 0), 1, 2.0)
    assert [c.tensor for c in found.constants] == [change.tensor]  # its codes now stand for other real values
    assert found.constants[0].codes == 0


def rename(model: Model) -> None:
    edit.rename(model, DENSE, "weights")


def option(model: Model) -> None:
    options = model.subgraphs[0].operators[0].options
    assert options is not None
    options.fields["stride_w"] = 2


def metadata(model: Model) -> None:
    model.metadata = [*(model.metadata or []), Metadata("extra", Buffer(np.arange(3, dtype=np.uint8)))]


def signature(model: Model) -> None:
    model.signatures = [*(model.signatures or []), Signature("other", [], [("y", model.subgraphs[0].outputs[0])])]


def training_range(model: Model) -> None:
    q = model.tensor(DENSE).quantization
    assert q is not None
    q.max = np.float32([1])


@pytest.mark.parametrize(
    ("change", "kind", "expected"),
    [
        (rename, "structure", Change(0, None, DENSE, "name", DENSE, "weights")),
        (option, "structure", Change(0, 0, "CONV_2D", "stride_w", 1, 2)),
        (training_range, "structure", Change(0, None, DENSE, "range seen at training", None, ([], [1.0]))),
        (metadata, "model", Change(0, None, "model", "metadata 'extra'", None, "3 bytes, ae4b3280e56e")),
        (
            signature,
            "model",
            Change(0, None, "model", "signature 'other'", None, "subgraph 0 () -> (y: StatefulPartitionedCall_1:0)"),
        ),
    ],
)
def test_one_edit_is_one_difference(change: Callable[[Model], None], kind: str, expected: Change) -> None:
    other = digits()
    change(other)
    found = qcore.diff(DIGITS, other)
    assert found.counts == {kind: 1}
    assert getattr(found, kind) == (expected,)


def test_what_no_reader_sees_is_said_to_be_that() -> None:
    other = digits()
    other.buffers.append(Buffer(np.arange(4, dtype=np.uint8)))
    found = qcore.diff(DIGITS, other)
    assert (found.equal, found.counts) == (False, {})
    assert "numbering, order, or what nothing uses" in found.conclusion


def test_operators_in_another_order_correspond() -> None:
    """Two branches that do not wait for each other, the other way round."""

    def model(swap: bool) -> Model:
        b = Builder()
        x, left, right, y = b.input("x", (1, 4)), b.tensor("left", (1, 4)), b.tensor("right", (1, 4)), b.tensor("y", (1, 4))
        for name, output in [("NEG", left), ("ABS", right)][:: -1 if swap else 1]:
            b.op(name, [x], output)
        b.op("SUB", [left, right], y)
        return b.model(y)

    found = qcore.diff(model(False), model(True), np.float32([[1, -2, 3, -4]]))
    assert (found.only_a, found.only_b, found.values) == ((), (), ())
    assert found.structure == (Change(0, 0, "NEG", "place", 0, 1),)
    assert found.compared == 4


def test_inserted_conversions_are_the_only_new_operators() -> None:
    found = qcore.diff(DIGITS, edit.set_io_types(digits(), "float32", "float32"), codes())
    assert found.only_a == ()
    assert [name.partition(" ")[0] for name in found.only_b] == ["QUANTIZE", "DEQUANTIZE"]
    assert (found.quantization, found.constants, found.values) == ((), (), ())


def test_a_float_model_and_its_quantized_form_correspond_operator_by_operator() -> None:
    found = qcore.diff(FLOAT, DIGITS)
    assert (found.only_a, found.only_b) == ((), ())
    assert {change.types for change in found.constants} == {("float32", "int8"), ("float32", "int32")}


def test_the_first_operator_whose_inputs_agree_is_where_a_difference_arises() -> None:
    """A bias that is one step greater in the second of three convolutions."""
    other = digits()
    graph = other.subgraphs[0]
    bias = graph.tensors[graph.operators[2].inputs[2]]
    values = constant(bias)
    assert values is not None
    edit.set_constant(other, bias.name, values + 400)
    found = qcore.diff(DIGITS, other, codes())
    assert found.first is not None
    assert (found.first.operator, found.first.positions) == ("CONV_2D", (2, 2))
    assert found.first.inputs_agree
    assert not any(departure.inputs_agree for departure in found.values[1:])
    assert [change.codes for change in found.constants] == [400]


def test_another_operator_with_other_inputs_is_named_with_both() -> None:
    first, second = branches(np.random.default_rng(0)), branches(np.random.default_rng(0))
    operator = second.subgraphs[0].operators[2]
    operator.inputs[1] = operator.inputs[0]
    second.subgraphs[0].operators[1] = Operator(type(operator.code)("ABS"), [3], [4], default_options("ABS"))
    found = qcore.diff(first, second)
    assert Change(0, 2, "CONCATENATION", "input 1", "n", "c") in found.structure
    assert [change.what for change in found.structure if change.what == "operator"] == ["operator"] or found.only_a


def test_models_that_have_nothing_in_common_differ_without_an_error() -> None:
    found = qcore.diff(DIGITS, branches(np.random.default_rng(0)))
    assert len(found.only_a) == 10
    assert len(found.only_b) == 3
    with pytest.raises(InputError, match="has no input that corresponds to 'ids'"):
        b = Builder()
        ids, x, y = b.input("ids", (2,), "int32"), b.input("x", (4, 3)), b.tensor("y", (2, 3))
        b.op("GATHER", [x, ids], y)
        qcore.diff(DIGITS, b.model(y), codes())


def test_json_has_no_infinities() -> None:
    b, c = Builder(), Builder()
    for builder, value in ((b, 1.0), (c, np.nan)):
        x, y = builder.input("x", (2,)), builder.tensor("y", (2,))
        builder.op("ADD", [x, builder.constant("k", [value, 2])], y)
    found = qcore.diff(b.model(2), c.model(2))
    assert found.constants == (ValueChange("k", ("float32", "float32"), 2, 1, None, np.inf),)
    assert json.loads(found.to_json())["constants"][0]["real"] == "Infinity"


def test_handles_of_variables_are_no_values() -> None:
    """A handle is a number of one run: in another order a variable has another, and holds the same."""

    def two_variables(order: tuple[str, str]) -> Model:
        b = Builder()
        x = b.input("x", (1,))
        handles = {name: b.tensor(name, (1,), "resource") for name in ("first", "second")}
        for name in order:
            b.op("VAR_HANDLE", [], handles[name], container="", shared_name=name)
        for handle in handles.values():
            b.op("ASSIGN_VARIABLE", [handle, x], [])
        outputs = [b.tensor(f"{name} again", (1,)) for name in handles]
        for handle, output in zip(handles.values(), outputs, strict=True):
            b.op("READ_VARIABLE", [handle], output)
        return b.model(*outputs)

    found = qcore.diff(two_variables(("first", "second")), two_variables(("second", "first")), np.float32([1]))
    assert not found.equal
    assert found.values == ()

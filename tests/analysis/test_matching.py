"""Operators of two models are matched by what they compute; where that cannot be told, they are left alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import qcore
from qcore.analysis.matching import Flow, match, unnumbered
from qcore.model import Model
from tests.quantizer.builder import Builder, branches

ANONYMOUS = pytest.mark.parametrize("anonymous", [False, True], ids=["names", "no names"])


def chain(*operators: str, renamed: Sequence[str] = ()) -> Model:
    """x, then one operator after the other, each adding or multiplying a constant or of one input; outputs are called o0, o1, ..."""
    b = Builder()
    last = b.input("x", (1, 4))
    for number, name in enumerate(operators):
        inputs = [last, b.constant(f"c{number}", [2.0])] if name in ("ADD", "MUL") else [last]
        last = b.tensor(renamed[number] if renamed else f"o{number}", (1, 4))
        b.op(name, inputs, last)
    return b.model(last)


def without_names(model: Model) -> Model:
    for number, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = str(number)
    return model


def pairs(a: Model, b: Model) -> dict[str, str]:
    """Names of the first model's values that operators compute, with the second's that correspond."""
    one, other = a.subgraphs[0], b.subgraphs[0]
    ends = [list(zip(*ends, strict=True)) for ends in ((one.inputs, other.inputs), (one.outputs, other.outputs))]
    found = match(Flow(one), Flow(other), *ends)
    assert {y: x for x, y in found.of_a.items()} == found.of_b
    return {one.tensors[x].name: other.tensors[y].name for x, y in found.of_a.items() if x not in one.inputs}


@ANONYMOUS
@pytest.mark.parametrize(
    "options",
    [
        {"mode": "int8"},
        {"mode": "int8", "input_type": "int8", "output_type": "uint8"},
        {"mode": "int16x8"},
        {"mode": "float16"},
        {"mode": "dynamic_range", "min_elements": 0},
        {"mode": "weight_only", "min_elements": 0},
    ],
)
def test_every_operator_of_a_quantized_model_is_found(options: dict, anonymous: bool) -> None:
    rng = np.random.default_rng(0)
    model = branches(rng)
    calibration = [rng.normal(size=(1, 4, 4, 3)).astype(np.float32)]
    quantized = qcore.quantize_model(model, calibration=calibration, **options)
    expected = [operator.name for operator in model.subgraphs[0].operators]
    a, b = Flow(model.subgraphs[0]), Flow(without_names(quantized).subgraphs[0] if anonymous else quantized.subgraphs[0])
    found = match(a, b, list(zip(a.graph.inputs, b.graph.inputs, strict=True)), list(zip(a.graph.outputs, b.graph.outputs, strict=True)))
    assert [a.graph.operators[p].name for p in a.operators] == [b.graph.operators[p].name for p in b.operators] == expected
    for p, q in zip(a.operators, b.operators, strict=True):
        assert [found.of_a[x] for x in a.outputs(p)] == b.outputs(q)


@ANONYMOUS
def test_branches_alike_are_told_apart_by_where_they_lead(anonymous: bool) -> None:
    def model(first: str, second: str) -> Model:
        b = Builder()
        x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
        ends = {name: b.tensor(name, (1, 4)) for name in ("plus", "minus")}
        for name in (first, second):
            b.op("NEG", [x], ends[name])
        b.op("SUB", [ends["plus"], ends["minus"]], y)
        return b.model(y)

    other = model("minus", "plus")
    numbers = {name: str(i) for i, name in enumerate(t.name for t in other.subgraphs[0].tensors)}
    expected = {name: numbers[name] if anonymous else name for name in ("plus", "minus", "y")}
    assert pairs(model("plus", "minus"), without_names(other) if anonymous else other) == expected


def test_names_tell_which_of_two_equal_operators_is_left() -> None:
    assert pairs(chain("MUL", "MUL"), chain("MUL", renamed=["o1"])) == {"o1": "o1"}
    assert pairs(chain("MUL", "MUL"), chain("MUL", renamed=["o0"])) == {"o0": "o0"}


def test_without_names_nobody_can_tell_and_nothing_is_guessed() -> None:
    assert pairs(chain("MUL", "MUL"), chain("MUL", renamed=["other"])) == {}


@ANONYMOUS
def test_operators_around_one_that_was_added_or_changed_are_found(anonymous: bool) -> None:
    a, names = chain("NEG", "ABS", "MUL", "EXP"), ["o0", "o1", "o2", "o3"]
    longer = chain("NEG", "ABS", "FLOOR", "MUL", "EXP", renamed=["o0", "o1", "added", "o2", "o3"])
    changed = chain("NEG", "FLOOR", "MUL", "EXP", renamed=["o0", "added", "o2", "o3"])
    for model, missing in ((longer, set()), (changed, {"o1"})):
        numbers = {t.name: str(i) for i, t in enumerate(model.subgraphs[0].tensors)}
        expected = {name: numbers[name] if anonymous else name for name in names if name not in missing}
        assert pairs(a, without_names(model) if anonymous else model) == expected


def test_a_fused_activation_is_known_by_its_name_and_otherwise_not_guessed() -> None:
    def model(fused: bool, name: str = "relu") -> Model:
        b = Builder()
        x, weights = b.input("x", (1, 4)), b.constant("weights", np.eye(4))
        y = relu = b.tensor(name, (1, 4))
        if not fused:
            y = b.tensor("dense", (1, 4))
            b.op("RELU", [y], relu)
        b.op("FULLY_CONNECTED", [x, weights], y, fused_activation_function="RELU" if fused else "NONE")
        b.operators.reverse()
        return b.model(relu)

    assert pairs(model(False), model(True)) == {"relu": "relu"}
    assert pairs(model(False), model(True, "other")) == {}


def test_numbers_that_exporters_append_say_nothing() -> None:
    taken = {"a", "a1", "a12", "b_1", "c:0", "c:01"}
    assert [unnumbered(name, taken) for name in ("a", "a1", "a12", "b_1", "c:01")] == ["a", "a", "a", "b_1", "c:0"]
    # Taken with their numbers, the names would pair operators that are not the same.
    a = chain("NEG", "ABS", "FLOOR", renamed=["n1", "n2", "y"])
    b = chain("ABS", "NEG", "CEIL", renamed=["n1", "n2", "y"])
    for model in (a, b):
        model.subgraphs[0].tensors[0].name = "n"
    assert pairs(a, b) == {"y": "y"}

"""Rules: the last that matches decides, and JSON keeps them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qcore.errors import InputError
from qcore.model import Operator, Tensor
from qcore.quantizer import Rule, Rules, quantize_model
from tests.quantizer.builder import branches, names


def decide(rules: list[Rule], place: int = 0) -> bool:
    model = branches(np.random.default_rng(0))
    operator: Operator = model.subgraphs[0].operators[place]
    tensors: list[Tensor] = model.subgraphs[0].tensors
    return Rules.of(rules).quantizes(operator, tensors)


def test_without_rules_everything_is_quantized() -> None:
    assert decide([])


@pytest.mark.parametrize("rule", [Rule(False, operator="CONV_2D"), Rule(False, tensor="c"), Rule(False, regex="^c$"), Rule(False)])
def test_a_condition_holds_for_type_name_or_expression(rule: Rule) -> None:
    assert not decide([rule])
    assert decide([rule], place=2) == (rule != Rule(False))


def test_all_conditions_must_hold() -> None:
    assert decide([Rule(False, operator="CONV_2D", tensor="y")])
    assert not decide([Rule(False, operator="CONV_2D", tensor="c", regex="c")])


def test_the_last_match_wins() -> None:
    assert decide([Rule(False), Rule(True, operator="CONV_2D")])
    assert not decide([Rule(True, operator="CONV_2D"), Rule(False)])
    assert decide([Rule(False), Rule(True, operator="CONV_2D"), Rule(False, operator="NEG")])


def test_names_of_inputs_do_not_count() -> None:
    assert decide([Rule(False, tensor="filter")])


def test_a_custom_operator_goes_by_its_own_code() -> None:
    assert not Rule(False, operator="mine").matches("CUSTOM", ["y"])
    assert Rule(False, operator="mine").matches("mine", ["y"])


def test_json_keeps_rules_and_their_order() -> None:
    rules = Rules((Rule(False), Rule(True, operator="CONV_2D"), Rule(False, tensor="a", regex="b+")))
    text = rules.to_json()
    assert Rules.from_json(text) == rules
    assert json.loads(text)["rules"][1] == {"quantize": True, "operator": "CONV_2D"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[]", "expected a JSON object"),
        ('{"version": 2, "rules": []}', '"version": 1'),
        ('{"version": 1, "rules": {}}', "a list"),
        ('{"version": 1, "rules": [3]}', "rule 0 is int"),
        ('{"version": 1, "rules": [{"operator": "ADD"}]}', "rule 0 has operator"),
        ('{"version": 1, "rules": [{"quantize": true, "colour": "red"}]}', "rule 0 has quantize, colour"),
        ('{"version": 1, "rules": [{"quantize": true}, {"quantize": 1}]}', "rule 1: Rule: got quantize=1"),
        ('{"version": 1, "rules": [{"quantize": true, "regex": "("}]}', "no regular expression"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_other_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Rules.from_json(text)


def test_wrong_rules_are_refused() -> None:
    with pytest.raises(InputError, match="got tensor=3, expected a string"):
        Rule(False, tensor=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got dict as rule 0"):
        Rules.of([{"quantize": False}])  # type: ignore[list-item]
    with pytest.raises(InputError, match="got int, expected Rules"):
        Rules.of(3)  # type: ignore[arg-type]


def test_a_rule_keeps_an_operator_in_floating_point_in_every_mode() -> None:
    model = branches(np.random.default_rng(0))
    samples = [np.ones((1, 4, 4, 3), np.float32)]
    kept = [Rule(False, operator="CONV_2D")]
    filter = next(t for t in model.subgraphs[0].tensors if t.name == "filter").buffer.data
    for mode in ("float16", "dynamic_range", "weight_only", "int8", "int16x8"):
        options = {"calibration": samples} if mode.startswith("int") else {"min_elements": 0} if mode != "float16" else {}
        quantized = quantize_model(model, mode, rules=kept, **options)  # type: ignore[arg-type]
        (found,) = [t for t in quantized.subgraphs[0].tensors if t.name == "filter"]
        assert found.dtype == "float32", mode
        np.testing.assert_array_equal(found.buffer.data, filter)
        assert "CONV_2D" in names(quantized)


def test_the_last_rule_that_says_a_type_decides_about_it() -> None:
    model = branches(np.random.default_rng(0))
    conv, tensors = model.subgraphs[0].operators[0], model.subgraphs[0].tensors
    rules = Rules((Rule(True, weight_type="int4"), Rule(True, tensor="c", weight_type="int8", activation_type="int16"), Rule(False)))
    assert rules.weight_type(conv, tensors) == "int8"
    assert rules.activation_type(conv, tensors) == "int16" and rules.is_mixed
    assert not rules.quantizes(conv, tensors)
    assert Rules((Rule(False),)).weight_type(conv, tensors) is None


def test_json_keeps_types() -> None:
    rules = Rules((Rule(True, tensor="c", weight_type="int4"), Rule(True, regex="^n", activation_type="int16")))
    assert Rules.from_json(rules.to_json()) == rules


def test_first_and_last_are_operators_with_weights_and_rules_add_up() -> None:
    model = branches(np.random.default_rng(0))
    rules = Rules.first_and_last(model) + [Rule(False, operator="NEG")]
    assert rules.rules == (Rule(True, "CONV_2D", "c", weight_type="int8"), Rule(False, operator="NEG"))


def test_first_activations_are_those_of_so_many_operators_with_weights_or_not() -> None:
    model = branches(np.random.default_rng(0))
    operators, tensors = model.subgraphs[0].operators, model.subgraphs[0].tensors
    rules = Rules.first_activations(model, 2)
    assert [rules.activation_type(operator, tensors) for operator in operators[:3]] == ["int16", "int16", None]
    assert Rules.first_activations(model, 0) == Rules()


@pytest.mark.parametrize("name", ["weight_type", "activation_type"])
def test_types_without_kernels_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}='int2'"):
        Rule(True, **{name: "int2"})

"""Which operators are quantized, how, and which stay in floating point: ordered rules, of which the last that matches decides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from qcore.errors import InputError
from qcore.model import OPTIONAL, Model, Operator, Tensor

_VERSION = 1

WeightType = Literal["int8", "int4"]
ActivationType = Literal["int8", "int16"]

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""What counts as the first and the last layer of a model."""


@dataclass(frozen=True)
class Rule:
    """One rule; it matches an operator that meets all its conditions, and without conditions every operator.

    quantize: what it decides for the operators that it matches.
    operator: the operator's type is this, a builtin's schema name ("SOFTMAX") or a custom operator's own code.
    tensor: the operator computes a tensor of this name.
    regex: the operator computes a tensor in whose name this regular expression is found.
    weight_type: of its weights, "int8" or "int4", in modes that have a choice; None leaves that to other rules and the mode's own.
    activation_type: of what it reads and computes, "int8" or "int16", in mode "int8" of convention "tensorflow"; None likewise.

    Raises:
        InputError: a condition of a wrong type, or no regular expression.
    """

    quantize: bool
    operator: str | None = None
    tensor: str | None = None
    regex: str | None = None
    weight_type: WeightType | None = None
    activation_type: ActivationType | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.quantize, bool):
            raise InputError(f"Rule: got quantize={self.quantize!r}, expected True or False")
        for condition in ("operator", "tensor", "regex"):
            value = getattr(self, condition)
            if not isinstance(value, str | None):
                raise InputError(f"Rule: got {condition}={value!r}, expected a string")
        if self.weight_type not in (None, *get_args(WeightType)):
            raise InputError(f"Rule: got weight_type={self.weight_type!r}, expected 'int8' or 'int4'")
        if self.activation_type not in (None, *get_args(ActivationType)):
            raise InputError(f"Rule: got activation_type={self.activation_type!r}, expected 'int8' or 'int16'")
        try:
            re.compile(self.regex or "")
        except re.error as error:
            raise InputError(f"Rule: got regex={self.regex!r}, which is no regular expression: {error}") from error

    def matches(self, operator: str, tensors: list[str]) -> bool:
        """The rule is about an operator of that type, which computes tensors of these names."""
        return (
            self.operator in (None, operator)
            and (self.tensor is None or self.tensor in tensors)
            and (self.regex is None or any(re.search(self.regex, name) for name in tensors))
        )


@dataclass(frozen=True)
class Rules:
    """Rules in order. An operator that no rule matches is quantized."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, rules: Rules | Iterable[Rule]) -> Rules:
        """Rules from any iterable of rules.

        Raises:
            InputError: something in it is no Rule.
        """
        if isinstance(rules, Rules):
            return rules
        if not isinstance(rules, Iterable):
            raise InputError(f"rules: got {type(rules).__name__}, expected Rules or a list of Rule")
        ordered = tuple(rules)
        for i, rule in enumerate(ordered):
            if not isinstance(rule, Rule):
                raise InputError(f"rules: got {type(rule).__name__} as rule {i}, expected a Rule")
        return cls(ordered)

    @property
    def is_mixed(self) -> bool:
        """Some rule wants int16 activations."""
        return any(rule.activation_type == "int16" for rule in self.rules)

    @classmethod
    def first_and_last(cls, model: Model, weight_type: WeightType = "int8") -> Rules:
        """Rules that give the first and the last operator with weights, which suffer most from few bits, weights of a type."""
        found = [(op, graph.tensors) for graph in model.subgraphs[:1] for op in graph.operators if op.name in _WEIGHTED]
        named = [(op.name, tensors[op.outputs[0]].name) for op, tensors in (*found[:1], *found[1:][-1:])]
        return cls(tuple(Rule(True, operator, name, weight_type=weight_type) for operator, name in named))

    @classmethod
    def first_activations(cls, model: Model, count: int, activation_type: ActivationType = "int16") -> Rules:
        """Rules that give so many operators at the beginning of a model, whose rounding all others hand on, activations of a type."""
        found = [(op, graph.tensors) for graph in model.subgraphs[:1] for op in graph.operators[: max(count, 0)] if op.outputs]
        return cls(tuple(Rule(True, op.name, tensors[op.outputs[0]].name, activation_type=activation_type) for op, tensors in found))

    def __add__(self, other: Rules | Iterable[Rule]) -> Rules:
        """These rules, then others, which decide where both match."""
        return Rules((*self.rules, *Rules.of(other).rules))

    def quantizes(self, operator: Operator, tensors: list[Tensor]) -> bool:
        """Whether an operator is to be quantized.

        Args:
            operator: of the subgraph that has these tensors.
            tensors: of that subgraph.
        """
        return next((rule.quantize for rule in self._matching(operator, tensors)), True)

    def weight_type(self, operator: Operator, tensors: list[Tensor]) -> WeightType | None:
        """The type that the rules want for an operator's weights; arguments as for ``quantizes``."""
        return next((rule.weight_type for rule in self._matching(operator, tensors) if rule.weight_type is not None), None)

    def activation_type(self, operator: Operator, tensors: list[Tensor]) -> ActivationType | None:
        """The type that the rules want for what an operator reads and computes; arguments as for ``quantizes``."""
        return next((rule.activation_type for rule in self._matching(operator, tensors) if rule.activation_type is not None), None)

    def _matching(self, operator: Operator, tensors: list[Tensor]) -> Iterator[Rule]:
        """The rules about an operator, the last first."""
        names = [tensors[i].name for i in operator.outputs if i != OPTIONAL]
        return (rule for rule in reversed(self.rules) if rule.matches(operator.name, names))

    def to_json(self) -> str:
        """The rules as text: ``{"version": 1, "rules": [{"quantize": false, "operator": "SOFTMAX"}, ...]}``."""
        entries = [{name: value for name, value in asdict(rule).items() if value is not None} for rule in self.rules]
        return json.dumps({"version": _VERSION, "rules": entries}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Rules:
        """The rules that ``to_json`` wrote.

        Raises:
            InputError: the text is something else; the message says what.
        """
        try:
            document = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"rules: the text is no JSON: {error}") from error
        if not isinstance(document, dict) or document.get("version") != _VERSION or not isinstance(document.get("rules"), list):
            raise InputError(f'rules: expected a JSON object with "version": {_VERSION} and a list "rules"')
        return cls(tuple(_rule(entry, i) for i, entry in enumerate(document["rules"])))


def _rule(entry: Any, index: int) -> Rule:
    if not isinstance(entry, dict):
        raise InputError(f"rules: rule {index} is {type(entry).__name__}, expected an object")
    try:
        return Rule(**entry)
    except TypeError:
        known = ", ".join(Rule.__dataclass_fields__)
        raise InputError(f"rules: rule {index} has {', '.join(map(str, entry))}; expected quantize, and of {known} at most each") from None
    except InputError as error:
        raise InputError(f"rules: rule {index}: {error}") from error

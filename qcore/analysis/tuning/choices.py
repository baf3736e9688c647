"""What may be chosen for each operator of a model, and the rules that say what was."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from qcore.analysis.tuning.composing import graphs, weighted_operators
from qcore.errors import InputError
from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.numerics.dtypes import element_type
from qcore.quantizer import Rule, Rules
from qcore.quantizer.graph import Graph, Use
from qcore.quantizer.int16x8_specification import SPECIFICATION
from qcore.quantizer.specification import spec_of
from qcore.quantizer.weight_kernels import Activations, Case, Granularity, takes

WeightChoice = Literal["int4", "int8", "float32"]
ActivationChoice = Literal["int8", "int16"]

WIDENING: tuple[WeightChoice, ...] = ("int4", "int8", "float32")
"""Types of weights, from the narrowest; float32 computes in floating point."""


@dataclass(frozen=True)
class Weighted:
    """Weights that have a choice.

    names: of the outputs of the operators that read them; mostly there is one. operator: its type. elements: how many weights.
    narrow: activations beside which kernels read them as int4.
    """

    names: tuple[str, ...]
    operator: str
    elements: int
    narrow: frozenset[Activations]

    @property
    def name(self) -> str:
        """Of the output of the first that reads them."""
        return self.names[0]

    def bytes(self, kind: WeightChoice) -> int:
        """Of its weights in a file."""
        return -(-self.elements * element_type(kind).bits // 8)


@dataclass(frozen=True)
class Region:
    """Activations that have one type: those that operators hand on as they are count as one.

    name: of the first of them. operators: those that compute or read them, by output; all must have int16 for these to have it.
    """

    name: str
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """A type for the weights of each operator, and the regions, by number, that are int16."""

    weights: tuple[WeightChoice, ...]
    wide: frozenset[int] = frozenset()


@dataclass(frozen=True, order=True)
class Move:
    """One thing chosen otherwise: the weights of an operator, or, with "int16", a region; by number."""

    place: int
    to: WeightChoice | Literal["int16"]

    def applied(self, choice: Choice) -> Choice:
        """What becomes of a choice."""
        if self.to == "int16":
            return replace(choice, wide=choice.wide | {self.place})
        return replace(choice, weights=(*choice.weights[: self.place], self.to, *choice.weights[self.place + 1 :]))


@dataclass(frozen=True)
class Space:
    """All that may be chosen for a model.

    names: of the outputs of its operators that rules can tell apart, in order, with the operators' types.
    types: of weights, from the narrowest.
    """

    names: dict[str, str]
    weighted: tuple[Weighted, ...]
    regions: tuple[Region, ...]
    types: tuple[WeightChoice, ...]

    @classmethod
    def of(cls, model: Model, plain: Model, weights: Collection[str], activations: Collection[str]) -> Space:
        """That of a model.

        Args:
            model: the float model.
            plain: what mode "int8" makes of it.
            weights: types to choose from.
            activations: likewise.
        """
        outputs = [(_output(graph, operator), operator.name) for graph in graphs(model) for operator in graph.operators]
        counts = Counter(name for name, _ in outputs)
        names = {name: operator for name, operator in outputs if name and counts[name] == 1}
        quantized = {graph.tensors[filter].name: graph.tensors[filter] for graph, _, filter, _ in weighted_operators(plain)}
        found = []
        for graph in graphs(model):
            for number, uses in graph.consumers().items():
                tensor, readers = graph.tensors[number], tuple(_output(graph, use.operator) for use in uses)
                if tensor.is_constant and tensor.dtype == "float32" and tensor.name in quantized and all(name in names for name in readers):
                    found.append(Weighted(readers, uses[0].operator.name, math.prod(tensor.shape), _narrow(uses, quantized[tensor.name])))
        regions = _regions(model, names) if "int16" in activations else ()
        return cls(names, tuple(found), regions, tuple(kind for kind in WIDENING if kind in weights))

    @property
    def narrowest(self) -> Choice:
        """The fewest bits everywhere."""
        least = self.types[0]
        kinds: list[WeightChoice] = ["int8" if least == "int4" and "int8" not in one.narrow else least for one in self.weighted]
        return Choice(tuple(kinds))

    def throughout(self, kind: WeightChoice) -> Choice:
        """The same type for all weights, and activations of int8."""
        return Choice((kind,) * len(self.weighted))

    def moves(self, choice: Choice) -> list[Move]:
        """The next wider types that a choice leaves."""
        wider = [(place, self.types[self.types.index(kind) + 1 :]) for place, kind in enumerate(choice.weights)]
        regions = [Move(number, "int16") for number in range(len(self.regions)) if number not in choice.wide]
        return [Move(place, kinds[0]) for place, kinds in wider if kinds] + regions

    def wide_operators(self, choice: Choice) -> frozenset[str]:
        """The operators that have int16 activations, by output."""
        return frozenset(name for number in choice.wide for name in self.regions[number].operators)

    def label(self, choice: Choice, place: int) -> str:
        """The types of an operator's weights and activations as one word: "int4", "int8", "int16x4", "int16x8" or "float32"."""
        kind = self.weight_type(choice, place)
        wide = kind != "float32" and not self.wide_operators(choice).isdisjoint(self.weighted[place].names)
        return kind.replace("int", "int16x") if wide else kind

    def rules(self, choice: Choice) -> Rules:
        """The rules that make ``quantize_model`` quantize so; operators that they do not name are int8."""
        wide, places = self.wide_operators(choice), self._places
        rules = []
        for name, operator in self.names.items():
            kind = self.weight_type(choice, places[name]) if name in places else "int8"
            if kind == "float32":
                rules.append(Rule(False, operator, name))
            elif kind == "int4" or name in wide:
                narrow, wider = "int4" if kind == "int4" else None, "int16" if name in wide else None
                rules.append(Rule(True, operator, name, weight_type=narrow, activation_type=wider))  # type: ignore[arg-type]
        return Rules(tuple(rules))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, one in enumerate(self.weighted) for name in one.names}

    def weight_type(self, choice: Choice, place: int) -> WeightChoice:
        """What an operator's weights are: int8 where no kernel reads int4 beside its int16 activations."""
        kind, one = choice.weights[place], self.weighted[place]
        if kind == "int4" and "int16" not in one.narrow and not self.wide_operators(choice).isdisjoint(one.names):
            return "int8"
        return kind


def check_types(weights: Collection[str], activations: Collection[str]) -> None:
    """Refuse types that there is no choosing from.

    Raises:
        InputError: unknown ones, or "int8" is missing.
    """
    for what, given, known in (("weights", weights, WIDENING), ("activations", activations, ("int8", "int16"))):
        if not isinstance(given, Collection) or isinstance(given, str) or "int8" not in given or any(kind not in known for kind in given):
            raise InputError(f"tune: {what} is {given!r}, expected a list of 'int8' and others of {', '.join(known)}")


def _output(graph: Graph, operator: Operator) -> str:
    """What rules call an operator by: the name of its output; "" without one."""
    return next((graph.tensors[number].name for number in operator.outputs if number != OPTIONAL), "")


def _narrow(uses: Sequence[Use], codes: Tensor) -> frozenset[Activations]:
    """Activations beside which kernels read weights as int4; none where operators of different types read them, which keep int8."""
    assert codes.quantization is not None
    granularity: Granularity = "per_channel" if codes.quantization.scale.size > 1 else "per_tensor"
    kinds: tuple[Activations, ...] = ("int8", "int16")
    operator, *others = {use.operator.name for use in uses}
    return frozenset(kind for kind in kinds if not others and takes(Case(operator, "int4", granularity, kind), codes.shape))


def _regions(model: Model, names: Collection[str]) -> tuple[Region, ...]:
    """The regions of which all operators have an int16 form."""
    found = []
    for graph in graphs(model):
        touched = {operator: _activations(graph, operator) for operator in graph.operators}
        region = {tensor: tensor for tensors in touched.values() for tensor in tensors}
        for operator, tensors in touched.items():
            spec = spec_of(operator)
            if spec is not None and spec.same_scale and tensors:
                joined = {region[tensor] for tensor in tensors}
                region = {tensor: min(joined) if first in joined else first for tensor, first in region.items()}
        for first in dict.fromkeys(region.values()):
            operators = [operator for operator, tensors in touched.items() if any(region[tensor] == first for tensor in tensors)]
            outputs = tuple(_output(graph, operator) for operator in operators)
            if all(name in names for name in outputs) and all(operator.name in SPECIFICATION for operator in operators):
                found.append(Region(graph.tensors[first].name, outputs))
    return tuple(found)


def _activations(graph: Graph, operator: Operator) -> list[int]:
    """The real tensors, none of them constant, that an operator reads or computes."""
    tensors = [(number, graph.tensors[number]) for number in (*operator.inputs, *operator.outputs) if number != OPTIONAL]
    return [number for number, tensor in tensors if tensor.dtype == "float32" and not tensor.is_constant and not tensor.is_variable]

"""Which operators of two models compute the same thing, told by data flow and by names.

Converters rename tensors, add QUANTIZE and DEQUANTIZE, fuse operators and fold constants. So values are matched, not tensors: a value is
what an operator computes, and QUANTIZE and DEQUANTIZE only give it another form. Three witnesses propose pairs: the data flow followed
from the inputs, the data flow followed back from the outputs, and names. What both directions say is certain. Where the graphs differ and
only one direction gets, names go before it; where the directions contradict each other and no name settles it, values stay without a
counterpart. Nothing is guessed from where an operator stands.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from qcore.model import OPTIONAL, Subgraph
from qcore.runtime.session import REMEMBERING
from qcore.schema import default_options

CHANGES_OF_FORM = frozenset({"QUANTIZE", "DEQUANTIZE"})


class Flow:
    """A subgraph as operators and the values between them.

    Values are numbered by the tensor that holds them first. Constants, what follows from them alone, and variables are no values.

    value: by tensor number, the value that it holds. forms: by value, the tensors that hold it.
    operators: positions of those that compute values.
    producer: by value, the position of its operator. consumers: by value, positions.
    """

    def __init__(self, graph: Subgraph):
        self.graph = graph
        self.value = {i: i for i in graph.inputs}
        self.forms = {i: [i] for i in graph.inputs}
        self.operators: list[int] = []
        self.producer: dict[int, int] = {}
        self.consumers: dict[int, list[int]] = defaultdict(list)
        constants = {i for i, tensor in enumerate(graph.tensors) if tensor.is_constant} | {OPTIONAL}
        for position, operator in enumerate(graph.operators):
            if operator.inputs and constants.issuperset(operator.inputs) and operator.name not in REMEMBERING:
                constants.update(operator.outputs)
            elif (
                operator.name in CHANGES_OF_FORM and len(operator.inputs) == len(operator.outputs) == 1 and operator.inputs[0] in self.value
            ):
                self.value[operator.outputs[0]] = self.value[operator.inputs[0]]
                self.forms[self.value[operator.inputs[0]]].append(operator.outputs[0])
            elif operator.outputs:
                self.operators.append(position)
                self.value.update((o, o) for o in operator.outputs)
                self.forms.update((o, [o]) for o in operator.outputs)
                self.producer.update(dict.fromkeys(operator.outputs, position))
                for value in dict.fromkeys(self.inputs(position).values()):
                    self.consumers[value].append(position)

    def inputs(self, position: int) -> dict[int, int]:
        """The values that an operator takes, by place among its inputs."""
        return {slot: self.value[i] for slot, i in enumerate(self.graph.operators[position].inputs) if i in self.value}

    def outputs(self, position: int) -> list[int]:
        """The values that an operator gives."""
        return self.graph.operators[position].outputs

    def shape(self, value: int) -> tuple[int, ...]:
        """A value's shape, as the file says."""
        return self.graph.tensors[value].shape

    def kind(self, position: int) -> tuple[Any, ...]:
        """What must be equal for two operators to be the same: name, fused activation, shapes of the outputs."""
        operator = self.graph.operators[position]
        options = operator.options or default_options(operator.code.name)
        activation = options.fields.get("fused_activation_function", "NONE") if options else "NONE"
        return operator.name, activation, *map(self.shape, operator.outputs)

    def names(self) -> dict[str, int]:
        """Values by the names of their tensors, where a name is one value's alone.

        Exporters append a number to a name that the file has already. The number says nothing, so names go without it.
        """
        taken = {tensor.name for tensor in self.graph.tensors}
        found: dict[str, set[int]] = defaultdict(set)
        for tensor, value in self.value.items():
            found[unnumbered(self.graph.tensors[tensor].name, taken)].add(value)
        return {name: values.pop() for name, values in found.items() if len(values) == 1}


def unnumbered(name: str, taken: set[str]) -> str:
    """The name without the digits that made it differ from one that was taken."""
    digits = len(name) - len(name.rstrip("0123456789"))
    return next((name[:-n] for n in range(digits, 0, -1) if name[:-n] in taken), name)


@dataclass
class Pairs:
    """Values of two flows that correspond: by value of one the other's, both ways."""

    a: Flow
    b: Flow
    of_a: dict[int, int] = field(default_factory=dict)
    of_b: dict[int, int] = field(default_factory=dict)

    def add(self, x: int, y: int) -> bool:
        """Take up a pair of equal shape, unless one of them has a counterpart already; whether it was taken up."""
        free = x not in self.of_a and y not in self.of_b and self.a.shape(x) == self.b.shape(y)
        if free:
            self.of_a[x], self.of_b[y] = y, x
        return free


Neighbours = Callable[[Pairs, int, int], Iterable[tuple[int, int]]]


def match(a: Flow, b: Flow, inputs: Iterable[tuple[int, int]], outputs: Iterable[tuple[int, int]]) -> Pairs:
    """Values of a and b that correspond.

    Args:
        a: one graph.
        b: the other.
        inputs: tensors that correspond, of a and b.
        outputs: likewise.
    """

    def values(ends: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(a.value[x], b.value[y]) for x, y in ends if x in a.value and y in b.value]

    forward, backward = Pairs(a, b), Pairs(a, b)
    grow(forward, values(inputs), [ahead])
    grow(backward, [(x, y) for x, y in values(outputs) if alike(a, b, x, y)], [behind])
    proposed = [*forward.of_a.items(), *backward.of_a.items()]
    contested_a = repeated(x for x, _ in set(proposed))
    contested_b = repeated(y for _, y in set(proposed))
    certain = forward.of_a.items() & backward.of_a.items()
    uncontested = [(x, y) for x, y in proposed if x not in contested_a and y not in contested_b]
    names_a, names_b = a.names(), b.names()
    by_name = [(x, names_b[name]) for name, x in names_a.items() if name in names_b]

    pairs = Pairs(a, b)
    for x, y in (*sorted(certain), *by_name, *uncontested):
        pairs.add(x, y)
    grow(pairs, list(pairs.of_a.items()), [ahead, behind], contested_a, contested_b)
    return pairs


def repeated(values: Iterable[int]) -> set[int]:
    """Those that come more than once."""
    return {value for value, count in Counter(values).items() if count > 1}


def grow(
    pairs: Pairs, seeds: list[tuple[int, int]], growers: list[Neighbours], not_a: Iterable[int] = (), not_b: Iterable[int] = ()
) -> None:
    """Add the seeds and all that follows from them, apart from the values that are ruled out; the first counterpart found stays."""
    for x, y in seeds:
        pairs.add(x, y)
    queue = deque(seeds)
    while queue:
        x, y = queue.popleft()
        for neighbours in growers:
            for near, far in list(neighbours(pairs, x, y)):
                if near not in not_a and far not in not_b and pairs.add(near, far):
                    queue.append((near, far))


def ahead(pairs: Pairs, x: int, y: int) -> Iterator[tuple[int, int]]:
    """Outputs of operators that take a pair, where just one operator of each graph is of its kind and takes the same values."""
    a, b = pairs.a, pairs.b
    ready_a, ready_b = defaultdict(list), defaultdict(list)
    for p in a.consumers[x]:
        inputs = {slot: pairs.of_a.get(value) for slot, value in a.inputs(p).items()}
        if None not in inputs.values() and pairs.of_a.keys().isdisjoint(a.outputs(p)):
            ready_a[a.kind(p), *inputs.items()].append(p)
    for q in b.consumers[y]:
        if pairs.of_b.keys().isdisjoint(b.outputs(q)):
            ready_b[b.kind(q), *b.inputs(q).items()].append(q)
    for key, positions in ready_a.items():
        if len(positions) == len(ready_b[key]) == 1:
            yield from zip(a.outputs(positions[0]), b.outputs(ready_b[key][0]), strict=True)


def behind(pairs: Pairs, x: int, y: int) -> Iterator[tuple[int, int]]:
    """Outputs of the operators that compute a pair, and inputs, where operators of one kind compute them too."""
    a, b = pairs.a, pairs.b
    if alike(a, b, x, y):
        p, q = a.producer[x], b.producer[y]
        yield from zip(a.outputs(p), b.outputs(q), strict=True)
        yield from ((near, far) for near, far in zip(a.inputs(p).values(), b.inputs(q).values(), strict=True) if alike(a, b, near, far))


def alike(a: Flow, b: Flow, x: int, y: int) -> bool:
    """Operators of one kind, which take as many values at the same places, compute these values, as the same one of their outputs."""
    p, q = a.producer.get(x), b.producer.get(y)
    if p is None or q is None or a.kind(p) != b.kind(q) or a.inputs(p).keys() != b.inputs(q).keys():
        return False
    return a.outputs(p).index(x) == b.outputs(q).index(y)

"""Operators and tensors of two subgraphs that correspond."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from qcore.analysis.matching import Flow, match
from qcore.analysis.sides import Ends, correspond, entry
from qcore.model import OPTIONAL, Model, Subgraph
from qcore.shown import short_name


class Matched:
    """What corresponds in the subgraphs of a number of two models.

    operators: positions, the first model's to the second's. tensors: numbers, likewise; of those that operators share, and of inputs and
    outputs.
    """

    def __init__(self, a: Model, b: Model, number: int):
        self.number = number
        self.graphs = a.subgraphs[number], b.subgraphs[number]
        self.flows = Flow(self.graphs[0]), Flow(self.graphs[1])
        inputs, outputs = (ends(what, a, b, number) for what in ("inputs", "outputs"))
        self.pairs = match(*self.flows, inputs, outputs)
        self.tensors: dict[int, int] = {**dict(self._forms()), **dict(inputs)}
        self.operators = self._matching_operators()
        for p, q in self.operators.items():
            x, y = self.graphs[0].operators[p], self.graphs[1].operators[q]
            for i, j in (*zip(x.outputs, y.outputs, strict=False), *zip(x.inputs, y.inputs, strict=False)):
                if OPTIONAL not in (i, j) and self.correspond(i, j):
                    self.tensors.setdefault(i, j)

    def correspond(self, i: int, j: int) -> bool:
        """Tensors stand for the same: values that were matched, or neither is one, as constants are not."""
        x, y = self.flows[0].value.get(i), self.flows[1].value.get(j)
        return self.pairs.of_a.get(x) == y if x is not None and y is not None else x is y

    def constants(self) -> list[tuple[int, int]]:
        """Constants that correspond; those that are stored in another form and made whole by an operator count as what is stored."""
        a, b = self.graphs
        stored = sources(a), sources(b)
        found = ((stored[0].get(i, i), stored[1].get(j, j)) for i, j in self.tensors.items())
        return [(i, j) for i, j in dict.fromkeys(found) if a.tensors[i].is_constant and b.tensors[j].is_constant]

    def _forms(self) -> Iterator[tuple[int, int]]:
        """Tensors of one type that hold matched values."""
        a, b = self.graphs
        for x, y in self.pairs.of_a.items():
            left = list(self.flows[1].forms[y])
            for i in self.flows[0].forms[x]:
                j = next((j for j in left if b.tensors[j].dtype == a.tensors[i].dtype), None)
                if j is not None:
                    left.remove(j)
                    yield i, j

    def _matching_operators(self) -> dict[int, int]:
        """By data flow; what that leaves over, by name and the name of the first output, or by what reads the constants that it makes.

        What is then left of both is matched in order, if it is the same operators.
        """
        a, b = self.graphs
        producers = [{o: p for p, operator in enumerate(graph.operators) for o in operator.outputs} for graph in self.graphs]
        found: dict[int, int] = {}
        taken = set[int]()

        def add(p: int, q: int) -> bool:
            free = p not in found and q not in taken and a.operators[p].name == b.operators[q].name
            if free:
                found[p] = q
                taken.add(q)
            return free

        def makers(tensors: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
            return [(producers[0][i], producers[1][j]) for i, j in tensors if i in producers[0] and j in producers[1]]

        for p, q in makers(self.pairs.of_a.items()):
            if p not in found and q not in taken:  # whatever their names are: a tensor's name may have matched them
                found[p] = q
                taken.add(q)
        for p, q in makers(self.tensors.items()):
            add(p, q)
        keys = [[(op.name, g.tensors[op.outputs[0]].name) if op.outputs else None for op in g.operators] for g in self.graphs]
        counts = [Counter(side) for side in keys]
        place = {key: q for q, key in enumerate(keys[1])}
        for p, key in enumerate(keys[0]):
            if key is not None and counts[0][key] == counts[1][key] == 1:
                add(p, place[key])
        pending = list(found.items())
        while pending:
            p, q = pending.pop()
            read = zip(a.operators[p].inputs, b.operators[q].inputs, strict=False)
            pending += [pair for pair in makers((i, j) for i, j in read if self.correspond(i, j)) if add(*pair)]
        left = [p for p in range(len(a.operators)) if p not in found], [q for q in range(len(b.operators)) if q not in taken]
        if [a.operators[p].name for p in left[0]] == [b.operators[q].name for q in left[1]]:
            found |= zip(*left, strict=True)
        return dict(sorted(found.items()))

    def name(self, side: int, position: int) -> str:
        """An operator as messages name it."""
        graph = self.graphs[side]
        operator = graph.operators[position]
        output = next((f", output '{short_name(graph.tensors[o].name)}'" for o in operator.outputs if o != OPTIONAL), "")
        return f"{operator.name} (op {position}{output})" + (f" of subgraph {self.number}" if self.number else "")

    def only_a(self) -> list[str]:
        """Operators of the first model without a counterpart."""
        return [self.name(0, p) for p in range(len(self.graphs[0].operators)) if p not in self.operators]

    def only_b(self) -> list[str]:
        """Operators of the second model without a counterpart."""
        taken = set(self.operators.values())
        return [self.name(1, q) for q in range(len(self.graphs[1].operators)) if q not in taken]


STORED = frozenset({"DEQUANTIZE", "DENSIFY"})
"""Operators that make a constant of one that is stored in another form."""


def sources(graph: Subgraph) -> dict[int, int]:
    """Constants by the tensors that are made of them."""
    made = (operator for operator in graph.operators if operator.name in STORED and operator.inputs and operator.outputs)
    return {op.outputs[0]: op.inputs[0] for op in made if op.inputs[0] != OPTIONAL and graph.tensors[op.inputs[0]].is_constant}


def ends(what: str, a: Model, b: Model, number: int) -> Ends:
    """Inputs or outputs that correspond; none where the models have not as many."""
    graphs = a.subgraphs[number], b.subgraphs[number]
    named = [getattr(entry(model, None)[1], what) if number == 0 else [] for model in (a, b)]
    indices: list[Sequence[int]] = [getattr(graph, what) for graph in graphs]
    if len(indices[0]) != len(indices[1]):
        return []
    return correspond(what, (graphs[0], indices[0], named[0]), (graphs[1], indices[1], named[1]))

"""The two models of a comparison: what they take and give that corresponds, and each at work on a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qcore.analysis.matching import Flow
from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.model import OPTIONAL, Model, Signature, Subgraph
from qcore.numerics.affine import dequantize
from qcore.runtime.executor import Executor
from qcore.runtime.plan import Settings, run_step
from qcore.runtime.real_values import parameters, to_elements
from qcore.runtime.session import Session, has_state

CALLING = frozenset({"IF", "WHILE", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE"})
"""Operators that run subgraphs and give what these give."""
WITHOUT_REAL_VALUES = frozenset({"string", "resource", "variant", "complex64", "complex128"})

Ends = list[tuple[int, int]]
"""Inputs or outputs that correspond, by tensor numbers of the first and the second model."""


class Side:
    """One of the models, and the values of all its tensors on the present sample.

    settings: they must preserve all tensors.
    """

    def __init__(self, model: Model, subgraph: int, settings: Settings):
        self.session = Session(model, settings)
        self.subgraph = subgraph
        self.graph = model.subgraphs[subgraph]
        self.flow = Flow(self.graph)
        self.stateless = not has_state(model)

    @property
    def executor(self) -> Executor:
        """Of the subgraph that is compared."""
        return self.session.executor(self.subgraph)

    def run(self, inputs: Mapping[int, Array]) -> None:
        """Run the model from a clean state on elements by input."""
        self.session.restart()
        self.session.call(self.subgraph, [inputs[i] for i in self.graph.inputs])

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape of a tensor's present value."""
        return self.executor.values[tensor].shape

    def real(self, tensor: int) -> Array:
        """The real values of a tensor; not a copy where it holds them itself."""
        return self.to_real(tensor, self.executor.values[tensor])

    def to_real(self, tensor: int, elements: Array) -> Array:
        """The real values of elements of a tensor."""
        params = parameters(self.graph.tensors[tensor])
        return elements if params is None else dequantize(elements, params)

    def alone(self, position: int, real: Mapping[int, Array]) -> list[Array]:
        """The real values of an operator's outputs, run apart from the model.

        Args:
            position: the operator.
            real: real values of its inputs by tensor number; they are quantized as the tensors are. Inputs left out have their present
                value, variables their initial one.
        """
        executor, operator = self.executor, self.graph.operators[position]
        plan = executor.allocated()
        planned = next((p for p in plan.operators if p.operator is operator), None)
        if planned is None:
            # Its outputs follow from shapes and constants, and were computed with the plan.
            return [self.real(o) for o in operator.outputs]
        values = {i: executor.values[i] for i in operator.inputs if i != OPTIONAL}
        values.update({i: executor.fresh_variable(self.graph.tensors[i]) for i in values if self.graph.tensors[i].is_variable})
        values.update({i: to_elements(self.graph.tensors[i], array) for i, array in real.items()})
        step = planned.step or executor.planner.prepare_late(planned, values, plan.constants)
        results = run_step(planned, step, [None if i == OPTIONAL else values[i] for i in operator.inputs])
        return [self.to_real(o, result) for o, result in zip(operator.outputs, results, strict=False)]

    def is_function(self, position: int) -> bool:
        """The operator's outputs follow from its inputs, or from these and variables of its own."""
        operator = self.graph.operators[position]
        pure = self.executor.planner.look_up(position, operator).definition.pure
        return pure or (operator.code.name in CALLING and self.stateless)

    def remark(self, position: int) -> str:
        """What to know of an operator that is more than a function of its inputs."""
        operator = self.graph.operators[position]
        if operator.code.name in CALLING:
            return "compared as a whole: the subgraphs that it runs are not looked into"
        has_state = any(i != OPTIONAL and self.graph.tensors[i].is_variable for i in operator.inputs)
        return "its state starts anew with each sample" if has_state else ""

    def has_real_values(self, tensor: int) -> bool:
        """The tensor's elements are real numbers, or stand for such."""
        return self.graph.tensors[tensor].dtype not in WITHOUT_REAL_VALUES

    def scale(self, tensor: int) -> float | None:
        """A tensor's scale, where it has just one."""
        params = parameters(self.graph.tensors[tensor])
        return float(params.scale[0]) if params is not None and params.scale.size == 1 else None

    def name(self, position: int) -> str:
        """An operator as messages name it."""
        operator = self.graph.operators[position]
        output = "".join(f", output '{self.graph.tensors[o].name}'" for o in operator.outputs[:1])
        return f"{operator.name} (op {position}{output})"


def corresponding(a: Model, b: Model, signature: str | None, what: str = "compare") -> tuple[tuple[int, int], Ends, Ends]:
    """The subgraphs of two models that a signature enters, or their first ones; their inputs and outputs that correspond.

    They correspond by the names in signatures, else by tensors' names, else in order. what: asks for it, for messages.

    Raises:
        InputError: a model has no such signature, or not as many inputs or outputs as the other, or other shapes of inputs.
    """
    (subgraph_a, entry_a), (subgraph_b, entry_b) = entry(a, signature, what), entry(b, signature, what)
    graph_a, graph_b = a.subgraphs[subgraph_a], b.subgraphs[subgraph_b]
    inputs = correspond("inputs", (graph_a, graph_a.inputs, entry_a.inputs), (graph_b, graph_b.inputs, entry_b.inputs), what)
    outputs = correspond("outputs", (graph_a, graph_a.outputs, entry_a.outputs), (graph_b, graph_b.outputs, entry_b.outputs), what)
    for i, j in inputs:
        x, y = graph_a.tensors[i], graph_b.tensors[j]
        shapes = [list(t.shape if t.shape_signature is None else t.shape_signature) for t in (x, y)]
        if len(shapes[0]) != len(shapes[1]) or any(m != n and -1 not in (m, n) for m, n in zip(*shapes, strict=True)):
            raise InputError(f"{what}: input '{x.name}' of the first model is {shapes[0]}, '{y.name}' of the second {shapes[1]}")
    return (subgraph_a, subgraph_b), inputs, outputs


def entry(model: Model, signature: str | None, what: str = "compare") -> tuple[int, Signature]:
    """The subgraph of a signature and the signature; without one, the first subgraph and what signature there is for it.

    Raises:
        InputError: there is no such signature; what: asks for it, for the message.
    """
    for s in model.signatures or []:
        if s.key == signature or (signature is None and s.subgraph_index == 0):
            return s.subgraph_index, s
    if signature is not None:
        raise InputError(f"{what}: no signature {signature!r}, one model has {sorted(s.key for s in model.signatures or [])}")
    return 0, Signature("", [], [])


def correspond(
    ends: str,
    a: tuple[Subgraph, Sequence[int], list[tuple[str, int]]],
    b: tuple[Subgraph, Sequence[int], list[tuple[str, int]]],
    what: str = "compare",
) -> Ends:
    """Pair inputs or outputs, each given as subgraph, tensors in order, and their names in a signature. In messages: ends, what."""

    def by_name(named: list[tuple[str, int]], indices: Sequence[int]) -> dict[str, int]:
        return dict(named) if len({n for n, _ in named}) == len(indices) and {i for _, i in named} == set(indices) else {}

    def tensor_names(graph: Subgraph, indices: Sequence[int]) -> list[tuple[str, int]]:
        return [(graph.tensors[i].name, i) for i in indices]

    (graph_a, in_a, named_a), (graph_b, in_b, named_b) = a, b
    for names_a, names_b in ((named_a, named_b), (tensor_names(graph_a, in_a), tensor_names(graph_b, in_b))):
        found_a, found_b = by_name(names_a, in_a), by_name(names_b, in_b)
        if found_a and found_a.keys() == found_b.keys():
            order = {i: place for place, i in enumerate(in_a)}
            return sorted(((i, found_b[name]) for name, i in found_a.items()), key=lambda pair: order[pair[0]])
    if len(in_a) != len(in_b):
        raise InputError(f"{what}: the first model has {len(in_a)} {ends}, the second {len(in_b)}")
    return list(zip(in_a, in_b, strict=True))

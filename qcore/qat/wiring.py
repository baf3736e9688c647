"""Who computes and who reads each tensor of a graph, kept up to date while operators change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qcore.model import OPTIONAL, Operator
from qcore.quantizer.graph import Graph


class Wiring:
    """A graph that is edited operator by operator.

    producers: the operator that computes each tensor.
    readers: the operators that read each tensor, once for each of their inputs that it is.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers = graph.producers()
        self.readers = {tensor: [use.operator for use in uses] for tensor, uses in graph.consumers().items()}

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's shape."""
        return self.graph.tensors[tensor].shape

    def is_output(self, tensor: int) -> bool:
        """The graph gives the tensor away."""
        return tensor in self.graph.subgraph.outputs

    def is_read(self, tensor: int) -> bool:
        """An operator reads the tensor, or the graph gives it away."""
        return bool(self.readers.get(tensor)) or self.is_output(tensor)

    def is_private(self, tensor: int) -> bool:
        """One operator reads the tensor, once, and the graph does not give it away."""
        return len(self.readers.get(tensor, ())) == 1 and not self.is_output(tensor)

    def set_inputs(self, operator: Operator, inputs: Sequence[int]) -> None:
        """Makes an operator read these tensors."""
        for tensor in operator.inputs:
            if tensor != OPTIONAL:
                self.readers[tensor].remove(operator)
        operator.inputs = list(inputs)
        for tensor in operator.inputs:
            if tensor != OPTIONAL:
                self.readers.setdefault(tensor, []).append(operator)

    def set_input(self, operator: Operator, slot: int, tensor: int) -> None:
        """Makes an operator read another tensor; inputs in between that it did not have are left out."""
        inputs = [*operator.inputs, *[OPTIONAL] * (slot + 1 - len(operator.inputs))]
        inputs[slot] = tensor
        self.set_inputs(operator, inputs)

    def set_outputs(self, operator: Operator, outputs: Sequence[int]) -> None:
        """Makes an operator compute these tensors, whatever computed them before."""
        for tensor in operator.outputs:
            if self.producers.get(tensor) is operator:
                del self.producers[tensor]
        operator.outputs = list(outputs)
        self.producers |= dict.fromkeys(outputs, operator)

    def add(self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> Operator:
        """Adds an operator; ``Graph.sort`` finds its place."""
        operator = self.graph.add_operator(name, [], [], **options)
        self.set_inputs(operator, inputs)
        self.set_outputs(operator, outputs)
        return operator

    def remove(self, operator: Operator) -> None:
        """Removes an operator. What it computed is no tensor any more, unless another operator has come to compute it."""
        self.set_inputs(operator, [])
        self.set_outputs(operator, [])
        self.graph.operators.remove(operator)

    def replace(self, old: int, new: int) -> None:
        """Makes whatever reads a tensor read another; the graph gives that away, where an operator computes it."""
        for operator in list(dict.fromkeys(self.readers.get(old, ()))):
            self.set_inputs(operator, [new if tensor == old else tensor for tensor in operator.inputs])
        if self.is_output(old) and new in self.producers:
            self.graph.replace_output(old, new)

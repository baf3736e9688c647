"""A model at run time: its subgraphs' executors, and the resources that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from qcore.errors import InputError, ModelError
from qcore.kernels.opdef import Array, Operand
from qcore.model import Model, Subgraph
from qcore.runtime.executor import Executor
from qcore.runtime.plan import Settings

REMEMBERING = frozenset({"VAR_HANDLE", "HASHTABLE", "RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"})
"""Operators that carry something from one invoke to the next, apart from variable tensors."""


def has_state(model: Model) -> bool:
    """The model carries something from one invoke to the next."""
    return any(
        any(tensor.is_variable for tensor in graph.tensors) or any(operator.code.name in REMEMBERING for operator in graph.operators)
        for graph in model.subgraphs
    )


class Session:
    """Makes executors as they are needed, and lets operators call subgraphs; see ``qcore.kernels.opdef.Session``.

    observer: takes a subgraph's number and the values that have just come to be in it; see ``Executor``.
    """

    def __init__(self, model: Model, settings: Settings, observer: Callable[[int, Mapping[int, Array]], None] | None = None):
        self.model = model
        self.settings = settings
        self.observer = observer
        self.loop_limit = settings.loop_limit
        self.resources: dict[Any, Any] = {}
        self._executors: dict[int, Executor] = {}
        self._running: list[int] = []
        self._remembers = any(op.code.name in REMEMBERING for graph in model.subgraphs for op in graph.operators)

    def executor(self, subgraph: int = 0) -> Executor:
        """The executor of a subgraph.

        Raises:
            InputError: there is no such subgraph.
        """
        if not 0 <= subgraph < len(self.model.subgraphs):
            raise InputError(f"subgraph {subgraph}: the model has {len(self.model.subgraphs)} subgraphs")
        if subgraph not in self._executors:
            observer = None if self.observer is None else partial(self.observer, subgraph)
            self._executors[subgraph] = Executor(self.model.subgraphs[subgraph], self.settings, self, observer)
        return self._executors[subgraph]

    def reset_variables(self) -> None:
        """Set every variable tensor back to real zero."""
        for executor in self._executors.values():
            executor.reset_variables()

    def restart(self) -> None:
        """Forget whatever was kept from one call to the next: variables, resources, the state of random generators."""
        if self._remembers:
            self._executors.clear()
            self.resources.clear()
        self.reset_variables()

    def signature(self, subgraph: int) -> tuple[tuple[Operand, ...], tuple[Operand, ...]]:
        """Inputs and outputs of a subgraph as the file declares them.

        Raises:
            ModelError: there is no such subgraph.
        """
        graph = self._called(subgraph)

        def operands(indices: list[int]) -> tuple[Operand, ...]:
            tensors = (graph.tensors[i] for i in indices)
            return tuple(Operand(t.name, t.dtype, t.shape, t.quantization) for t in tensors)

        return operands(graph.inputs), operands(graph.outputs)

    def operators(self, subgraph: int) -> tuple[str, ...]:
        """Schema names of a subgraph's operators, "CUSTOM" for custom ones.

        Raises:
            ModelError: there is no such subgraph.
        """
        return tuple(operator.code.name for operator in self._called(subgraph).operators)

    def _called(self, subgraph: int) -> Subgraph:
        """The subgraph of a number that an operator holds."""
        if not 0 <= subgraph < len(self.model.subgraphs):
            raise ModelError(f"calls subgraph {subgraph}, the model has {len(self.model.subgraphs)} subgraphs")
        return self.model.subgraphs[subgraph]

    def call(self, subgraph: int, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Run a subgraph on these inputs; its outputs, as arrays of their own.

        Raises:
            ModelError: the subgraph is running already: a graph that calls itself would never end.
            QCoreError: it cannot run on these inputs.
        """
        if subgraph in self._running:
            raise ModelError(f"subgraph {subgraph} calls itself, by way of {self._running}")
        executor = self.executor(subgraph)
        self._running.append(subgraph)
        try:
            for index, array in zip(executor.graph.inputs, inputs, strict=True):
                executor.resize(index, array.shape)
            executor.allocate()
            for index, array in zip(executor.graph.inputs, inputs, strict=True):
                executor.write(index, array)
            executor.invoke()
            return tuple(executor.read(index).copy() for index in executor.graph.outputs)
        finally:
            self._running.pop()

"""A model at run time: its subgraphs' executors, and the resources that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qcore.errors import InputError, ModelError
from qcore.kernels.opdef import Array, Operand
from qcore.model import Model
from qcore.runtime.executor import Executor
from qcore.runtime.plan import Settings


class Session:
    """Makes executors as they are needed, and lets operators call subgraphs; see ``qcore.kernels.opdef.Session``."""

    def __init__(self, model: Model, settings: Settings):
        self.model = model
        self.settings = settings
        self.loop_limit = settings.loop_limit
        self.resources: dict[Any, Any] = {}
        self._executors: dict[int, Executor] = {}
        self._running: list[int] = []

    def executor(self, subgraph: int = 0) -> Executor:
        """The executor of a subgraph.

        Raises:
            InputError: there is no such subgraph.
        """
        if not 0 <= subgraph < len(self.model.subgraphs):
            raise InputError(f"subgraph {subgraph}: the model has {len(self.model.subgraphs)} subgraphs")
        if subgraph not in self._executors:
            self._executors[subgraph] = Executor(self.model.subgraphs[subgraph], self.settings, self)
        return self._executors[subgraph]

    def reset_variables(self) -> None:
        """Set every variable tensor back to real zero."""
        for executor in self._executors.values():
            executor.reset_variables()

    def signature(self, subgraph: int) -> tuple[tuple[Operand, ...], tuple[Operand, ...]]:
        """Inputs and outputs of a subgraph as the file declares them.

        Raises:
            ModelError: there is no such subgraph.
        """
        if not 0 <= subgraph < len(self.model.subgraphs):
            raise ModelError(f"calls subgraph {subgraph}, the model has {len(self.model.subgraphs)} subgraphs")
        graph = self.model.subgraphs[subgraph]

        def operands(indices: list[int]) -> tuple[Operand, ...]:
            tensors = (graph.tensors[i] for i in indices)
            return tuple(Operand(t.name, t.dtype, t.shape, t.quantization) for t in tensors)

        return operands(graph.inputs), operands(graph.outputs)

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

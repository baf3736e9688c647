"""Every tensor of a run, by name: codes and the real values that they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qcore.analysis.sides import Side
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic, Array, Step
from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.runtime.interpreter import Interpreter
from qcore.runtime.plan import Engine, Settings, require_arithmetic
from qcore.runtime.real_values import parameters, to_real
from qcore.schema import load


@dataclass(frozen=True, eq=False)
class Traced:
    """A tensor's value in one run.

    index, tensor: its number in the subgraph, and what the file says of it.
    elements: what it holds: codes where it is quantized.
    producer: position of the operator that made it; None for inputs and constants.
    """

    index: int
    tensor: Tensor
    elements: Array
    producer: int | None

    @property
    def name(self) -> str:
        """In the file."""
        return self.tensor.name

    @property
    def real(self) -> Array:
        """What the codes stand for; the elements themselves where the tensor is not quantized."""
        return to_real(self.tensor, self.elements)

    @property
    def quantized(self) -> bool:
        """Its elements are codes."""
        return parameters(self.tensor) is not None


class Trace(Mapping[str, Traced]):
    """One run of a model's first subgraph: its tensors by name, or by number with ``at``. Names that repeat give the last tensor.

    arithmetic: of the run.
    """

    def __init__(self, model: Model, arithmetic: Arithmetic, side: Side):
        self.model, self.arithmetic, self._side = model, arithmetic, side
        graph = side.graph
        producer = {o: position for position, operator in enumerate(graph.operators) for o in operator.outputs}
        values = side.executor.values
        self._tensors = {i: Traced(i, graph.tensors[i], values[i].copy(), producer.get(i)) for i in sorted(values)}
        self._by_name = {traced.name: traced for traced in self._tensors.values()}

    def __getitem__(self, name: str) -> Traced:
        if name not in self._by_name:
            raise KeyError(name)
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def at(self, index: int) -> Traced:
        """The tensor of that number.

        Raises:
            InputError: it has no value: there is none, or no operator computes or uses it.
        """
        if index not in self._tensors:
            raise InputError(f"trace: tensor {index} has no value in this run")
        return self._tensors[index]

    @property
    def operators(self) -> list[Operator]:
        """Of the subgraph, in the order they run."""
        return self._side.graph.operators

    def operator(self, position: int) -> Operator:
        """The operator at that position.

        Raises:
            InputError: there is none.
        """
        if not 0 <= position < len(self.operators):
            raise InputError(f"operator {position}: the model has {len(self.operators)} operators")
        return self.operators[position]

    def step(self, position: int) -> Step | None:
        """How an operator was prepared, its kernel and ``Params``; None where it was computed from constants with the plan.

        Raises:
            InputError: there is no such operator.
        """
        operator, plan = self.operator(position), self._side.executor.allocated()
        planned = next((p for p in plan.operators if p.operator is operator), None)
        if planned is None:
            return None
        return planned.step or self._side.executor.planner.prepare_late(planned, self._side.executor.values, plan.constants)

    def inputs(self, position: int) -> list[Array | None]:
        """Elements of an operator's inputs as it found them; None for one that is left out. Variables have their last value."""
        return [None if i == OPTIONAL else self.at(i).elements for i in self.operator(position).inputs]

    def name(self, position: int) -> str:
        """An operator as messages name it."""
        self.operator(position)
        return self._side.name(position)


def trace(
    model: Model | str | bytes, *inputs: Any, arithmetic: Arithmetic = "reference", engine: Engine = "reference", **named: Any
) -> Trace:
    """Run a model once and keep every tensor.

    Args:
        model: a Model, path or content.
        inputs: as ``Interpreter.run`` takes them: float arrays are real values, others a tensor's own elements.
        arithmetic: whose integers.
        engine: what runs it; no bit of an integer depends on it.
        named: inputs by name.

    Raises:
        InputError: inputs are missing, unknown, or do not fit.
        QCoreError: the model cannot run on them.
    """
    require_arithmetic("trace", arithmetic)
    loaded = model if isinstance(model, Model) else load(model)
    elements = Interpreter(model_content=loaded).elements(*inputs, **named)
    side = Side(loaded, 0, Settings(arithmetic, preserve_all_tensors=True, engine=engine))
    side.run(elements)
    return Trace(loaded, arithmetic, side)

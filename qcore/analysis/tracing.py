"""Every tensor of a run, by name: codes and the real values that they stand for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import RenderableType

from qcore.analysis.given import elements_of, terminal_names
from qcore.analysis.sides import Side, entry
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic, Array, Node, Step
from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.runtime.plan import Engine, Planner, Settings, require_arithmetic, run_step
from qcore.runtime.real_values import parameters, to_real
from qcore.schema import load
from qcore.shown import Shown, dimensions, short_name, table


@dataclass(frozen=True, eq=False)
class Traced:
    """A tensor's value in one run.

    index, tensor: its number in the subgraph, and what the file says of it.
    elements: what it holds: codes where it is quantized.
    producer: position of the operator that made it, operator: its name; None for inputs and constants.
    """

    index: int
    tensor: Tensor
    elements: Array
    producer: int | None
    operator: str | None

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

    def as_dict(self) -> dict[str, Any]:
        """What a program wants to know of it, but for its elements."""
        q = self.tensor.quantization
        return {
            "index": self.index,
            "name": self.name,
            "dtype": self.tensor.dtype,
            "shape": list(self.elements.shape),
            "producer": None if self.producer is None else f"{self.operator} (op {self.producer})",
            "scale": [] if q is None else q.scale.tolist(),
            "zero_point": [] if q is None else q.zero_point.tolist(),
            "quantized_dimension": 0 if q is None else q.quantized_dimension,
        }

    def row(self) -> tuple[object, ...]:
        """A line of a table: name, type, shape, range of codes; least, greatest and mean of the real values."""
        real = self.real
        codes = f"{self.elements.min()}..{self.elements.max()}" if self.quantized and real.size else ""
        numbers = real.astype(np.float64) if real.size and real.dtype.kind in "fiub" else None
        ends = ("", "", "") if numbers is None else (f"{n:.6g}" for n in (numbers.min(), numbers.max(), numbers.mean()))
        return short_name(self.name), self.tensor.dtype, dimensions(real.shape), codes, *ends


class Trace(Shown, Mapping[str, Traced]):
    """One run of a subgraph: its tensors by name, or by number with ``at``. Names that repeat give the last tensor.

    arithmetic: of the run.
    """

    def __init__(self, model: Model, arithmetic: Arithmetic, side: Side):
        self.model, self.arithmetic, self._side = model, arithmetic, side
        graph = side.graph
        producer = {o: (position, operator.name) for position, operator in enumerate(graph.operators) for o in operator.outputs}
        values = side.executor.values
        self._tensors = {i: Traced(i, graph.tensors[i], values[i].copy(), *producer.get(i, (None, None))) for i in sorted(values)}
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

    def is_constant(self, index: int) -> bool:
        """The tensor has one value in every run: the file's, or what was computed from constants with the plan."""
        return index in self._side.executor.allocated().constants

    @property
    def tensors(self) -> list[Traced]:
        """Those that hold a value, by number."""
        return list(self._tensors.values())

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

    def alone(self, position: int, arithmetic: Arithmetic) -> tuple[Node, Step, tuple[Array, ...]]:
        """An operator by itself, on the inputs that it found, in any arithmetic: as it is prepared, and its outputs.

        Raises:
            InputError: there is no such operator.
        """
        executor, operator = self._side.executor, self.operator(position)
        constants = executor.allocated().constants
        planner = Planner(executor.graph, replace(executor.settings, arithmetic=arithmetic), executor.planner.session)
        planned = planner.look_up(position, operator)
        step = planner.prepare_late(planned, executor.values, constants)
        node = planner.node(planned, {i: executor.values[i].shape for i in operator.inputs if i != OPTIONAL}, constants)
        return node, step, run_step(planned, step, self.inputs(position))

    def repeats(self, position: int) -> bool:
        """The operator's outputs follow from its inputs, so that it gives them again."""
        planned = self._side.executor.planner.look_up(position, self.operator(position))
        variables = any(i != OPTIONAL and self._side.graph.tensors[i].is_variable for i in planned.operator.inputs)
        return planned.definition.pure and not variables

    def inputs(self, position: int) -> list[Array | None]:
        """Elements of an operator's inputs as it found them; None for one that is left out. Variables have their first value."""
        executor, tensors = self._side.executor, self._side.graph.tensors

        def found(i: int) -> Array:
            return executor.fresh_variable(tensors[i]) if tensors[i].is_variable else self.at(i).elements

        return [None if i == OPTIONAL else found(i) for i in self.operator(position).inputs]

    def name(self, position: int) -> str:
        """An operator as messages name it."""
        self.operator(position)
        return self._side.name(position)

    def as_dict(self) -> dict[str, Any]:
        """Every tensor, but for its elements, as plain data for JSON."""
        return {"arithmetic": self.arithmetic, "tensors": [traced.as_dict() for traced in self.tensors]}

    def table(self) -> RenderableType:
        """A line for each input and each operator's output."""
        inputs = [("", "input", *t.row()) for t in self.tensors if t.producer is None and not self.is_constant(t.index)]
        outputs = [(at, operator.name, *self.at(o).row()) for at, operator in enumerate(self.operators) for o in operator.outputs]
        columns = ("op", "operator", "tensor", "type", "shape", "codes", "least", "greatest", "mean")
        return table(f"{self.arithmetic} arithmetic", columns, (*inputs, *outputs), ("op", "codes", "least", "greatest", "mean"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write every tensor: to an ``.npz`` by name; else into a folder, as ``NNNN.npy``, with an ``index.json`` that describes them.

        Raises:
            InputError: it cannot be written.
        """
        from qcore.analysis.trace_files import write_folder, write_npz

        if os.fspath(path).endswith(".npz"):
            write_npz(path, {traced.name: traced.elements for traced in self.tensors})
        else:
            write_folder(path, self.tensors)


def trace(
    model: Model | str | os.PathLike[str] | bytes,
    *inputs: Any,
    arithmetic: Arithmetic = "reference",
    engine: Engine = "reference",
    signature: str | None = None,
    **named: Any,
) -> Trace:
    """Run a model once, from a clean state, and keep every tensor. No bit of any depends on that.

    Args:
        model: a ``Model``, a path or a file's bytes.
        inputs: arrays in the model's order, or one mapping from name to array; floats given for a quantized tensor are real values, all
            else a tensor's own elements.
        arithmetic: whose integers.
        engine: what runs it; no bit of an integer depends on it.
        signature: run the subgraph of this signature, whose names then do for inputs too; None for the first one.
        named: inputs by name.

    Raises:
        InputError: inputs are missing, unknown, or do not fit.
        QCoreError: the model cannot run on them.
    """
    require_arithmetic("trace", arithmetic)
    loaded = model if isinstance(model, Model) else load(model)
    subgraph, _ = entry(loaded, signature, "trace")
    graph = loaded.subgraphs[subgraph]
    given = {**inputs[0], **named} if len(inputs) == 1 and isinstance(inputs[0], Mapping) else named
    elements = elements_of("input", graph, graph.inputs, terminal_names(loaded, subgraph, "inputs"), given or inputs)
    if elements.keys() != set(graph.inputs) or (given and inputs and not isinstance(inputs[0], Mapping)):
        names = [graph.tensors[i].name for i in graph.inputs]
        raise InputError(f"trace: got {len(inputs)} arrays and the names {sorted(named)}, expected one for each of {names}")
    side = Side(loaded, subgraph, Settings(arithmetic, preserve_all_tensors=True, engine=engine))
    side.run(elements)
    return Trace(loaded, arithmetic, side)

"""One subgraph at run time: its plan, its tensors' values, and the loop that runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from qcore.errors import InputError, InternalError, ModelError
from qcore.kernels.fast.memory import aligned_bytes
from qcore.kernels.opdef import Array, Session, Shape
from qcore.model import OPTIONAL, Subgraph, Tensor
from qcore.numerics.dtypes import element_type
from qcore.runtime.plan import Plan, PlannedOperator, Planner, Settings, run_step

if TYPE_CHECKING:
    from qcore.runtime.stages import Native

COMPILING = 1.0
"""Seconds that making native code of a model takes, or so: engine "auto" makes it once NumPy has taken as long, at the next invoke."""

Observer = Callable[[Mapping[int, Array]], None]
"""Takes the values that have just come to be, by tensor number; they are views, good until it returns."""


class Executor:
    """Runs one subgraph.

    Values live in three places: the file's constants, variables (which keep their value from one invoke to the next), and an arena
    that intermediates share by lifetime. Tensors whose size is only known at run time are arrays of their own.

    An observer sees every value but the file's constants: first inputs, variables and what the plan computed, then the outputs of each
    operator, and the variables it updated, once it has run.
    """

    def __init__(self, graph: Subgraph, settings: Settings, session: Session, observer: Observer | None = None):
        self.graph = graph
        self.settings = settings
        self.planner = Planner(graph, settings, session)
        self.observer = observer
        self.input_shapes: dict[int, Shape] = {}
        self.plan: Plan | None = None
        self.values: dict[int, Array] = {}
        self.variables: dict[int, Array] = {}
        self.stages: dict[int, Native] | None = None
        self.seconds = 0.0
        self.ran = False

    def tensor(self, index: int) -> Tensor:
        """The tensor of that number.

        Raises:
            InputError: there is none.
        """
        if not 0 <= index < len(self.graph.tensors):
            raise InputError(f"tensor index {index}: the subgraph has {len(self.graph.tensors)} tensors")
        return self.graph.tensors[index]

    def shape(self, index: int) -> Shape:
        """A tensor's present shape: of its value, else as planned, else as resized or as the file says."""
        tensor = self.tensor(index)
        if index in self.values:
            return self.values[index].shape
        if self.plan is not None and index in self.plan.shapes:
            return self.plan.shapes[index]
        return self.input_shapes.get(index, tensor.shape)

    def resize(self, index: int, shape: Shape, strict: bool = False) -> None:
        """Give an input another shape; tensors must be allocated again before the next invoke.

        Raises:
            InputError: the tensor is not an input, a dimension is negative, or strict and the file fixes a dimension that changes.
        """
        tensor = self.tensor(index)
        if index not in self.graph.inputs:
            raise InputError(f"resize of tensor {index} '{tensor.name}': it is not an input; inputs are {self.graph.inputs}")
        if any(dimension < 0 for dimension in shape):
            raise InputError(f"resize of input '{tensor.name}' to {list(shape)}: dimensions cannot be negative")
        if strict:
            fixed = tensor.shape if tensor.shape_signature is None else tensor.shape_signature
            if len(shape) != len(fixed) or any(f not in (-1, s) for f, s in zip(fixed, shape, strict=True)):
                raise InputError(
                    f"strict resize of input '{tensor.name}' to {list(shape)}: only dimensions that are -1 in {list(fixed)} may change"
                )
        if shape != self.shape(index):
            self.input_shapes[index] = shape
            self.plan = None
            self.values = {}

    def allocate(self) -> None:
        """Plan for the present input shapes and take the memory; does nothing where that is done.

        Raises:
            QCoreError: the graph cannot be run, or takes more memory than allowed.
        """
        if self.plan is not None:
            return
        plan = self.planner.plan(self.input_shapes)
        try:
            arena = aligned_bytes(plan.arena_size)
        except MemoryError:
            raise ModelError(f"the graph needs {plan.arena_size} bytes for its tensors, more than there is") from None
        self.values = dict(plan.constants)
        for index, offset in plan.offsets.items():
            storage, shape = self.storage(index), plan.shapes[index]
            count = int(np.prod(shape, dtype=np.int64))
            memory = arena[offset : offset + count * storage.itemsize]
            self.values[index] = memory.view(storage).reshape(shape)
        for index in self.graph.inputs:
            if index not in self.values and self.graph.tensors[index].dtype == "string":
                self.values[index] = np.full(plan.shapes[index], b"", object)
        for index in plan.shapes:
            if self.graph.tensors[index].is_variable and index not in self.variables:
                self.variables[index] = self.fresh_variable(self.graph.tensors[index])
        self.values.update(self.variables)
        self.plan = plan
        self.stages = self.native_stages(plan) if self.settings.engine == "fast" else None
        self.seconds = 0.0
        self.ran = False

    def native_stages(self, plan: Plan) -> dict[int, Native]:
        """The programs of the fast engine, by the position of their first operator."""
        from qcore.runtime.stages import native_stages

        settings = self.settings
        return native_stages(plan, self.values, settings.threads, alone=self.observer is not None, exact=settings.exact)

    def storage(self, index: int) -> np.dtype[Any]:
        """NumPy type of a tensor's values."""
        storage = element_type(self.graph.tensors[index].dtype).storage
        assert storage is not None, "the planner refuses tensors without values"
        return storage

    def fresh_variable(self, tensor: Tensor) -> Array:
        """A variable's first value: real zero."""
        q = tensor.quantization
        zero = int(q.zero_point[0]) if tensor.dtype == "int8" and q is not None and q.zero_point.size else 0
        return np.full(tensor.shape, zero, element_type(tensor.dtype).storage)

    def reset_variables(self) -> None:
        """Set every variable back to real zero."""
        for index in self.variables:
            self.variables[index][...] = self.fresh_variable(self.graph.tensors[index])

    def allocated(self) -> Plan:
        """The plan.

        Raises:
            InputError: there is none yet.
        """
        if self.plan is None:
            raise InputError("tensors are not allocated: call allocate_tensors() first, and again after resize_tensor_input()")
        return self.plan

    def write(self, index: int, value: Array) -> None:
        """Copy an array into an input, variable or intermediate.

        Raises:
            InputError: the tensor is a constant, or shape or type differ.
        """
        tensor, plan = self.tensor(index), self.allocated()
        if index in plan.constants or index not in self.values:
            raise InputError(f"set_tensor of tensor {index} '{tensor.name}': it is not an input; inputs are {self.graph.inputs}")
        target = self.values[index]
        if tensor.dtype == "string":
            if value.dtype.kind not in "SUO":
                raise InputError(f"set_tensor of '{tensor.name}': got {value.dtype}, expected strings")
            value = as_strings(value)
        elif value.dtype != target.dtype:
            raise InputError(f"set_tensor of '{tensor.name}': got {value.dtype}, expected {target.dtype}")
        if value.shape != target.shape:
            raise InputError(f"set_tensor of '{tensor.name}': got shape {list(value.shape)}, expected {list(target.shape)}")
        target[...] = value

    def read(self, index: int) -> Array:
        """The memory of a tensor that holds a value now.

        Raises:
            InputError: the tensor's life has ended, or has not begun.
        """
        tensor, plan = self.tensor(index), self.allocated()
        lasting = index in plan.constants or index in self.graph.inputs or index in self.variables
        if lasting or (self.ran and (index in self.graph.outputs or self.settings.preserve_all_tensors) and index in self.values):
            return self.values[index]
        if index not in plan.last_use and index not in self.graph.outputs:
            raise InputError(f"tensor {index} '{tensor.name}': no operator computes or uses it, it has no value")
        if not self.ran:
            raise InputError(f"tensor {index} '{tensor.name}': it has no value before invoke()")
        raise InputError(
            f"tensor {index} '{tensor.name}': an intermediate, whose memory is reused once its last reader has run; "
            "build the Interpreter with experimental_preserve_all_tensors=True to keep it"
        )

    def invoke(self) -> None:
        """Run every operator in order.

        Raises:
            QCoreError: an operator cannot run on these values.
        """
        plan = self.allocated()
        self.ran = False
        if self.settings.engine == "auto" and self.stages is None and self.seconds > COMPILING:
            self.stages = self.native_stages(plan)
        start = time.thread_time()
        values, stages = self.values, self.stages or {}
        if self.observer is not None:
            self.observe(i for i in (*self.graph.inputs, *self.variables, *plan.constants) if not self.graph.tensors[i].is_constant)
        position = 0
        while position < len(plan.operators):
            if (native := stages.get(position)) is not None:
                native.program.run()
                if self.observer is not None:
                    self.observe(o for i in native.positions for o in plan.operators[i].operator.outputs)
                position = native.positions.stop
                continue
            operator = plan.operators[position].operator
            self.observe((*operator.outputs, *self.run_operator(plan.operators[position])))
            if not self.settings.preserve_all_tensors:
                for i in (*operator.inputs, *operator.outputs):
                    if i not in plan.offsets and plan.last_use.get(i) == position and i not in plan.constants and i not in self.variables:
                        values.pop(i, None)
            position += 1
        self.ran = True
        self.seconds += time.thread_time() - start

    def run_operator(self, planned: PlannedOperator) -> list[int]:
        """Run an operator of the plan on NumPy, and keep its outputs; the numbers of the variables that it updated.

        Raises:
            QCoreError: it cannot run on these values.
        """
        operator, values = planned.operator, self.values
        step = planned.step or self.planner.prepare_late(planned, values, self.allocated().constants)
        results = run_step(planned, step, [None if i == OPTIONAL else values[i] for i in operator.inputs])
        for o, result in zip(operator.outputs, results, strict=False):
            self.store(planned, o, result)
        updated = [operator.inputs[k] for k in step.updates]
        for i, result in zip(updated, results[len(operator.outputs) :], strict=True):
            values[i][...] = result
        return updated

    def observe(self, indices: Iterable[int]) -> None:
        """Show these tensors' values to the observer, where there is one."""
        if self.observer is not None:
            self.observer({i: self.values[i] for i in indices})

    def store(self, planned: PlannedOperator, index: int, result: Array) -> None:
        """Keep an operator's output: in its variable or its place in the arena, else as an array of its own."""
        in_place = index in self.allocated().offsets or index in self.variables
        expected = self.values[index].shape if in_place else result.shape
        if index in self.variables and result.shape != expected:
            raise ModelError(f"{planned.where}: gives {list(result.shape)} for a variable of shape {list(expected)}")
        if result.dtype != self.storage(index) or result.shape != expected:
            raise InternalError(
                f"{planned.where}: the kernel gave {result.dtype}{list(result.shape)}, expected {self.storage(index)}{list(expected)}"
            )
        if in_place:
            self.values[index][...] = result
        else:
            # A view of an input would change with that input's memory.
            self.values[index] = result if result.base is None else result.copy()


def as_strings(value: Array) -> Array:
    """An array of str or bytes as an object array of bytes, the form that string tensors have in qcore."""
    flat = [item.encode() if isinstance(item, str) else bytes(item) for item in value.astype(object).ravel()]
    strings = np.empty(len(flat), object)
    strings[:] = flat
    return strings.reshape(value.shape)

"""The plan of one subgraph: every operator prepared, every tensor of known size given its place, before anything runs.

An operator is prepared at plan time where its input shapes are known; otherwise, or where it needs a value that is not known yet, it
is prepared at run time. Operators that depend on constants alone are computed once, here: DEQUANTIZE of float16 weights, shape
arithmetic.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from qcore.errors import InputError, InternalError, ModelError, QCoreError, UnsupportedError
from qcore.kernels.common import INT32_MAX, MAX_RANK
from qcore.kernels.opdef import Arithmetic, Array, Blocks, Node, OpDef, Operand, Session, Shape, Step, ValueNeeded
from qcore.kernels.registry import look_up
from qcore.model import OPTIONAL, Operator, Subgraph, Tensor
from qcore.numerics.dtypes import element_type
from qcore.runtime.memory import Life, place
from qcore.schema import constant, default_options

Engine = Literal["reference", "fast", "auto"]
DEFAULT_MEMORY_LIMIT = 2**30
DEFAULT_LOOP_LIMIT = 10_000
SCRATCH_PER_ELEMENT = 16
"""Bytes of temporaries that a kernel is taken to need per element of its largest tensor, where its step does not say."""


def require_arithmetic(where: str, arithmetic: object) -> None:
    """Refuse what is no arithmetic; where: for the message.

    Raises:
        InputError: there is none of that name.
    """
    if arithmetic not in get_args(Arithmetic):
        raise InputError(f"{where}: arithmetic is {arithmetic!r}, expected one of {', '.join(get_args(Arithmetic))}")


@dataclass(frozen=True)
class Settings:
    """What a plan depends on besides the model and its input shapes.

    memory_limit: bytes that tensors and the temporaries of one kernel may take together, constants of the file not counted.
    loop_limit: most iterations of one loop of the graph.
    custom_ops: the caller's own operators by custom code; they go before qcore's.
    engine: "reference" runs every operator on NumPy, "fast" runs native code where there is some; "auto" does so too, once NumPy has
        taken as long as making it takes. They change no result, but that "fast" may take float sums in another order (see ``exact``).
    threads: that share the work of the fast engine; they change no result.
    """

    arithmetic: Arithmetic = "reference"
    preserve_all_tensors: bool = False
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    loop_limit: int = DEFAULT_LOOP_LIMIT
    custom_ops: Mapping[str, OpDef] = field(default_factory=dict)
    engine: Engine = "reference"
    threads: int = 1

    @property
    def exact(self) -> bool:
        """Native code must give every bit of the reference's floats: for "auto", which changes over between two runs, and sums in order."""
        return self.engine == "auto" or self.arithmetic == "builtin"


@dataclass
class PlannedOperator:
    """An operator with its tensors and, where it could be prepared already, its step."""

    definition: OpDef
    operator: Operator
    where: str
    step: Step | None = None
    late: LateStep | None = None


@dataclass(frozen=True)
class LateStep:
    """A step prepared at run time, good for as long as these hold.

    shapes: of the inputs, by tensor number. values: those that it asked for.
    """

    shapes: dict[int, Shape]
    values: dict[int, Array]
    step: Step


@dataclass(frozen=True)
class Plan:
    """A subgraph ready to run.

    operators: in the order they run; those computed at plan time are left out.
    constants: value by tensor number: the file's constants that are used, and what was computed from them.
    shapes: by tensor number, where known at plan time.
    offsets: place in the arena by tensor number, in bytes.
    arena_size: bytes.
    peak_memory: bytes of the arena, variables, computed constants and the largest temporaries.
    last_use: by tensor number, the position in operators after which its value is not needed.
    """

    operators: list[PlannedOperator]
    constants: dict[int, Array]
    shapes: dict[int, Shape]
    offsets: dict[int, int]
    arena_size: int
    peak_memory: int
    last_use: dict[int, int]


def same_array(a: Array, b: Array) -> bool:
    """The same elements, bit by bit."""
    return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all() if a.dtype == object else a.tobytes() == b.tobytes())


def bytes_of(tensor: Tensor, shape: Shape) -> int:
    """Bytes that an array of this shape takes in memory; 8 an element where elements are objects.

    Raises:
        UnsupportedError: the tensor's values cannot be held in an array.
    """
    storage = element_type(tensor.dtype).storage
    if storage is None:
        raise UnsupportedError(f"tensor '{tensor.name}': values of type {tensor.dtype} cannot be held in an array")
    return math.prod(shape) * storage.itemsize


class Planner:
    """Prepares the operators of one subgraph."""

    def __init__(self, graph: Subgraph, settings: Settings, session: Session):
        self.graph = graph
        self.settings = settings
        self.session = session

    def plan(self, input_shapes: Mapping[int, Shape]) -> Plan:
        """The plan for inputs of these shapes.

        Raises:
            QCoreError: the graph is wrong, holds what qcore does not do, or needs more memory than allowed.
        """
        constants, shapes = self.known_tensors(input_shapes)
        operators: list[PlannedOperator] = []
        made = {i for i in shapes if self.graph.tensors[i].is_variable or self.graph.tensors[i].sparsity is not None}
        computed = sum(bytes_of(self.graph.tensors[i], shapes[i]) for i in made)
        scratch = 0
        for position, operator in enumerate(self.graph.operators):
            planned = self.look_up(position, operator)
            inputs = [i for i in operator.inputs if i != OPTIONAL]
            if all(i in shapes for i in inputs):
                with contextlib.suppress(ValueNeeded):
                    planned.step = self.prepare(planned, self.node(planned, shapes, constants))
            if planned.step is not None:
                scratch = max(scratch, self.check_size(planned, planned.step, shapes))
                shapes.update({o: s for o, s in zip(operator.outputs, planned.step.shapes, strict=True) if s is not None})
                if planned.definition.pure and (planned.step.known or all(i in constants for i in inputs)):
                    results = run_step(planned, planned.step, [constants.get(i) for i in operator.inputs])
                    for output, result in zip(operator.outputs, results, strict=True):
                        result.flags.writeable = False
                        constants[output], shapes[output] = result, result.shape
                        computed += result.nbytes
                    continue
            operators.append(planned)
        return self.laid_out(operators, constants, shapes, computed, scratch)

    def known_tensors(self, input_shapes: Mapping[int, Shape]) -> tuple[dict[int, Array], dict[int, Shape]]:
        """Constants that operators or outputs use, and the shapes of all tensors that hold a value before anything runs."""
        used = {i for operator in self.graph.operators for i in operator.inputs} | {*self.graph.inputs, *self.graph.outputs}
        constants: dict[int, Array] = {}
        shapes: dict[int, Shape] = {}
        room = self.settings.memory_limit
        for i in sorted(used - {OPTIONAL}):
            tensor = self.graph.tensors[i]
            if tensor.external_buffer:
                raise UnsupportedError(f"tensor {i} '{tensor.name}': its values are in a file of their own, which qcore does not read")
            if tensor.is_variable:
                shapes[i] = tensor.shape
            elif (value := constant(tensor, room)) is not None:
                constants[i], shapes[i] = value, value.shape
                room -= value.nbytes if tensor.sparsity else 0
        for i in self.graph.inputs:
            if i not in constants:
                shapes[i] = input_shapes.get(i, self.graph.tensors[i].shape)
        return constants, shapes

    def look_up(self, position: int, operator: Operator) -> PlannedOperator:
        """The operator's definition and how messages name it."""
        output = next((f", output '{self.graph.tensors[o].name}'" for o in operator.outputs if o != OPTIONAL), "")
        where = f"{operator.name} (op {position}{output})"
        own = self.settings.custom_ops.get(operator.code.custom_code or "") if operator.code.name == "CUSTOM" else None
        definition = own or look_up(operator.code)
        if definition is None:
            raise UnsupportedError(f"{where}: qcore does not have this operator")
        if OPTIONAL in operator.outputs:
            raise UnsupportedError(f"{where}: leaves out output {operator.outputs.index(OPTIONAL)}, qcore computes every output")
        return PlannedOperator(definition, operator, where)

    def node(self, planned: PlannedOperator, shapes: Mapping[int, Shape], values: Mapping[int, Array]) -> Node:
        """What ``prepare`` sees of the operator."""
        operator = planned.operator
        tensors = self.graph.tensors

        def operand(i: int, shape: Shape, value: Array | None) -> Operand:
            t = tensors[i]
            sparse, computed = t.sparsity is not None, not t.is_constant
            return Operand(t.name, t.dtype, shape, t.quantization, value, t.is_variable, self.blocks(t), sparse, computed)

        options = operator.options or default_options(operator.code.name)
        return Node(
            operator=operator.name,
            where=planned.where,
            inputs=tuple(None if i == OPTIONAL else operand(i, shapes[i], values.get(i)) for i in operator.inputs),
            outputs=tuple(operand(o, tensors[o].shape, None) for o in operator.outputs),
            options=options.fields if options else {},
            custom_options=b"" if operator.custom_options is None else operator.custom_options.tobytes(),
            arithmetic=self.settings.arithmetic,
            version=operator.code.version,
            intermediates=tuple(operand(i, tensors[i].shape, None) for i in operator.intermediates or ()),
            session=self.session,
        )

    def blocks(self, tensor: Tensor) -> Blocks | None:
        """A tensor's blockwise quantization, read from the tensors that hold it."""
        details = None if tensor.quantization is None else tensor.quantization.details
        if details is None or details.name != "BlockwiseQuantization":
            return None
        scale = constant(self.graph.tensors[details["scales"]])
        if scale is None:
            raise ModelError(f"tensor '{tensor.name}': its blockwise scales, tensor {details['scales']}, are not constant")
        zero_point = constant(self.graph.tensors[details["zero_points"]]) if details["zero_points"] > 0 else None
        return Blocks(scale, zero_point, details["block_size"])

    def prepare(self, planned: PlannedOperator, node: Node) -> Step:
        """Prepare one operator.

        Raises:
            QCoreError: it cannot run.
            ValueNeeded: it needs a value that the node does not hold.
        """
        try:
            with np.errstate(all="ignore"):
                return planned.definition.ready(node)
        except (QCoreError, ValueNeeded):
            raise
        except MemoryError:
            raise ModelError(f"{planned.where}: preparing it takes more memory than there is") from None
        except Exception as error:
            raise InternalError(f"{planned.where}: qcore failed to prepare it: {type(error).__name__}: {error}") from error

    def prepare_late(self, planned: PlannedOperator, values: Mapping[int, Array], constants: Mapping[int, Array]) -> Step:
        """Prepare one operator at run time, giving it just the values that it asks for: only constants may be packed for good."""
        inputs = planned.operator.inputs
        shapes = {i: values[i].shape for i in inputs if i != OPTIONAL}
        late = planned.late
        if late is not None and late.shapes == shapes and all(same_array(v, values[i]) for i, v in late.values.items()):
            return late.step
        asked: dict[int, Array] = {}
        while True:
            node = self.node(planned, shapes, {**constants, **asked})
            try:
                step = self.prepare(planned, node)
            except ValueNeeded as request:
                i = next(i for i, operand in zip(inputs, node.inputs, strict=True) if operand is request.operand)
                asked[i] = values[i].copy()
            else:
                self.check_size(planned, step, shapes)
                planned.late = LateStep(shapes, asked, step)
                return step

    def check_size(self, planned: PlannedOperator, step: Step, shapes: Mapping[int, Shape]) -> int:
        """Refuse outputs and temporaries over the memory limit before any memory is taken.

        Returns:
            Bytes of temporaries that the operator needs: what its step says, else an estimate by its largest tensor.
        """
        known = {o: s for o, s in zip(planned.operator.outputs, step.shapes, strict=True) if s is not None}
        for o, shape in known.items():
            tensor = self.graph.tensors[o]
            if len(shape) > MAX_RANK or max(shape, default=0) > INT32_MAX:
                raise ModelError(
                    f"{planned.where}: output '{tensor.name}' would have shape {list(shape)}, expected at most {MAX_RANK} dimensions "
                    f"of at most {INT32_MAX}"
                )
            if bytes_of(tensor, shape) > self.settings.memory_limit:
                raise ModelError(
                    f"{planned.where}: output '{tensor.name}' {tensor.dtype}{list(shape)} takes {bytes_of(tensor, shape)} bytes, "
                    f"{self.limit}"
                )
        touched = [*known.values(), *(shapes[i] for i in planned.operator.inputs if i != OPTIONAL)]
        scratch = step.scratch or SCRATCH_PER_ELEMENT * max(map(math.prod, touched), default=0)
        if scratch > self.settings.memory_limit:
            raise ModelError(f"{planned.where}: needs {scratch} bytes of temporaries, {self.limit}")
        return scratch

    @property
    def limit(self) -> str:
        """How messages end that speak of the memory limit."""
        return f"the memory limit is {self.settings.memory_limit} (the Interpreter's memory_limit)"

    def laid_out(
        self, operators: list[PlannedOperator], constants: dict[int, Array], shapes: dict[int, Shape], computed: int, scratch: int
    ) -> Plan:
        """Place every tensor of known size that is neither constant nor variable; inputs and outputs keep their place throughout."""
        end = len(operators)
        first = dict.fromkeys(self.graph.inputs, -1)
        last: dict[int, int] = {}
        for position, planned in enumerate(operators):
            first.update(dict.fromkeys(planned.operator.outputs, position))
            last.update(dict.fromkeys((*planned.operator.inputs, *planned.operator.outputs), position))
        keep = first if self.settings.preserve_all_tensors else (*self.graph.inputs, *self.graph.outputs)
        last.update(dict.fromkeys(keep, end))
        placed = [
            i
            for i in first
            if i in shapes and i not in constants and not self.graph.tensors[i].is_variable and self.graph.tensors[i].dtype != "string"
        ]
        homes = self.homes(operators, placed, shapes)
        whole = [i for i in placed if homes[i][0] == i]
        members = {i: [j for j in placed if homes[j][0] == i] for i in whole}
        lives = [
            Life(bytes_of(self.graph.tensors[i], shapes[i]), min(first[j] for j in members[i]), max(last.get(j, end) for j in members[i]))
            for i in whole
        ]
        biggest = max((life.size for life in lives), default=0)
        offsets, arena_size = place(lives) if biggest <= self.settings.memory_limit else ([0] * len(lives), biggest)
        peak = arena_size + computed + scratch
        if peak > self.settings.memory_limit:
            raise ModelError(
                f"the graph needs {peak} bytes (tensors {arena_size}, variables and computed constants {computed}, temporaries {scratch}), "
                f"{self.limit}"
            )
        starts = dict(zip(whole, offsets, strict=True))
        return Plan(operators, constants, shapes, {i: starts[home] + start for i, (home, start) in homes.items()}, arena_size, peak, last)

    def homes(self, operators: list[PlannedOperator], placed: list[int], shapes: Mapping[int, Shape]) -> dict[int, tuple[int, int]]:
        """For each tensor the one whose memory it has, itself or one that it is a part of, and the byte there at which it begins.

        The graph's inputs have memory of their own, since they may be written before outputs are read.
        """
        homes = {i: (i, 0) for i in placed}
        for planned in reversed(operators):
            step, output = planned.step, planned.operator.outputs[0] if planned.operator.outputs else OPTIONAL
            if step is None or output not in homes:
                continue
            home, start = homes[output]
            for i, part in zip(planned.operator.inputs, step.parts, strict=False):
                if part is not None and i in homes and homes[i] == (i, 0) and i not in self.graph.inputs and i != home:
                    homes[i] = home, start + part * bytes_of(self.graph.tensors[i], (1,))
        return homes


def run_step(planned: PlannedOperator, step: Step, inputs: list[Array | None]) -> tuple[Array, ...]:
    """Run one kernel; its outputs, followed by the new values of the variables it updates.

    Raises:
        QCoreError: the inputs are ones the operator cannot run on, or memory is out.
    """
    try:
        with np.errstate(all="ignore"):
            results = step.kernel(step.params, *inputs)
    except QCoreError:
        raise
    except MemoryError:
        raise ModelError(f"{planned.where}: running it takes more memory than there is") from None
    except Exception as error:
        raise InternalError(f"{planned.where}: qcore failed to run it: {type(error).__name__}: {error}") from error
    # NumPy turns arrays without dimensions into scalars.
    return tuple(map(np.asarray, results if isinstance(results, tuple) else (results,)))

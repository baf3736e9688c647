"""What an operator is to qcore: the contract between the planner and the kernels.

An operator's room holds, in this order: its docstring, a frozen ``Params``, ``infer_shape``, ``prepare``, the kernel, its ``OpDef``.

* ``prepare(node)`` runs at plan time, once per operator. It sees shapes, types, quantization and constants, makes every check and
  every float, and returns a ``Step``. It refuses, with ``node.error`` or ``node.unsupported``, whatever the kernel could not survive.
* ``kernel(params, *inputs)`` runs at every invoke: arrays in (None for an input left out), an array or a tuple of arrays out.
  It checks nothing, and changes none of its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from qcore.errors import ModelError, QCoreError, UnsupportedError
from qcore.model import Quantization
from qcore.numerics.dtypes import ElementType, element_type

Shape = tuple[int, ...]
Array = NDArray[Any]
Arithmetic = Literal["reference", "builtin", "xnnpack"]


class ValueNeeded(Exception):
    """Raised by ``prepare`` when it needs the value of a tensor that is only known at run time; the planner then prepares later."""

    def __init__(self, operand: Operand):
        super().__init__(operand.name)
        self.operand = operand


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blockwise quantization: each run of ``size`` elements along the last axis has a scale of its own.

    scale: float[..., blocks], as the file stores it. zero_point: integers of the same shape; None where all are 0.
    """

    scale: Array
    zero_point: Array | None
    size: int


@dataclass(frozen=True, eq=False)
class Operand:
    """One tensor as an operator sees it at plan time.

    shape: concrete for inputs; for outputs what the file says, which ``prepare`` does not trust.
    constant: the value, decoded (int4 as int8), where it is known at plan time.
    blocks: its blockwise quantization, if it has that.
    sparse: the file holds only some of the elements; the constant has them all.
    computed: the constant, where there is one, is not the file's: it was computed from others, or came at run time.
    """

    name: str
    dtype: str
    shape: Shape
    quantization: Quantization | None = None
    constant: Array | None = None
    is_variable: bool = False
    blocks: Blocks | None = None
    sparse: bool = False
    computed: bool = False

    @property
    def type(self) -> ElementType:
        """Its element type."""
        return element_type(self.dtype)

    @property
    def storage(self) -> np.dtype[Any]:
        """NumPy type of the arrays that the kernel sees for this tensor."""
        storage = self.type.storage
        if storage is None:
            raise UnsupportedError(f"tensor '{self.name}': values of type {self.dtype} cannot be held in an array")
        return storage

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def value(self) -> Array:
        """The value; asks the planner to wait for it where it is not known yet."""
        if self.constant is None:
            raise ValueNeeded(self)
        return self.constant

    @property
    def is_quantized(self) -> bool:
        """It has at least one scale."""
        return self.quantization is not None and self.quantization.scale.size > 0

    @property
    def scale(self) -> float:
        """The per-tensor scale, exactly as the file's float32."""
        return float(self._per_tensor().scale[0])

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point; 0 for a tensor without quantization."""
        if not self.is_quantized:
            return 0
        zero_point = self._per_tensor().zero_point
        return int(zero_point[0]) if zero_point.size else 0

    @property
    def scales(self) -> str:
        """What messages say that it has."""
        if self.blocks is not None:
            return "a scale for each block"
        return f"{0 if self.quantization is None else self.quantization.scale.size} scales"

    def _per_tensor(self) -> Quantization:
        if self.quantization is None or self.quantization.scale.size != 1:
            raise ModelError(f"tensor '{self.name}' ({self.dtype}): has {self.scales}, expected one for the whole tensor")
        return self.quantization


class Session(Protocol):
    """What operators may use of the running model beyond their inputs: other subgraphs, and resources that outlive an invoke.

    resources: values by a key of the operators' own making; each kind of resource keeps to its own keys.
    loop_limit: most iterations of one loop.
    """

    resources: dict[Any, Any]
    loop_limit: int

    def signature(self, subgraph: int) -> tuple[tuple[Operand, ...], tuple[Operand, ...]]:
        """Inputs and outputs of a subgraph as the file declares them; raises ModelError where there is no such subgraph."""

    def operators(self, subgraph: int) -> tuple[str, ...]:
        """Schema names of a subgraph's operators; raises ModelError where there is no such subgraph."""

    def call(self, subgraph: int, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Run a subgraph on these inputs; raises QCoreError where it cannot."""


@dataclass(frozen=True)
class Node:
    """One operator of a model at plan time.

    where: how messages name it, e.g. ``CONV_2D (op 7, output 'block1/Relu')``.
    inputs: None where the model leaves an input out.
    options: every field of the operator's options table by its schema name, defaults filled in.
    custom_options: a custom operator's own bytes.
    intermediates: tensors that only lend the operator their quantization (LSTM).
    session: the running model; see ``needs_session``.
    """

    operator: str
    where: str
    inputs: tuple[Operand | None, ...]
    outputs: tuple[Operand, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    custom_options: bytes = b""
    arithmetic: Arithmetic = "reference"
    version: int = 1
    intermediates: tuple[Operand, ...] = ()
    session: Session | None = None

    def needs_session(self) -> Session:
        """The running model.

        Raises:
            UnsupportedError: the operator was prepared outside of one.
        """
        if self.session is None:
            raise self.unsupported("runs only within a model")
        return self.session

    def input(self, index: int) -> Operand:
        """An input that must be there.

        Raises:
            ModelError: the model leaves it out.
        """
        operand = self.optional_input(index)
        if operand is None:
            raise self.error(f"input {index} is left out, but the operator needs it")
        return operand

    def optional_input(self, index: int) -> Operand | None:
        """An input, or None where the model leaves it out."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def output(self) -> Operand:
        """The first output."""
        return self.outputs[0]

    def error(self, message: str) -> ModelError:
        """A ModelError that says where."""
        return ModelError(f"{self.where}: {message}")

    def unsupported(self, message: str) -> UnsupportedError:
        """An UnsupportedError that says where."""
        return UnsupportedError(f"{self.where}: {message}")

    def require(self, condition: bool, message: str) -> None:
        """Refuse the model unless the condition holds."""
        if not condition:
            raise self.error(message)


@dataclass(frozen=True)
class Step:
    """An operator made ready to run: ``kernel(params, *inputs)`` gives outputs of these shapes.

    shapes: one per output; None where only running the kernel tells.
    scratch: bytes of temporary arrays that the kernel takes at most, where they are more than a few times inputs and outputs.
    updates: inputs that are variables which the kernel gives new values, as further arrays after its outputs.
    known: True where the outputs follow from shapes and parameters alone, whatever the inputs' values.
    parts: for each input, from which element of the output on it lies there as it is, in one piece; None where it does not. Such inputs
        may share the output's memory.
    tabulated: the step that gives the same results, where params are the table of these.
    """

    kernel: Callable[..., Array | tuple[Array, ...]]
    params: Any
    shapes: tuple[Shape | None, ...]
    scratch: int = 0
    updates: tuple[int, ...] = ()
    known: bool = False
    parts: tuple[int | None, ...] = ()
    tabulated: Step | None = None


@dataclass(frozen=True)
class Tolerance:
    """How far float results may lie from TensorFlow Lite's, relative to the largest magnitude, and why."""

    relative: float
    reason: str


FLOAT_ORDER = Tolerance(1e-5, "float32 sums and products are taken in another order")
FLOAT_FUNCTION = Tolerance(1e-5, "the C library's elementary function differs in its last bits from NumPy's")


@dataclass(frozen=True)
class OpDef:
    """A row of the operator table.

    name: the builtin operator's schema name.
    types: element types of the principal input that the operator takes; any other is refused before ``prepare``.
    inputs, outputs: least and greatest number of them.
    principal: the input whose type decides.
    tolerances: by element type, where results are not exact; every other type is exact to the bit.
    pure: False where the same inputs may give other outputs, so that the planner must not compute it ahead.
    notes: what a reader of the operator table should know.
    """

    name: str
    prepare: Callable[[Node], Step]
    types: tuple[str, ...]
    inputs: tuple[int, int]
    outputs: tuple[int, int] = (1, 1)
    principal: int = 0
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    pure: bool = True
    notes: str = ""

    def ready(self, node: Node) -> Step:
        """Prepare a node after the checks that every operator shares: counts of inputs and outputs, and the principal type.

        Raises:
            QCoreError: the node is not one that this operator can run.
            ValueNeeded: a value is needed that is not known yet.
        """
        for what, got, (least, most) in (("inputs", len(node.inputs), self.inputs), ("outputs", len(node.outputs), self.outputs)):
            node.require(least <= got <= most, f"has {got} {what}, expected {least if least == most else f'{least} to {most}'}")
        if self.types:
            dtype = node.input(self.principal).dtype
            if dtype not in self.types:
                raise node.unsupported(f"input {self.principal} is {dtype}, qcore has {', '.join(self.types)}")
        try:
            return self.prepare(node)
        except QCoreError as error:
            if str(error).startswith(node.where):
                raise
            raise type(error)(f"{node.where}: {error}") from error

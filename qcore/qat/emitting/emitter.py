"""A float graph on its way: operators are added one after another, and the shape of what each computes is what its kernel says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from qcore.errors import UnsupportedError
from qcore.kernels.opdef import Array, Node, Operand
from qcore.kernels.registry import OPERATORS
from qcore.model import OPTIONAL, Buffer, Model, Subgraph, Tensor
from qcore.numerics import QuantParams
from qcore.qat.graph import unique
from qcore.quantizer.graph import Graph, to_quantization
from qcore.schema import constant, default_options


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: its number, and what is known of it."""

    number: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        return len(self.shape)


def name_of(operation: Any) -> str:
    """A layer's name; operations have numbers in theirs, which count all that were ever made. A function's name."""
    if isinstance(operation, keras.Operation):
        return str(operation.name) if isinstance(operation, keras.Layer) else type(operation).__name__.lower()
    return str(getattr(operation, "__name__", type(operation).__name__))


Given = Value | Array | Sequence[int] | float | None
"""What an operator reads: a tensor, a constant, or nothing where the input is left out."""

Call = Callable[..., Any]
"""``call(emitter, operation, *args, **kwargs)``: adds what an operation of Keras, or a function, computes, and gives it."""


GREATEST_RANK = MappingProxyType({"STRIDED_SLICE": 5, "TRANSPOSE": 6})
"""How many dimensions kernels of TensorFlow Lite take at most, where qcore's take more."""

GREATEST_BROADCAST = MappingProxyType(
    {"DIV": 5, "MAXIMUM": 5, "MINIMUM": 5, "SELECT_V2": 5, "SQUARED_DIFFERENCE": 4, "POW": 4}
    | dict.fromkeys(("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"), 4)
)
"""How many dimensions they broadcast at most: they end the process at more."""


class Emitter:
    """Adds operators to a graph.

    Args:
        call: for emitters of layers that hold others.
    """

    def __init__(self, call: Call) -> None:
        self.graph = Graph(Model([Subgraph("main", [], [], [], [])], description="Made by qcore from a Keras model."))
        self._call = call
        self._path: list[str] = []
        self._where = ""
        self._names: set[str] = set()
        self._weights: dict[int, Array] = {}

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Adds what an operation of Keras, or a function made of such, computes."""
        return self._call(self, operation, *args, **kwargs)

    @contextmanager
    def within(self, operation: Any) -> Iterator[None]:
        """What is added meanwhile belongs to this operation: names and messages say so."""
        outer, kind = self._where, type(operation).__name__
        said = f"operation {kind}" if isinstance(operation, keras.Operation) else f"function {name_of(operation)!r}"
        said = f"layer {operation.name!r} ({kind})" if isinstance(operation, keras.Layer) else said
        self._where = f"{outer}, {said}" if outer else said
        self._path.append(name_of(operation))
        yield
        self._path.pop()
        self._where = outer

    def refusal(self, message: str) -> UnsupportedError:
        """The error that says which layer cannot be expressed, and why."""
        return UnsupportedError(f"float_model: {self._where}: {message}")

    def array(self, variable: Any) -> NDArray[Any]:
        """The value of a variable of Keras, or of a tensor of its backend, or of an array: float32 where it is of floats."""
        value = self._weights.get(id(variable))
        if value is None:
            value = np.asarray(keras.ops.convert_to_numpy(variable))
        return value.astype(np.float32) if value.dtype.kind not in "iub" else value

    def replace_variable(self, variable: Any, value: Array) -> None:
        """From now on, a variable of Keras has this value."""
        self._weights[id(variable)] = value

    def input(self, name: str, shape: tuple[int, ...], dtype: str) -> Value:
        """Adds an input of the graph."""
        value = self._tensor(name, shape, dtype)
        self.graph.subgraph.inputs.append(value.number)
        return value

    def op(self, name: str, *inputs: Given, dtype: str | None = None, **options: Any) -> Value:
        """Adds an operator of one output; dtype: of the output, where that is not the first input's."""
        return self.ops(name, *inputs, dtype=dtype, **options)[0]

    def ops(self, name: str, *inputs: Given, count: int = 1, dtype: str | None = None, **options: Any) -> list[Value]:
        """Adds an operator; count: of its outputs."""
        values = [None if given is None else self.value(given) for given in inputs]
        known = [value for value in values if value is not None]
        self._check_rank(name, [value.shape for value in known])
        dtype = dtype or known[0].dtype
        where = "/".join([*self._path, name.lower()])
        # SELECT_V2 of single elements leaves to the file how many dimensions its output has.
        rank = max((value.rank for value in known), default=0)
        outputs = tuple(Operand(where, dtype, (1,) * rank) for _ in range(count))
        operands = tuple(None if value is None else self._operand(value) for value in values)
        table = default_options(name)
        step = OPERATORS[name].ready(Node(name, f"{self._where}: {name}", operands, outputs, {**table.fields, **options}))
        made = [self._tensor(where, shape, dtype) for shape in step.shapes if shape is not None]
        self.graph.add_operator(
            name, [OPTIONAL if value is None else value.number for value in values], [value.number for value in made], **options
        )
        return made

    def value(self, given: Value | Array | Sequence[int] | float) -> Value:
        """A tensor of the graph as it is, or a new constant: float32, int32 or bool."""
        if isinstance(given, Value):
            return given
        array = np.asarray(given)
        dtype = {"f": "float32", "b": "bool"}.get(array.dtype.kind, "int32")
        array = np.ascontiguousarray(array, dtype).reshape(array.shape)
        number = self.graph.add_constant(unique(self._names, "/".join([*self._path, "constant"]), ":"), array, dtype)
        return Value(number, array.shape, dtype)

    def pair(self, x: Value, params: QuantParams) -> Value:
        """Adds a QUANTIZE and a DEQUANTIZE: x rounded to codes and back."""
        codes = self._tensor("/".join([*self._path, "codes"]), x.shape, params.dtype)
        real = self._tensor("/".join([*self._path, "dequantize"]), x.shape, "float32")
        self.graph.tensors[codes.number].quantization = to_quantization(params)
        self.graph.add_operator("QUANTIZE", [x.number], [codes.number])
        self.graph.add_operator("DEQUANTIZE", [codes.number], [real.number])
        return real

    def real(self, x: Value) -> Value:
        """The tensor as float32."""
        return self.cast(x, "float32")

    def cast(self, x: Value, dtype: str) -> Value:
        """The tensor as another type."""
        return x if x.dtype == dtype else self.op("CAST", x, dtype=dtype, in_data_type=x.dtype, out_data_type=dtype)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """The tensor in another shape; one dimension may be -1."""
        if -1 in shape:
            rest = prod(size for size in shape if size != -1)
            shape = [prod(x.shape) // rest if size == -1 else size for size in shape]
        return x if x.shape == tuple(shape) else self.op("RESHAPE", x, list(shape), new_shape=list(shape))

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """The tensor with its dimensions in another order."""
        return x if list(order) == list(range(x.rank)) else self.op("TRANSPOSE", x, list(order))

    def name(self, value: Value, operation: Any) -> None:
        """Calls a tensor by the name of the operation that computes it, if that has added it."""
        tensor, name = self.graph.tensors[value.number], name_of(operation)
        if tensor.name.startswith("/".join([*self._path, name]) + "/"):
            tensor.name = unique(self._names, "/".join([*self._path, name]), ":")

    def _check_rank(self, name: str, shapes: list[tuple[int, ...]]) -> None:
        rank = max(map(len, shapes))
        most = GREATEST_RANK.get(name, rank)
        if len(set(shapes)) > 1:
            most = GREATEST_BROADCAST.get(name, most)
        if rank > most:
            raise self.refusal(f"{name} of {rank} dimensions, TensorFlow Lite has {most}")

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: str) -> Value:
        self.graph.tensors.append(Tensor(unique(self._names, name, ":"), dtype, shape, Buffer(), has_rank=True))
        return Value(len(self.graph.tensors) - 1, shape, dtype)

    def _operand(self, value: Value) -> Operand:
        tensor = self.graph.tensors[value.number]
        return Operand(tensor.name, tensor.dtype, tensor.shape, constant=constant(tensor))

"""A small editing layer for passes: who computes and who reads a tensor, and how to put something between them.

Passes work on a copy of the caller's model. They add tensors, constants and operators in any order, and redirect what reads a
tensor to another; ``finish`` then puts the operators into an order in which they can run and drops whatever nothing uses.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.model import OPTIONAL, Buffer, Model, Operator, OperatorCode, Quantization, Signature, Table, Tensor
from qcore.numerics import QuantParams
from qcore.schema import constant, default_options, encode
from qcore.schema.description import value_of


@dataclass(frozen=True)
class Use:
    """One place where an operator reads a tensor: ``operator.inputs[slot]``."""

    operator: Operator
    slot: int


class Graph:
    """One subgraph of a model that is being edited.

    Args:
        model: a copy that may change, from ``copy_model``.
        index: of the subgraph.
    """

    def __init__(self, model: Model, index: int = 0) -> None:
        self.model = model
        self.index = index
        self.subgraph = model.subgraphs[index]

    @property
    def tensors(self) -> list[Tensor]:
        """The subgraph's tensors, by number."""
        return self.subgraph.tensors

    @property
    def operators(self) -> list[Operator]:
        """The subgraph's operators; those that passes added stand last until ``sort``."""
        return self.subgraph.operators

    def producers(self) -> dict[int, Operator]:
        """The operator that computes each tensor, as of now. Inputs, constants and variables have none."""
        return {
            tensor: operator
            for operator in self.operators
            for tensor in operator.outputs
            if tensor != OPTIONAL and not self.tensors[tensor].is_variable
        }

    def consumers(self) -> dict[int, list[Use]]:
        """Where each tensor is read, as of now, in the order of the operators. Tensors that no operator reads are left out."""
        uses: dict[int, list[Use]] = {}
        for operator in self.operators:
            for slot, tensor in enumerate(operator.inputs):
                if tensor != OPTIONAL:
                    uses.setdefault(tensor, []).append(Use(operator, slot))
        return uses

    def add_tensor(self, name: str, dtype: str, like: Tensor, quantization: Quantization | None = None) -> int:
        """Adds a tensor that is computed at run time, of the shape of ``like``, and gives its number."""
        tensor = Tensor(name, dtype, like.shape, Buffer(), like.shape_signature, quantization, has_rank=like.has_rank)
        return self._add(tensor)

    def add_constant(self, name: str, values: NDArray[Any], dtype: str, quantization: Quantization | None = None) -> int:
        """Adds a constant, and gives its number.

        Args:
            name: of the tensor.
            values: storage type[shape] of dtype.
            dtype: element type of the tensor.
            quantization: how its integers stand for real numbers, if they do.

        Raises:
            InputError: values are not of that type.
        """
        tensor = Tensor(name, dtype, values.shape, Buffer(), quantization=quantization, has_rank=True)
        set_constant(tensor, values, dtype, quantization)
        return self._add(tensor)

    def add_operator(self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> Operator:
        """Adds a builtin operator with default options but for those given; ``sort`` finds its place.

        Raises:
            InputError: no builtin operator has that name.
        """
        table = default_options(name)
        operator = Operator(OperatorCode(name), list(inputs), list(outputs), Table(table.name, {**table.fields, **options}))
        self.operators.append(operator)
        return operator

    def redirect(self, uses: Iterable[Use], tensor: int) -> None:
        """Makes these uses read another tensor."""
        for use in uses:
            use.operator.inputs[use.slot] = tensor

    def replace_input(self, old: int, new: int) -> None:
        """Makes ``new`` the subgraph's input, in its interface and its signatures; operators that read ``old`` go on reading it."""
        self.subgraph.inputs = [new if tensor == old else tensor for tensor in self.subgraph.inputs]
        for signature in self._signatures():
            signature.inputs = [(name, new if tensor == old else tensor) for name, tensor in signature.inputs]

    def replace_output(self, old: int, new: int) -> None:
        """Makes ``new`` the subgraph's output, in its interface and its signatures."""
        self.subgraph.outputs = [new if tensor == old else tensor for tensor in self.subgraph.outputs]
        for signature in self._signatures():
            signature.outputs = [(name, new if tensor == old else tensor) for name, tensor in signature.outputs]

    def sort(self) -> None:
        """Puts the operators into an order in which they can run.

        The file's own order stays, since operators with side effects rely on it; what a pass added comes just before its first reader.
        """
        producers = self.producers()
        ordered: dict[int, Operator] = {}
        for first in self.operators:
            stack = [first]
            while stack:
                operator = stack[-1]
                missing = [producers[i] for i in operator.inputs if i in producers and id(producers[i]) not in ordered]
                if missing:
                    stack.extend(reversed(missing))
                else:
                    ordered[id(operator)] = stack.pop()
        self.subgraph.operators = list(ordered.values())

    def remove_unused_tensors(self) -> None:
        """Drops tensors that no operator, interface, signature or used tensor refers to, and renumbers the rest."""
        used: set[int] = set()
        pending = set(self._references()) - {OPTIONAL}
        while pending:
            used |= pending
            pending = {i for used_by in pending for i in _quantization_tensors(self.tensors[used_by]).values()} - used
        kept = sorted(used)
        number = {OPTIONAL: OPTIONAL} | {old: new for new, old in enumerate(kept)}
        self.subgraph.tensors = [self.tensors[i] for i in kept]
        self.subgraph.inputs = [number[i] for i in self.subgraph.inputs]
        self.subgraph.outputs = [number[i] for i in self.subgraph.outputs]
        for operator in self.operators:
            operator.inputs = [number[i] for i in operator.inputs]
            operator.outputs = [number[i] for i in operator.outputs]
            if operator.intermediates is not None:
                operator.intermediates = [number[i] for i in operator.intermediates]
        for signature in self._signatures():
            signature.inputs = [(name, number[i]) for name, i in signature.inputs]
            signature.outputs = [(name, number[i]) for name, i in signature.outputs]
        for tensor in self.tensors:
            _renumber_details(tensor, number)

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _references(self) -> Iterator[int]:
        yield from self.subgraph.inputs
        yield from self.subgraph.outputs
        for operator in self.operators:
            yield from operator.inputs
            yield from operator.outputs
            yield from operator.intermediates or ()
        for signature in self._signatures():
            yield from (i for _, i in (*signature.inputs, *signature.outputs))

    def _signatures(self) -> list[Signature]:
        return [signature for signature in self.model.signatures or () if signature.subgraph_index == self.index]


def places(model: Model) -> dict[Operator, str]:
    """What messages call each operator: its type, its place in the subgraph, its output."""
    found = {}
    for subgraph in model.subgraphs:
        for i, operator in enumerate(subgraph.operators):
            output = next((subgraph.tensors[t].name for t in operator.outputs if t != OPTIONAL), "")
            found[operator] = f"{operator.name} (op {i}, output {output!r})"
    return found


def copy_model(model: Model) -> Model:
    """A model that shares nothing with the given one but the bytes of constants, which passes replace and never change."""
    buffers = [*model.buffers, *(tensor.buffer for subgraph in model.subgraphs for tensor in subgraph.tensors)]
    shared = {id(buffer.data): buffer.data for buffer in buffers}
    return copy.deepcopy(model, shared)


def set_constant(tensor: Tensor, values: NDArray[Any], dtype: str, quantization: Quantization | None = None) -> None:
    """Gives a tensor another value, type and quantization; its old buffer stays with whoever else uses it.

    Args:
        tensor: of the shape of values.
        values: storage type[shape] of dtype.
        dtype: element type.
        quantization: how its integers stand for real numbers, if they do.

    Raises:
        InputError: values are not of that type.
    """
    tensor.buffer = Buffer(encode(values, dtype))
    tensor.dtype, tensor.quantization, tensor.sparsity = dtype, quantization, None


def tensor_at(operator: Operator, slot: int | None) -> int:
    """The tensor of an input; OPTIONAL where the operator leaves it out."""
    return operator.inputs[slot] if slot is not None and slot < len(operator.inputs) else OPTIONAL


def real_constant(tensor: Tensor) -> NDArray[np.float32] | None:
    """The values of a float32 constant whose elements the file holds all; None of any other tensor."""
    if tensor.dtype != "float32" or tensor.sparsity is not None:
        return None
    return constant(tensor)


def to_quantization(params: QuantParams) -> Quantization:
    """What a file says of a tensor with these parameters, per tensor or per channel."""
    return Quantization(params.scale.copy(), params.zero_point.copy(), params.quantized_dimension or 0)


def params_of(tensor: Tensor) -> QuantParams:
    """The parameters of a tensor of codes; the inverse of ``to_quantization``."""
    q = tensor.quantization
    assert q is not None
    return QuantParams(q.scale, q.zero_point, tensor.dtype, q.quantized_dimension if len(q.scale) > 1 else None)


def finish(model: Model) -> None:
    """Makes an edited model whole: operators in order, and nothing in it that nothing uses."""
    for index in range(len(model.subgraphs)):
        graph = Graph(model, index)
        graph.sort()
        graph.remove_unused_tensors()
    _share_equal_buffers(model)
    _remove_unused_buffers(model)


def _share_equal_buffers(model: Model) -> None:
    """Stores equal bytes once, as files do that the converter writes."""
    constants = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors if tensor.is_constant]
    shared = {id(tensor.buffer): tensor.buffer for tensor in constants}
    by_digest: dict[bytes, Buffer] = {}
    for key, buffer in shared.items():
        assert buffer.data is not None
        digest = hashlib.blake2b(buffer.data.data).digest()
        shared[key] = by_digest.setdefault(digest, buffer)
    for tensor in constants:
        tensor.buffer = shared[id(tensor.buffer)]


def _remove_unused_buffers(model: Model) -> None:
    """Keeps the first, which means that there are no bytes, and what tensors and metadata refer to."""
    used = {id(buffer) for buffer in model.buffers[:1]}
    used |= {id(tensor.buffer) for subgraph in model.subgraphs for tensor in subgraph.tensors if tensor.is_constant}
    used |= {id(entry.buffer) for entry in model.metadata or ()}
    numbered = [model.buffers[i] for i in model.metadata_buffer or ()]
    used |= {id(buffer) for buffer in numbered}
    model.buffers = [buffer for buffer in model.buffers if id(buffer) in used]
    if model.metadata_buffer is not None:
        number = {id(buffer): i for i, buffer in enumerate(model.buffers)}
        model.metadata_buffer = [number[id(buffer)] for buffer in numbered]


def _quantization_tensors(tensor: Tensor) -> dict[str, int]:
    """The fields of a blockwise or multi-axis quantization that number other tensors."""
    details = None if tensor.quantization is None else tensor.quantization.details
    if details is None or details.name == "CustomQuantization":
        return {}
    return {field: value_of(details, field) for field in ("scales", "zero_points") if value_of(details, field) != OPTIONAL}


def _renumber_details(tensor: Tensor, number: dict[int, int]) -> None:
    fields = {field: number[i] for field, i in _quantization_tensors(tensor).items()}
    if fields and tensor.quantization is not None and tensor.quantization.details is not None:
        details = tensor.quantization.details
        tensor.quantization = replace(tensor.quantization, details=Table(details.name, {**details.fields, **fields}))

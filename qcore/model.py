"""A ``.tflite`` model as plain objects over NumPy arrays: what ``qcore.load`` gives and ``qcore.save`` takes.

The objects mirror the file: field names are the schema's. Two of the file's index tables become references to objects, so that
editing needs no renumbering: ``Tensor.buffer`` is a ``Buffer`` and ``Operator.code`` an ``OperatorCode``; ``Model.buffers`` and
``Model.operator_codes`` keep their order in the file, and the writer appends whatever is referenced but not listed. Tensors
stay numbered within their subgraph, as in ``tf.lite.Interpreter``.

Element types are lower-case schema names ("int8"), other enumerations upper-case ones ("SAME", "RELU6").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.errors import InputError

OPTIONAL = -1
"""The tensor index of an input or output that an operator leaves out."""


@dataclass(eq=False)
class Buffer:
    """Constant bytes.

    data: uint8[n], read-only where it views a file; None for a buffer that holds nothing (a tensor computed at run time).
    in_appendix: the file kept these bytes after the flatbuffer, by offset and size, as files past 2 GB must.
    """

    data: NDArray[np.uint8] | None = None
    in_appendix: bool = False


@dataclass(eq=False)
class Table:
    """An options table of the schema: its name (``"Conv2DOptions"``) and every field by its schema name, defaults filled in."""

    name: str
    fields: dict[str, Any]

    def __getitem__(self, field_name: str) -> Any:
        return self.fields[field_name]


@dataclass(eq=False)
class Quantization:
    """How a tensor's integers stand for real numbers: ``real = scale * (quantized - zero_point)``.

    scale: float32[n], real units per step; n is 0 (not quantized), 1 (per tensor) or the size of quantized_dimension.
    zero_point: int64[n].
    quantized_dimension: the axis of per-channel scales.
    min, max: float32[n], the range seen at training; informative.
    details: a blockwise, multi-axis or custom table, or None.
    """

    scale: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    zero_point: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    quantized_dimension: int = 0
    min: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    max: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    details: Table | None = None


@dataclass(eq=False)
class Tensor:
    """One tensor of a subgraph.

    shape: as stored; a dimension unknown until run time is 1 here and -1 in shape_signature.
    buffer: its constant bytes, or a buffer that holds nothing.
    sparsity: the schema's SparsityParameters, for constants that store only part of their elements.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    buffer: Buffer
    shape_signature: tuple[int, ...] | None = None
    quantization: Quantization | None = None
    is_variable: bool = False
    has_rank: bool = False
    sparsity: Table | None = None
    variant_tensors: list[Table] | None = None
    external_buffer: int = 0

    @property
    def is_constant(self) -> bool:
        """The file holds its value."""
        return self.buffer.data is not None


@dataclass(eq=False)
class OperatorCode:
    """What an operator computes: a builtin's schema name ("CONV_2D"), or "CUSTOM" with a custom_code; and its version.

    in_old_field: read from a file from before 2020, which has the number in the field ``deprecated_builtin_code`` alone.
    """

    name: str
    version: int = 1
    custom_code: str | None = None
    in_old_field: bool = False


@dataclass(eq=False)
class Operator:
    """One operator: inputs and outputs are tensor numbers of its subgraph, ``OPTIONAL`` where left out."""

    code: OperatorCode
    inputs: list[int]
    outputs: list[int]
    options: Table | None = None
    custom_options: NDArray[np.uint8] | None = None
    mutating_variable_inputs: list[bool] | None = None
    intermediates: list[int] | None = None
    options_in_appendix: bool = False
    debug_metadata_index: int = -1

    @property
    def name(self) -> str:
        """The builtin's name, or a custom operator's own code."""
        return self.code.custom_code or "CUSTOM" if self.code.name == "CUSTOM" else self.code.name


@dataclass(eq=False)
class Subgraph:
    """Tensors, and operators in the order they run."""

    name: str | None
    tensors: list[Tensor]
    inputs: list[int]
    outputs: list[int]
    operators: list[Operator]
    debug_metadata_index: int = -1


@dataclass(eq=False)
class Signature:
    """A named entry into a subgraph: (name, tensor number) of each input and output, in the file's order."""

    key: str
    inputs: list[tuple[str, int]]
    outputs: list[tuple[str, int]]
    subgraph_index: int = 0


@dataclass(eq=False)
class Metadata:
    """A named blob that the file carries along."""

    name: str | None
    buffer: Buffer


@dataclass(eq=False)
class Model:
    """A whole file."""

    subgraphs: list[Subgraph]
    operator_codes: list[OperatorCode] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    version: int = 3
    description: str | None = None
    metadata: list[Metadata] | None = None
    metadata_buffer: list[int] | None = None
    signatures: list[Signature] | None = None
    external_buffer_groups: list[Table] | None = None
    external_buffers: list[Table] | None = None

    def tensor(self, name: str, subgraph: int = 0) -> Tensor:
        """The tensor of that name.

        Raises:
            InputError: there is none, or there are several.
        """
        tensors = self.subgraphs[subgraph].tensors if 0 <= subgraph < len(self.subgraphs) else []
        found = [tensor for tensor in tensors if tensor.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            numbers = [i for i, tensor in enumerate(tensors) if tensor.name == name]
            raise InputError(f"model.tensor: subgraph {subgraph} has {len(found)} tensors named {name!r}: tensors {numbers}")
        near = get_close_matches(name, [tensor.name for tensor in tensors], n=3, cutoff=0.5)
        hint = f"; there is {', '.join(map(repr, near))}" if near else ""
        raise InputError(f"model.tensor: subgraph {subgraph} has no tensor named {name!r}{hint}")

    def to_bytes(self) -> bytes:
        """The file's bytes; the same model gives the same bytes on every machine."""
        from qcore.schema import write

        return write(self)

"""From a ``Model`` to the bytes of a file: references become indices, and constants too many for a flatbuffer go after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qcore.errors import ModelError
from qcore.model import Buffer, Model, Operator, OperatorCode, Quantization, Signature, Subgraph, Table, Tensor
from qcore.schema.build import build
from qcore.schema.check import check
from qcore.schema.description import ENUMS, UNIONS
from qcore.schema.reader import NO_BUFFER

INLINE_LIMIT = 2**31 - 2**27
"""Bytes of constants past which all of them go after the flatbuffer; with all else that it holds, it must stay below 2**31."""

_ALIGNMENT = 16
_LAST_SHORT_CODE = 127

_T = TypeVar("_T")


def write(model: Model) -> bytes:
    """The bytes of a ``.tflite`` file; the same model gives the same bytes on every machine.

    Keeps all that ``read`` keeps. Operator codes and buffers that are referred to but not listed in the model are added.

    Raises:
        ModelError: the model is inconsistent; the message says where.
    """
    return b"".join(file_parts(model))


def file_parts(model: Model) -> list[memoryview]:
    """The same bytes in parts that follow one another, without a copy of the constants after the flatbuffer.

    Raises:
        ModelError: the model is inconsistent.
    """
    check(model)
    tables = _Tables(model)
    flatbuffer = build(tables.root(), tables.expected_size)
    if not tables.appendix:
        return [flatbuffer]
    # Offsets take the same space whatever they are, so the first flatbuffer tells where the appendix starts.
    tables = _Tables(model, appendix_start=_aligned(len(flatbuffer)))
    flatbuffer = build(tables.root(), tables.expected_size)
    return [flatbuffer, *_padded(len(flatbuffer), tables.appendix)]


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _padded(start: int, parts: Iterable[NDArray[np.uint8]]) -> Iterable[memoryview]:
    """The parts, each after the zeros that bring it to a multiple of 16 bytes."""
    for part in parts:
        yield memoryview(bytes(_aligned(start) - start))
        yield part.data
        start = _aligned(start) + part.size


class _Tables:
    """The tables of one model; ``appendix`` gathers what goes after the flatbuffer, from ``appendix_start`` on."""

    def __init__(self, model: Model, appendix_start: int = _ALIGNMENT) -> None:
        operators = [operator for subgraph in model.subgraphs for operator in subgraph.operators]
        tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors]
        self.model = model
        self.appendix: list[NDArray[np.uint8]] = []
        self.appendix_end = appendix_start
        self.codes = _with_referred(model.operator_codes, (operator.code for operator in operators))
        self.code_index = {id(code): i for i, code in enumerate(self.codes)}
        constants = [tensor.buffer for tensor in tensors if tensor.is_constant]
        self.buffers = _with_referred(model.buffers or [Buffer()], [*constants, *(entry.buffer for entry in model.metadata or ())])
        self.buffer_index = {id(buffer): i for i, buffer in enumerate(self.buffers)}
        inline = sum(buffer.data.size for buffer in self.buffers if buffer.data is not None and not buffer.in_appendix)
        self.all_in_appendix = inline > INLINE_LIMIT
        self.expected_size = 2**16 + 512 * (len(tensors) + len(operators)) + 64 * len(self.buffers)
        self.expected_size += 0 if self.all_in_appendix else inline

    def root(self) -> Table:
        model = self.model
        fields = {
            "version": model.version,
            "operator_codes": [_operator_code(code) for code in self.codes],
            "subgraphs": [self.subgraph(subgraph) for subgraph in model.subgraphs],
            "description": model.description,
            "buffers": [self.buffer(buffer) for buffer in self.buffers],
            "metadata_buffer": model.metadata_buffer,
            "external_buffer_groups": model.external_buffer_groups,
            "external_buffers": model.external_buffers,
        }
        if model.metadata is not None:
            entries = [{"name": entry.name, "buffer": self.buffer_index[id(entry.buffer)]} for entry in model.metadata]
            fields["metadata"] = [Table("Metadata", entry) for entry in entries]
        if model.signatures is not None:
            fields["signature_defs"] = [_signature(signature) for signature in model.signatures]
        return Table("Model", fields)

    def append(self, data: NDArray[np.uint8]) -> int:
        """Puts bytes into the appendix and says where in the file they start."""
        offset = _aligned(self.appendix_end)
        self.appendix.append(data)
        self.appendix_end = offset + data.size
        return offset

    def buffer(self, buffer: Buffer) -> Table:
        if buffer.data is None:
            return Table("Buffer", {})
        if buffer.in_appendix or self.all_in_appendix:
            return Table("Buffer", {"offset": self.append(buffer.data), "size": buffer.data.size})
        return Table("Buffer", {"data": buffer.data})

    def subgraph(self, subgraph: Subgraph) -> Table:
        fields = {
            "tensors": [self.tensor(tensor) for tensor in subgraph.tensors],
            "inputs": subgraph.inputs,
            "outputs": subgraph.outputs,
            "operators": [self.operator(operator) for operator in subgraph.operators],
            "name": subgraph.name,
            "debug_metadata_index": subgraph.debug_metadata_index,
        }
        return Table("SubGraph", fields)

    def tensor(self, tensor: Tensor) -> Table:
        index = self.buffer_index.get(id(tensor.buffer), NO_BUFFER)
        if index == NO_BUFFER and tensor.is_constant:
            raise ModelError(f"tensor {tensor.name!r}: its bytes are in the model's first buffer, which means that there are none")
        fields = {
            "shape": tensor.shape,
            "type": tensor.dtype,
            "buffer": index,
            "name": tensor.name,
            "quantization": None if tensor.quantization is None else _quantization(tensor.quantization),
            "is_variable": tensor.is_variable,
            "sparsity": tensor.sparsity,
            "shape_signature": tensor.shape_signature,
            "has_rank": tensor.has_rank,
            "variant_tensors": tensor.variant_tensors,
            "external_buffer": tensor.external_buffer,
        }
        return Table("Tensor", fields)

    def operator(self, operator: Operator) -> Table:
        fields: dict[str, Any] = {
            "opcode_index": self.code_index[id(operator.code)],
            "inputs": operator.inputs,
            "outputs": operator.outputs,
            "mutating_variable_inputs": operator.mutating_variable_inputs,
            "intermediates": operator.intermediates,
            "debug_metadata_index": operator.debug_metadata_index,
        }
        if operator.options is not None and operator.options.name != "NONE":
            union = "builtin_options_2" if operator.options.name in UNIONS["BuiltinOptions2"] else "builtin_options"
            fields[union] = operator.options
        data = operator.custom_options
        if data is not None and operator.options_in_appendix:
            fields |= {"large_custom_options_offset": self.append(data), "large_custom_options_size": data.size}
        else:
            fields["custom_options"] = data
        return Table("Operator", fields)


def _with_referred(listed: list[_T], referred: Iterable[_T]) -> list[_T]:
    """What the model lists, in its order, then what is referred to but not listed, in the order of first use."""
    items = {id(item): item for item in listed}
    for item in referred:
        items.setdefault(id(item), item)
    return list(items.values())


def _operator_code(code: OperatorCode) -> Table:
    """Old readers know only the first 127 builtins, from a field of their own; for later ones it holds a placeholder."""
    number = ENUMS["BuiltinOperator"].numbers.get(code.name, 0)
    fields = {
        "deprecated_builtin_code": min(number, _LAST_SHORT_CODE),
        "builtin_code": code.name,
        "custom_code": code.custom_code,
        "version": code.version,
    }
    return Table("OperatorCode", fields)


def _quantization(quantization: Quantization) -> Table:
    vectors = {name: getattr(quantization, name) for name in ("min", "max", "scale", "zero_point")}
    fields = {name: values for name, values in vectors.items() if len(values)}
    fields |= {"details": quantization.details, "quantized_dimension": quantization.quantized_dimension}
    return Table("QuantizationParameters", fields)


def _signature(signature: Signature) -> Table:
    fields = {
        "inputs": _tensor_map(signature.inputs),
        "outputs": _tensor_map(signature.outputs),
        "signature_key": signature.key,
        "subgraph_index": signature.subgraph_index,
    }
    return Table("SignatureDef", fields)


def _tensor_map(entries: list[tuple[str, int]]) -> list[Table]:
    return [Table("TensorMap", {"name": name, "tensor_index": index}) for name, index in entries]

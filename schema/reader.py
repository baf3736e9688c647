"""From the file's tables to a ``Model``: indices into operator codes and buffers become references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qcore.errors import ModelError
from qcore.model import Buffer, Metadata, Model, Operator, OperatorCode, Quantization, Signature, Subgraph, Table, Tensor
from qcore.schema.check import check
from qcore.schema.decode import VISITS_PER_BYTE, decode
from qcore.schema.description import ENUMS

NO_BUFFER = 0
"""The buffer of tensors that have no constant bytes."""

_T = TypeVar("_T")


class _Appendix:
    """The bytes that a file keeps outside the flatbuffer, found by offset and size from the file's start."""

    def __init__(self, file: NDArray[np.uint8]) -> None:
        self.file = file
        self.visits = VISITS_PER_BYTE * file.size

    def bytes_at(self, offset: int, size: int, where: str) -> NDArray[np.uint8] | None:
        """The bytes there; offsets 0 and 1 mean that there are none."""
        if offset <= 1:
            return None
        if offset + size > self.file.size:
            raise ModelError(f"{where}: {size} bytes at {offset} run past the end of the file ({self.file.size} bytes)")
        self.visits -= size
        if self.visits < 0:
            raise ModelError(f"{where}: too many buffers share the same bytes; a file of {self.file.size} bytes cannot hold that much")
        return self.file[offset : offset + size]


def read(data: bytes | bytearray | memoryview) -> Model:
    """The model that these bytes hold; its constants are read-only views of them.

    What may change under a view (a bytearray, a writable memoryview) is copied first.

    Args:
        data: a whole ``.tflite`` file.

    Raises:
        ModelError: the bytes are no ``.tflite`` file, or a damaged one.
    """
    view = memoryview(data)
    if not (view.readonly and view.c_contiguous):
        view = memoryview(view.tobytes())
    root, file = decode(view.cast("B"))
    appendix = _Appendix(file)
    codes = [_operator_code(code) for code in root["operator_codes"] or ()]
    buffers = [_buffer(buffer, appendix, f"buffer {i}") for i, buffer in enumerate(root["buffers"] or ())]
    metadata = root["metadata"]
    signatures = root["signature_defs"]
    model = Model(
        subgraphs=[_subgraph(graph, codes, buffers, appendix, f"subgraph {i}") for i, graph in enumerate(root["subgraphs"] or ())],
        operator_codes=codes,
        buffers=buffers,
        version=root["version"],
        description=root["description"],
        metadata=None if metadata is None else [_metadata(entry, buffers, f"metadata {i}") for i, entry in enumerate(metadata)],
        metadata_buffer=_list_or_none(root["metadata_buffer"]),
        signatures=None if signatures is None else [_signature(entry, f"signature {i}") for i, entry in enumerate(signatures)],
        external_buffer_groups=root["external_buffer_groups"],
        external_buffers=root["external_buffers"],
    )
    check(model)
    return model


def verify(data: bytes | bytearray | memoryview) -> None:
    """Checks the bytes of a ``.tflite`` file: all that ``read`` checks, which believes nothing unchecked.

    Args:
        data: a whole ``.tflite`` file.

    Raises:
        ModelError: the bytes are no ``.tflite`` file, or a damaged one; the message says where.
    """
    read(data)


def _operator_code(code: Table) -> OperatorCode:
    """Codes up to 127 may stand in either field; the greater one counts (``GetBuiltinCode`` of schema_utils.cc)."""
    operators = ENUMS["BuiltinOperator"]
    number = operators.numbers[code["builtin_code"]]
    old = code["deprecated_builtin_code"]
    return OperatorCode(operators.names[max(number, old)], code["version"], code["custom_code"], in_old_field=old > number)


def _buffer(buffer: Table, appendix: _Appendix, where: str) -> Buffer:
    if buffer["data"] is not None:
        return Buffer(buffer["data"])
    data = appendix.bytes_at(buffer["offset"], buffer["size"], where)
    return Buffer(data, in_appendix=data is not None)


def _subgraph(graph: Table, codes: list[OperatorCode], buffers: list[Buffer], appendix: _Appendix, where: str) -> Subgraph:
    return Subgraph(
        name=graph["name"],
        tensors=[_tensor(tensor, buffers, f"{where}, tensor {i}") for i, tensor in enumerate(graph["tensors"] or ())],
        inputs=_list(graph["inputs"]),
        outputs=_list(graph["outputs"]),
        operators=[_operator(operator, codes, appendix, f"{where}, operator {i}") for i, operator in enumerate(graph["operators"] or ())],
        debug_metadata_index=graph["debug_metadata_index"],
    )


def _tensor(tensor: Table, buffers: list[Buffer], where: str) -> Tensor:
    index = tensor["buffer"]
    buffer = _at(buffers, index, f"{where} {tensor['name'] or ''!r}: buffer index")
    if index == NO_BUFFER and buffer.data is not None:
        buffer = Buffer()  # TensorFlow Lite takes no constant from buffer 0, whatever it holds
    signature = tensor["shape_signature"]
    return Tensor(
        name=tensor["name"] or "",
        dtype=tensor["type"],
        shape=tuple(_list(tensor["shape"])),
        buffer=buffer,
        shape_signature=None if signature is None else tuple(_list(signature)),
        quantization=None if tensor["quantization"] is None else _quantization(tensor["quantization"]),
        is_variable=tensor["is_variable"],
        has_rank=tensor["has_rank"],
        sparsity=tensor["sparsity"],
        variant_tensors=tensor["variant_tensors"],
        external_buffer=tensor["external_buffer"],
    )


def _quantization(table: Table) -> Quantization:
    given = {name: values for name, values in table.fields.items() if values is not None}
    return Quantization(**given)


def _operator(operator: Table, codes: list[OperatorCode], appendix: _Appendix, where: str) -> Operator:
    custom_options = operator["custom_options"]
    in_appendix = False
    if custom_options is None:
        offset, size = operator["large_custom_options_offset"], operator["large_custom_options_size"]
        custom_options = appendix.bytes_at(offset, size, f"{where}, custom options")
        in_appendix = custom_options is not None
    if operator["builtin_options"] is not None and operator["builtin_options_2"] is not None:
        raise ModelError(f"{where}: has both {operator['builtin_options'].name} and {operator['builtin_options_2'].name}")
    return Operator(
        code=_at(codes, operator["opcode_index"], f"{where}: operator code index"),
        inputs=_list(operator["inputs"]),
        outputs=_list(operator["outputs"]),
        options=operator["builtin_options"] or operator["builtin_options_2"],
        custom_options=custom_options,
        mutating_variable_inputs=_list_or_none(operator["mutating_variable_inputs"]),
        intermediates=_list_or_none(operator["intermediates"]),
        options_in_appendix=in_appendix,
        debug_metadata_index=operator["debug_metadata_index"],
    )


def _signature(signature: Table, where: str) -> Signature:
    key = signature["signature_key"]
    if key is None:
        raise ModelError(f"{where}: has no key")
    return Signature(
        key,
        inputs=_tensor_map(signature["inputs"], f"{where} {key!r}, input"),
        outputs=_tensor_map(signature["outputs"], f"{where} {key!r}, output"),
        subgraph_index=signature["subgraph_index"],
    )


def _tensor_map(entries: list[Table] | None, where: str) -> list[tuple[str, int]]:
    for i, entry in enumerate(entries or ()):
        if entry["name"] is None:
            raise ModelError(f"{where} {i}: has no name")
    return [(entry["name"], entry["tensor_index"]) for entry in entries or ()]


def _metadata(entry: Table, buffers: list[Buffer], where: str) -> Metadata:
    return Metadata(entry["name"], _at(buffers, entry["buffer"], f"{where} {entry['name'] or ''!r}: buffer index"))


def _at(items: Sequence[_T], index: int, where: str) -> _T:
    if index >= len(items):
        raise ModelError(f"{where} {index}, the model has {len(items)}")
    return items[index]


def _list(values: NDArray[Any] | None) -> list[Any]:
    return [] if values is None else values.tolist()


def _list_or_none(values: NDArray[Any] | None) -> list[Any] | None:
    return None if values is None else values.tolist()

"""Whether a model is consistent: what every reader, planner and kernel may then rely on.

The rules are those of TensorFlow Lite where it has them, and stricter where it would read past a buffer or what was never computed.

Source: ``tflite/core/interpreter_builder.cc``, ``tflite/core/tools/verifier.cc``, ``tflite/core/subgraph.cc``.
"""

from __future__ import annotations

from math import prod

import numpy as np

from qcore.errors import ModelError
from qcore.model import OPTIONAL, Model, Operator, Subgraph
from qcore.schema.check_tensor import check_tensor
from qcore.schema.description import VERSION, value_of
from qcore.schema.options import options_table
from qcore.schema.strings import string_offsets

_LONGEST_NAME = 100


def check(model: Model) -> None:
    """Checks a whole model.

    After it: every tensor, buffer and subgraph number is in range; every operator reads only what exists by then (constants,
    variables, inputs of the subgraph, outputs of earlier operators) and overwrites nothing; constants hold all their elements;
    quantization parameters are finite and fit their tensor; sparse constants' indices lead into their tensor.

    Raises:
        ModelError: something does not fit; the message says where.
    """
    if model.version != VERSION:
        raise ModelError(f"version {model.version} of the schema, expected {VERSION}")
    if not model.subgraphs:
        raise ModelError("the model has no subgraph")
    for i, code in enumerate(model.operator_codes):
        if code.name == "CUSTOM" and not code.custom_code:
            raise ModelError(f"operator code {i}: a custom operator without a name")
    for i, subgraph in enumerate(model.subgraphs):
        _check_subgraph(subgraph, len(model.subgraphs), f"subgraph {i}")
    _check_strings(model)
    for i, index in enumerate(model.metadata_buffer or ()):
        _check_index(index, len(model.buffers), f"metadata buffer {i}: buffer", "the model")
    _check_signatures(model)
    _check_external_buffers(model)


def shorten(name: str) -> str:
    """A name for messages; a file's may be megabytes long, and stand before thousands of indices."""
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."


def _check_index(index: int, count: int, where: str, owner: str) -> None:
    if not 0 <= index < count:
        kind = where.rpartition(" ")[2]
        raise ModelError(f"{where} index {index}, {owner} has {count} {kind}s")


def _check_subgraph(subgraph: Subgraph, subgraphs: int, where: str) -> None:
    count = len(subgraph.tensors)
    for role, indices in (("input", subgraph.inputs), ("output", subgraph.outputs)):
        for i, index in enumerate(indices):
            _check_index(index, count, f"{where}, {role} {i}: tensor", "the subgraph")
    used = {*subgraph.inputs, *subgraph.outputs}
    for i, operator in enumerate(subgraph.operators):
        _check_operator(operator, count, subgraphs, f"{where}, operator {i} {shorten(operator.name)}")
        used.update(operator.inputs, operator.outputs, operator.intermediates or ())
    for i, tensor in enumerate(subgraph.tensors):
        check_tensor(tensor, count, f"{where}, tensor {i} {shorten(tensor.name)!r}", used=i in used)
    _check_order(subgraph, where)


def _check_operator(operator: Operator, tensors: int, subgraphs: int, where: str) -> None:
    for role, indices in (("input", operator.inputs), ("output", operator.outputs), ("intermediate", operator.intermediates or ())):
        for i, index in enumerate(indices):
            if index != OPTIONAL:
                _check_index(index, tensors, f"{where}, {role} {i}: tensor", "the subgraph")
    if operator.options is None:
        return
    expected = options_table(operator.code.name)
    if expected not in ("NONE", operator.options.name):
        raise ModelError(f"{where}: options are {operator.options.name}, expected {expected}")
    for name, value in operator.options.fields.items():
        if "subgraph" in name and value is not None:
            for index in np.atleast_1d(value).tolist():
                _check_index(index, subgraphs, f"{where}, {name}: subgraph", "the model")


def _check_order(subgraph: Subgraph, where: str) -> None:
    """Operators run as they are listed, so each may read only what exists by then, and nothing is written twice."""
    fixed = {*subgraph.inputs, *(i for i, tensor in enumerate(subgraph.tensors) if tensor.is_constant)}
    known = {OPTIONAL, *fixed, *(i for i, tensor in enumerate(subgraph.tensors) if tensor.is_variable or tensor.external_buffer)}
    for i, operator in enumerate(subgraph.operators):
        at = f"{where}, operator {i} {shorten(operator.name)}"
        for j, index in enumerate(operator.inputs):
            if index not in known:
                raise ModelError(f"{at}, input {j}: tensor {index} is no constant or input, and no operator before has computed it")
        for j, index in enumerate(operator.outputs):
            if index in fixed:
                raise ModelError(f"{at}, output {j}: tensor {index} is a constant, an input, or was computed before")
            known.add(index)
            if index != OPTIONAL:
                fixed.add(index)
    for i, index in enumerate(subgraph.outputs):
        if index not in known:
            raise ModelError(f"{where}, output {i}: no operator computes tensor {index}")


def _check_strings(model: Model) -> None:
    """Looks into each buffer of strings once: a small file may have many tensors that share a long one."""
    counts: dict[int, int] = {}
    for i, subgraph in enumerate(model.subgraphs):
        for j, tensor in enumerate(subgraph.tensors):
            data = tensor.buffer.data
            if tensor.dtype != "string" or data is None:
                continue
            where = f"subgraph {i}, tensor {j} {shorten(tensor.name)!r}"
            if id(data) not in counts:
                counts[id(data)] = string_offsets(data, where).size - 1
            strings, expected = counts[id(data)], prod(tensor.shape)
            if strings != expected:
                raise ModelError(f"{where}: its buffer has {strings} strings, its shape {tensor.shape} asks for {expected}")


def _check_signatures(model: Model) -> None:
    for i, signature in enumerate(model.signatures or ()):
        where = f"signature {i} {shorten(signature.key)!r}"
        _check_index(signature.subgraph_index, len(model.subgraphs), f"{where}: subgraph", "the model")
        count = len(model.subgraphs[signature.subgraph_index].tensors)
        for role, entries in (("input", signature.inputs), ("output", signature.outputs)):
            for name, index in entries:
                _check_index(index, count, f"{where}, {role} {shorten(name)!r}: tensor", f"subgraph {signature.subgraph_index}")


def _check_external_buffers(model: Model) -> None:
    for i, buffer in enumerate(model.external_buffers or ()):
        groups = len(model.external_buffer_groups or ())
        _check_index(value_of(buffer, "group"), groups, f"external buffer {i}: group", "the model")
    known = {0, *(value_of(buffer, "id") for buffer in model.external_buffers or ())}
    for i, subgraph in enumerate(model.subgraphs):
        for j, tensor in enumerate(subgraph.tensors):
            if tensor.external_buffer not in known:
                raise ModelError(
                    f"subgraph {i}, tensor {j} {shorten(tensor.name)!r}: no external buffer has the id {tensor.external_buffer}"
                )

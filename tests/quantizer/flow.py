"""Two models compared operator by operator, whatever their tensors are called and numbered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.schema import read


def assert_same(got: Model, want: bytes, versions: bool = True) -> None:
    """The same operators in the order of data flow, with the same options, and the same types, shapes, parameters and constants."""
    for ours, theirs in zip(flow(read(got.to_bytes()), versions), flow(read(want), versions), strict=True):
        assert ours == theirs


def flow(model: Model, versions: bool) -> Iterator[tuple[str, Any]]:
    """What of a model counts, in the order of data flow."""
    for subgraph, graph in enumerate(model.subgraphs):
        for operator in in_data_flow_order(model, subgraph):
            yield operator.name, operator.code.version if versions else None
            yield "options", {} if operator.options is None else {k: np.asarray(v).tolist() for k, v in operator.options.fields.items()}
            for i in (*operator.inputs, *operator.outputs):
                yield operator.name, None if i == OPTIONAL else _described(graph.tensors[i])


def in_data_flow_order(model: Model, subgraph: int) -> list[Operator]:
    """The operators, depth first from the outputs, which does not depend on the order of the file."""
    graph = model.subgraphs[subgraph]
    producers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    found: dict[int, Operator] = {}

    def visit(tensor: int) -> None:
        operator = producers.get(tensor)
        if operator is not None and id(operator) not in found:
            for i in operator.inputs:
                visit(i)
            found.setdefault(id(operator), operator)

    for output in graph.outputs:
        visit(output)
    return list(found.values())


def _described(tensor: Tensor) -> dict[str, Any]:
    q = tensor.quantization
    scales = q is not None and len(q.scale) > 0
    return {
        "type": tensor.dtype,
        "shape": tensor.shape,
        "scale": q.scale.tolist() if scales and q else [],
        "zero_point": q.zero_point.tolist() if scales and q else [],
        "axis": q.quantized_dimension if scales and q and len(q.scale) > 1 else None,
        "constant": None if tensor.buffer.data is None else tensor.buffer.data.tobytes(),
    }

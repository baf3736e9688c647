"""Show what a model holds: operators, tensors, quantization, sizes."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from qcore.analysis.coverage import coverage
from qcore.cli.terminal import console, print_json, size
from qcore.kernels.registry import look_up
from qcore.model import OPTIONAL, Model, Operator, Quantization, Subgraph, Tensor
from qcore.schema import load
from qcore.shown import dimensions, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", help="a .tflite file")
    parser.add_argument(
        "--engine", action="store_true", help="say what runs each operator on the fast engine: native code, or NumPy and why"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")


def execute(args: argparse.Namespace) -> None:
    """Run the command."""
    model = load(args.model)
    runs = coverage(model) if args.engine else None
    if args.json:
        print_json(describe(model, runs))
    else:
        show(model, runs)


def describe(model: Model, runs: list[list[str]] | None = None) -> dict[str, Any]:
    """The model as plain data: signatures, and each subgraph's operators and tensors.

    runs: what runs each operator, by subgraph, where that is asked for.
    """
    return {
        "description": model.description,
        "signatures": {s.key: {"inputs": dict(s.inputs), "outputs": dict(s.outputs)} for s in model.signatures or []},
        "metadata": [{"name": m.name, "bytes": 0 if m.buffer.data is None else m.buffer.data.size} for m in model.metadata or []],
        "notes": operator_notes(model),
        "subgraphs": [_subgraph(graph, None if runs is None else runs[number]) for number, graph in enumerate(model.subgraphs)],
    }


def _subgraph(graph: Subgraph, runs: list[str] | None) -> dict[str, Any]:
    return {
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "operators": [
            {
                "index": index,
                "operator": operator.name,
                "version": operator.code.version,
                "inputs": operator.inputs,
                "outputs": operator.outputs,
                "options": _options(operator),
                "supported": look_up(operator.code) is not None,
                **({} if runs is None else {"runs": runs[index]}),
            }
            for index, operator in enumerate(graph.operators)
        ],
        "tensors": [
            {
                "index": index,
                "name": tensor.name,
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "shape_signature": None if tensor.shape_signature is None else list(tensor.shape_signature),
                "constant_bytes": constant_bytes(tensor),
                "quantization": None if not is_quantized(tensor.quantization) else _quantization(tensor.quantization),
            }
            for index, tensor in enumerate(graph.tensors)
        ],
    }


def _options(operator: Operator) -> dict[str, Any]:
    return {} if operator.options is None else {name: str(value) for name, value in operator.options.fields.items()}


def is_quantized(q: Quantization | None) -> bool:
    """The tensor's integers stand for real numbers."""
    return q is not None and (q.scale.size > 0 or q.details is not None)


def _quantization(q: Quantization | None) -> dict[str, Any]:
    assert q is not None
    return {
        "scale": q.scale,
        "zero_point": q.zero_point,
        "quantized_dimension": q.quantized_dimension,
        "details": None if q.details is None else {"table": q.details.name, **{k: str(v) for k, v in q.details.fields.items()}},
    }


def constant_bytes(tensor: Tensor) -> int:
    """Bytes that the file holds for the tensor."""
    return 0 if tensor.buffer.data is None else tensor.buffer.data.size


def quantization_text(q: Quantization | None) -> str:
    """A tensor's quantization in a few words."""
    if q is None or not is_quantized(q):
        return ""
    if q.details is not None:
        return f"{q.details.name}, block size {q.details.fields.get('block_size', '?')}"
    zero_points = np.unique(q.zero_point) if q.zero_point.size else np.zeros(1, np.int64)
    zero = str(zero_points[0]) if zero_points.size == 1 else f"{zero_points[0]}..{zero_points[-1]}"
    if q.scale.size == 1:
        return f"scale {q.scale[0]:.9g}, zero point {zero}"
    return f"{q.scale.size} scales {q.scale.min():.4g}..{q.scale.max():.4g} along axis {q.quantized_dimension}, zero point {zero}"


def show(model: Model, runs: list[list[str]] | None = None) -> None:
    """Print the model as tables; runs: as for ``describe``."""
    out = console()
    constants = sum(buffer.data.size for buffer in model.buffers if buffer.data is not None)
    out.print(f"{model.description or 'no description'}; {len(model.subgraphs)} subgraph(s), constants {size(constants)}")
    for signature in model.signatures or []:
        inputs, outputs = (", ".join(name for name, _ in entries) for entries in (signature.inputs, signature.outputs))
        out.print(f"signature {signature.key}: ({inputs}) -> ({outputs}), subgraph {signature.subgraph_index}", markup=False)
    for number, graph in enumerate(model.subgraphs):
        title = f"subgraph {number} '{graph.name or ''}'"
        out.print()
        out.print(_operator_table(f"{title}: operators", graph, None if runs is None else runs[number]))
        out.print()
        out.print(_tensor_table(f"{title}: tensors", graph))
        out.print()
        out.print(_summary_table(f"{title}: by operator", graph))
    notes = operator_notes(model)
    if notes:
        out.print()
        out.print(table("notes", ("operator", "note"), sorted(notes.items())))


def operator_notes(model: Model) -> dict[str, str]:
    """What a reader should know of the model's operators, such as where qcore departs from TensorFlow Lite, by name."""
    definitions = (look_up(operator.code) for graph in model.subgraphs for operator in graph.operators)
    return {d.name: d.notes for d in definitions if d is not None and d.notes}


def _operator_table(title: str, graph: Subgraph, runs: list[str] | None) -> Any:
    def names(indices: list[int]) -> str:
        return " ".join("-" if i == OPTIONAL else str(i) for i in indices)

    def options(operator: Operator) -> str:
        return " ".join(f"{k}={v}" for k, v in _options(operator).items() if v not in ("False", "NONE", "None"))

    rows = [
        (i, op.name + (" (not supported)" if look_up(op.code) is None else ""), names(op.inputs), names(op.outputs), options(op))
        + (() if runs is None else (runs[i],))
        for i, op in enumerate(graph.operators)
    ]
    columns = ("op", "operator", "inputs", "outputs", "options", *(() if runs is None else ("runs",)))
    return table(title, columns, rows, numeric=("op",))


def _tensor_table(title: str, graph: Subgraph) -> Any:
    def role(i: int, tensor: Tensor) -> str:
        if i in graph.inputs:
            return "input"
        if i in graph.outputs:
            return "output"
        if tensor.is_variable:
            return "variable"
        return size(constant_bytes(tensor)) if tensor.is_constant else ""

    rows = [
        (i, t.name, t.dtype, dimensions(t.shape_signature or t.shape), role(i, t), quantization_text(t.quantization))
        for i, t in enumerate(graph.tensors)
    ]
    return table(title, ("tensor", "name", "type", "shape", "role or size", "quantization"), rows, numeric=("tensor", "role or size"))


def _summary_table(title: str, graph: Subgraph) -> Any:
    counts: dict[str, list[int]] = {}
    for operator in graph.operators:
        row = counts.setdefault(operator.name, [0, 0])
        row[0] += 1
        row[1] += sum(constant_bytes(graph.tensors[i]) for i in operator.inputs if i != OPTIONAL)
    rows = [(name, count, size(held)) for name, (count, held) in sorted(counts.items(), key=lambda item: -item[1][1])]
    return table(title, ("operator", "count", "constants"), rows, numeric=("count", "constants"))

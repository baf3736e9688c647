"""``diff``: where two models differ, in structure, quantization, constants, and in what they compute.

Operators are matched as ``compare`` matches them, by data flow and names, so that another order, inserted QUANTIZE and DEQUANTIZE or
renamed tensors hide nothing; what data flow leaves over is matched by the names of operators' outputs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np

from qcore.analysis.diffing.difference import Change, Departure, Difference, QuantizationChange, ValueChange
from qcore.analysis.diffing.matching import Matched
from qcore.analysis.tracing import Traced, trace
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic, Array
from qcore.model import OPTIONAL, Model, Operator, Quantization, Signature, Subgraph, Table, Tensor
from qcore.runtime.real_values import parameters, to_elements, to_real
from qcore.schema import constant, default_options, load

WITHOUT_REAL_VALUES = frozenset({"string", "resource", "variant", "bool", "complex64", "complex128"})


def diff(
    a: Model | str | os.PathLike[str] | bytes,
    b: Model | str | os.PathLike[str] | bytes,
    inputs: Any = None,
    *,
    arithmetic: Arithmetic = "reference",
) -> Difference:
    """Find where two models differ.

    Args:
        a: a ``Model``, a path or a file's bytes.
        b: likewise.
        inputs: for the first model, as ``qcore.trace`` takes them; the second is given the same real values, or the same codes where the
            input is quantized alike. Both are then run, and tensors that correspond are compared. None runs nothing.
        arithmetic: whose integers.

    Raises:
        InputError: the inputs do not fit, or are not those of the second model.
        QCoreError: a model is wrong, or cannot be run.
    """
    first, second = (model if isinstance(model, Model) else load(model) for model in (a, b))
    if first.to_bytes() == second.to_bytes():
        return Difference(True)
    matches = [Matched(first, second, k) for k in range(min(len(first.subgraphs), len(second.subgraphs)))]
    compared, values = (None, []) if inputs is None else run(matches[0], (first, second), inputs, arithmetic)
    return Difference(
        False,
        tuple(name for matched in matches for name in matched.only_a()),
        tuple(name for matched in matches for name in matched.only_b()),
        tuple(change for matched in matches for change in structure(matched)),
        tuple(change for matched in matches for change in quantization(matched)),
        tuple(change for matched in matches for change in constants(matched)),
        tuple(model_changes(first, second)),
        compared,
        tuple(values),
    )


def changes(subgraph: int, position: int | None, name: str, said: Mapping[str, tuple[Any, Any]]) -> Iterator[Change]:
    """Of what both models say, by what it is: what differs."""
    return (Change(subgraph, position, name, what, a, b) for what, (a, b) in said.items() if a != b)


def structure(matched: Matched) -> Iterator[Change]:
    """Operators and tensors that correspond, but are not the same."""
    a, b = matched.graphs
    for p, q in matched.operators.items():
        x, y = a.operators[p], b.operators[q]
        said = {
            "operator": (x.name, y.name),
            "version": (x.code.version, y.code.version),
            "outputs": (len(x.outputs), len(y.outputs)),
            "custom options": (hexadecimal(x.custom_options), hexadecimal(y.custom_options)),
        }
        yield from changes(matched.number, p, x.name, said | options(x, y))
        for slot, (i, j) in enumerate(zip_longest(x.inputs, y.inputs, fillvalue=OPTIONAL)):
            if (i == OPTIONAL) != (j == OPTIONAL) or (i != OPTIONAL and not matched.correspond(i, j)):
                yield Change(matched.number, p, x.name, f"input {slot}", tensor_name(a, i), tensor_name(b, j))
    moved = next((p for (p, q), (_, after) in pairwise(matched.operators.items()) if q > after), None)
    if moved is not None:
        yield Change(matched.number, moved, a.operators[moved].name, "place", moved, matched.operators[moved])
    for i, j in matched.tensors.items():
        s, t = a.tensors[i], b.tensors[j]
        said = {
            "name": (s.name, t.name),
            "type": (s.dtype, t.dtype),
            "shape": (list(s.shape), list(t.shape)),
            "shape signature": (s.shape_signature, t.shape_signature),
            "variable": (s.is_variable, t.is_variable),
            "sparse": (s.sparsity is not None, t.sparsity is not None),
            "range seen at training": (trained(s.quantization), trained(t.quantization)),
            "quantization details": (details(s.quantization), details(t.quantization)),
        }
        yield from changes(matched.number, None, s.name, said)


def options(x: Operator, y: Operator) -> dict[str, tuple[Any, Any]]:
    """Options of two operators, by name; what a file leaves out has its default."""
    tables = [operator.options or (default_options(operator.code.name) if operator.code.name != "CUSTOM" else None) for operator in (x, y)]
    fields = [{} if table is None else {name: plain(value) for name, value in table.fields.items()} for table in tables]
    if x.name != y.name:
        return {}
    return {name: (fields[0].get(name), fields[1].get(name)) for name in {**fields[0], **fields[1]}}


def quantization(matched: Matched) -> Iterator[QuantizationChange]:
    """Tensors of one type whose scales or zero points differ."""
    a, b = matched.graphs
    for i, j in matched.tensors.items():
        s, t = a.tensors[i], b.tensors[j]
        p, q = scales(s), scales(t)
        axes = tuple(
            tensor.quantization.quantized_dimension if n > 1 and tensor.quantization else None for tensor, (n, _, _) in ((s, p), (t, q))
        )
        if s.dtype != t.dtype or (axes[0] == axes[1] and all(np.array_equal(x, y) for x, y in zip(p[1:], q[1:], strict=True))):
            continue
        if p[0] != q[0] or not p[0]:
            few = [(float(scale[0]), int(zero_point[0])) if n == 1 else (None, None) for n, scale, zero_point in (p, q)]
            yield QuantizationChange(s.name, (p[0], q[0]), (axes[0], axes[1]), None, few[0][0], few[1][0], few[0][1], few[1][1])
            continue
        unlike = (p[1] != q[1]) | (p[2] != q[2])
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.nan_to_num(np.abs(np.log(q[1].astype(np.float64) / p[1])), nan=0.0)
        k = int(np.argmax(np.where(unlike, 1 + apart, 0)))
        worst = float(p[1][k]), float(q[1][k]), int(p[2][k]), int(q[2][k])
        yield QuantizationChange(s.name, (p[0], q[0]), (axes[0], axes[1]), int(unlike.sum()), *worst)


def scales(tensor: Tensor) -> tuple[int, Array, Array]:
    """How many scales a tensor has, these, and as many zero points."""
    params = parameters(tensor)
    return (0, np.zeros(0), np.zeros(0)) if params is None else (params.scale.size, params.scale, params.zero_point)


def constants(matched: Matched) -> Iterator[ValueChange]:
    """Constants that differ, in their elements or in what these stand for."""
    for i, j in matched.constants():
        s, t = matched.graphs[0].tensors[i], matched.graphs[1].tensors[j]
        x, y = constant(s), constant(t)
        if x is not None and y is not None and (change := value_change(s, x, t, y)) is not None:
            yield change


def value_change(s: Tensor, x: Array, t: Tensor, y: Array) -> ValueChange | None:
    """How elements x of a tensor s and y of t differ; None where they do not.

    Elements of one type and quantization are compared as they are, others by their real values. Handles of resources are numbers of a run.
    """
    if s.dtype == t.dtype == "resource":
        return None
    if x.shape != y.shape:
        return ValueChange(s.name, (s.dtype, t.dtype), x.size, x.size, None, None)
    same_codes = s.dtype == t.dtype and quantized_alike(s, t)
    has_real = not {s.dtype, t.dtype} & WITHOUT_REAL_VALUES
    if not same_codes and not has_real:
        return ValueChange(s.name, (s.dtype, t.dtype), x.size, x.size, None, None)
    u, v = (x, y) if same_codes else (to_real(s, x), to_real(t, y))
    unlike = np.asarray(u != v)
    if u.dtype.kind in "fc" and v.dtype.kind in "fc":
        unlike &= ~(np.isnan(u) & np.isnan(v))
    differing = int(np.count_nonzero(unlike))
    if not differing:
        return None
    codes = real = None
    if s.dtype == t.dtype and x.dtype.kind in "iu":
        wide = object if x.dtype.itemsize == 8 else np.int64  # Python's integers hold any difference
        codes = int(np.abs(x[unlike].astype(wide) - y[unlike].astype(wide)).max())
    if has_real:
        with np.errstate(invalid="ignore"):
            apart = np.abs(to_real(s, x)[unlike].astype(np.float64) - to_real(t, y)[unlike].astype(np.float64))
        real = float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max())
    return ValueChange(s.name, (s.dtype, t.dtype), x.size, differing, codes, real)


def quantized_alike(s: Tensor, t: Tensor) -> bool:
    """Codes of both tensors stand for the same real values."""
    p, q = parameters(s), parameters(t)
    if p is None or q is None:
        return p is q and details(s.quantization) == details(t.quantization)
    same = np.array_equal(p.scale, q.scale) and np.array_equal(p.zero_point, q.zero_point)
    return bool(same) and p.quantized_dimension == q.quantized_dimension


def run(matched: Matched, models: tuple[Model, Model], inputs: Any, arithmetic: Arithmetic) -> tuple[int, list[Departure]]:
    """Run both models on the same values: how many tensors were compared, and those that differ, in the first model's order.

    Raises:
        InputError: the inputs do not fit, or the models have not the same.
        QCoreError: a model cannot be run.
    """
    a, b = matched.graphs
    given = inputs if isinstance(inputs, list | tuple) else [inputs]
    first = trace(models[0], *given, arithmetic=arithmetic)
    counterpart = {j: i for i, j in matched.tensors.items() if i in a.inputs and j in b.inputs}
    missing = [b.tensors[j].name for j in b.inputs if j not in counterpart]
    if missing:
        raise InputError(f"diff: the first model has no input that corresponds to '{missing[0]}' of the second")
    second = trace(models[1], *(carried(first.at(counterpart[j]), b.tensors[j]) for j in b.inputs), arithmetic=arithmetic)
    unlike: dict[int, ValueChange | None] = {}

    def compared(i: int, j: int) -> ValueChange | None:
        if i not in unlike:
            unlike[i] = value_change(a.tensors[i], first.at(i).elements, b.tensors[j], second.at(j).elements)
        return unlike[i]

    found = []
    for p, q in matched.operators.items():
        x, y = a.operators[p], b.operators[q]
        values = [(i, j) for i, j in zip(x.inputs, y.inputs, strict=False) if i in matched.flows[0].value]
        agree = all(matched.correspond(i, j) and compared(i, j) is None for i, j in values)
        outputs = [compared(i, j) for i, j in zip(x.outputs, y.outputs, strict=False)]
        found += [Departure((p, q), x.name, change, agree) for change in outputs if change is not None]
    return len(unlike), found


def carried(value: Traced, tensor: Tensor) -> Array:
    """An input of the first model for one of the second: its codes where both are quantized alike, else its real values."""
    return (
        value.elements if value.tensor.dtype == tensor.dtype and quantized_alike(value.tensor, tensor) else to_elements(tensor, value.real)
    )


def model_changes(a: Model, b: Model) -> Iterator[Change]:
    """What the models say beside their graphs."""
    said: dict[str, tuple[Any, Any]] = {
        "description": (a.description, b.description),
        "subgraphs": (len(a.subgraphs), len(b.subgraphs)),
        "inputs": (terminals(a, "inputs"), terminals(b, "inputs")),
        "outputs": (terminals(a, "outputs"), terminals(b, "outputs")),
    }
    for what, entries in (("signature", (signatures(a), signatures(b))), ("metadata", (metadata(a), metadata(b)))):
        said |= {f"{what} {key!r}": (entries[0].get(key), entries[1].get(key)) for key in {**entries[0], **entries[1]}}
    return changes(0, None, "model", said)


def terminals(model: Model, ends: str) -> list[str]:
    """Inputs or outputs of the first subgraph: name, type, shape."""
    graph = model.subgraphs[0]
    tensors = [graph.tensors[i] for i in getattr(graph, ends)]
    return [f"{t.name} {t.dtype}{list(t.shape_signature or t.shape)}" for t in tensors]


def signatures(model: Model) -> dict[str, str]:
    """What each signature enters, and its inputs and outputs with their tensors' names."""

    def named(s: Signature, entries: Sequence[tuple[str, int]]) -> str:
        tensors = model.subgraphs[s.subgraph_index].tensors
        return ", ".join(f"{name}: {tensors[i].name}" for name, i in entries)

    return {s.key: f"subgraph {s.subgraph_index} ({named(s, s.inputs)}) -> ({named(s, s.outputs)})" for s in model.signatures or ()}


def metadata(model: Model) -> dict[str, str]:
    """Each entry's size and digest."""
    entries = ((entry.name or "", b"" if entry.buffer.data is None else entry.buffer.data.tobytes()) for entry in model.metadata or ())
    return {name: f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()[:12]}" for name, data in entries}


def trained(q: Quantization | None) -> tuple[list[float], list[float]] | None:
    """The range that a file says was seen at training."""
    return None if q is None or not (q.min.size or q.max.size) else (q.min.tolist(), q.max.tolist())


def details(q: Quantization | None) -> Any:
    """A blockwise or other quantization, without the numbers of the tensors that hold its scales."""
    if q is None or q.details is None:
        return None
    return q.details.name, {name: plain(value) for name, value in q.details.fields.items() if name not in ("scales", "zero_points")}


def plain(value: Any) -> Any:
    """A value of a table, such that two can be compared."""
    if isinstance(value, Table):
        return {"table": value.name, **{name: plain(item) for name, item in value.fields.items()}}
    return value.tolist() if isinstance(value, np.ndarray) else [plain(item) for item in value] if isinstance(value, list) else value


def hexadecimal(data: Array | None) -> str | None:
    """Custom options as text."""
    return None if data is None else data.tobytes().hex()


def tensor_name(graph: Subgraph, index: int) -> str | None:
    """A tensor's name; None for an input that is left out."""
    return None if index == OPTIONAL else graph.tensors[index].name

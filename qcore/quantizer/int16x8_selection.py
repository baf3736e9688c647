"""Which operators of a subgraph "int16x8" quantizes, and why the others stay in floating point."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from qcore.model import OPTIONAL, Operator
from qcore.quantizer.graph import Graph, real_constant
from qcore.quantizer.int16x8_specification import SPECIFICATION, Row, Scaling
from qcore.quantizer.options import Options, Ranges

_WIDEST = MappingProxyType({"ADD": float(np.finfo(np.float32).max) * (1 - 2.0**-15), "SOFTMAX": 10 * 2.0**30})
"""Magnitudes from which on kernels of TensorFlow Lite abort, or shift by more bits than there are. Masks of attention reach them."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """An operator to quantize, its row, and the slots of its activations."""

    operator: Operator
    row: Row
    slots: list[int]


def select(graph: Graph, ranges: Ranges, options: Options) -> tuple[list[Chosen], dict[int, str]]:
    """Decides for each operator of a float subgraph.

    Returns:
        The operators to quantize, and why others that compute with real numbers are not, by their place.
    """
    chosen: list[Chosen] = []
    kept: dict[int, str] = {}
    for place, operator in enumerate(graph.operators):
        if not any(_is_real(graph, i) for i in (*operator.inputs, *operator.outputs)):
            continue
        row = SPECIFICATION.get(operator.name)
        if row is None:
            kept[place] = "16x8 has no rule for it"
            continue
        use = Chosen(operator, row, _real_slots(graph, operator, row))
        reason = _reason(graph, use, ranges, options)
        if reason is None:
            chosen.append(use)
        else:
            kept[place] = reason
    return chosen, kept


def describe(graph: Graph, kept: dict[int, str]) -> list[str]:
    """A line for each operator that stays in floating point, by its place."""
    lines = []
    for place, reason in kept.items():
        operator = graph.operators[place]
        output = next((graph.tensors[i].name for i in operator.outputs if i != OPTIONAL), "")
        lines.append(f"{operator.name} (op {place}, output {output!r}): {reason}")
    return lines


def tensor_at(operator: Operator, slot: int | None) -> int:
    """The tensor of an input; OPTIONAL where the operator leaves it out."""
    return operator.inputs[slot] if slot is not None and slot < len(operator.inputs) else OPTIONAL


def range_of(graph: Graph, tensor: int, ranges: Ranges) -> tuple[float, float] | None:
    """Least and greatest value of a real tensor: of a constant its own, of others as calibrated; None if unknown or not finite."""
    if graph.tensors[tensor].is_constant:
        values = real_constant(graph.tensors[tensor])
        low_high = None if values is None or not values.size else (float(values.min()), float(values.max()))
    else:
        low_high = ranges.range(graph.index, tensor, "int16")
    return low_high if low_high is not None and np.isfinite(low_high).all() else None


def _is_real(graph: Graph, tensor: int) -> bool:
    return tensor != OPTIONAL and graph.tensors[tensor].dtype == "float32"


def _real_slots(graph: Graph, operator: Operator, row: Row) -> list[int]:
    slots = row.inputs or range(len(operator.inputs))
    return [slot for slot in slots if _is_real(graph, tensor_at(operator, slot))]


def _reason(graph: Graph, use: Chosen, ranges: Ranges, options: Options) -> str | None:
    """Why an operator stays in floating point; None where it does not."""
    operator, row = use.operator, use.row
    if not options.quantizes(graph, operator):
        return "a rule keeps it"
    if not use.slots:
        return "it has no real input"
    ranged = [operator.inputs[slot] for slot in use.slots]
    if row.scaling in (Scaling.OWN, Scaling.TO_INPUTS):
        ranged += [i for i in operator.outputs if _is_real(graph, i)]
    for tensor in ranged:
        low_high = range_of(graph, tensor, ranges)
        if low_high is None:
            return f"{graph.tensors[tensor].name!r} has no finite range"
        if max(map(abs, low_high)) >= _WIDEST.get(operator.name, np.inf):
            return f"the range of {graph.tensors[tensor].name!r} is too wide"
    return None if row.weights is None else _weights_reason(graph, operator, row)


def _weights_reason(graph: Graph, operator: Operator, row: Row) -> str | None:
    weights, bias = tensor_at(operator, row.weights), tensor_at(operator, row.bias)
    values = None if weights == OPTIONAL else real_constant(graph.tensors[weights])
    if values is None or not values.size or not np.isfinite(values).all():
        return "its weights are no finite float32 constant"
    if values.ndim <= row.axis:
        return f"its weights have {values.ndim} dimensions"
    if bias == OPTIONAL:
        return None
    real_bias = real_constant(graph.tensors[bias])
    if real_bias is None or not np.isfinite(real_bias).all():
        return "its bias is no finite float32 constant"
    channels = values.shape[row.axis]
    return None if real_bias.shape == (channels,) else f"its bias has shape {list(real_bias.shape)}, expected {channels} elements"

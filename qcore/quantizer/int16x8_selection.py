"""Which operators of a subgraph "int16x8" quantizes, and why the others stay in floating point."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qcore.model import OPTIONAL, Operator
from qcore.numerics import greatest_magnitude, guarded_filter_range
from qcore.quantizer.graph import Graph, real_constant, tensor_at
from qcore.quantizer.int16x8_params import activation_params
from qcore.quantizer.int16x8_specification import SPECIFICATION, Row, Scaling
from qcore.quantizer.options import Options, Ranges
from qcore.quantizer.runnable import UNKNOWN_TYPES, refused_int16


@dataclass(frozen=True, eq=False)
class Chosen:
    """An operator to quantize, its row, and the slots of its activations."""

    operator: Operator
    row: Row
    slots: list[int]


@dataclass
class Selection:
    """What becomes of the operators of a subgraph that compute with real numbers.

    chosen: those to quantize.
    kept: why the others stay in floating point.
    refused: why TensorFlow Lite does not run some of the chosen.
    """

    chosen: list[Chosen] = field(default_factory=list)
    kept: dict[Operator, str] = field(default_factory=dict)
    refused: dict[Operator, str] = field(default_factory=dict)


def select(graph: Graph, ranges: Ranges, options: Options) -> Selection:
    """Decides for each operator of a float subgraph."""
    selection = Selection()
    for operator in graph.operators:
        if not any(_is_real(graph, i) for i in (*operator.inputs, *operator.outputs)):
            continue
        row = SPECIFICATION.get(operator.name)
        if row is None:
            selection.kept[operator] = "16x8 has no rule for it"
            continue
        slots = real_slots(graph, operator, row)
        left = [slot for slot in slots if slot == row.float_constant and graph.tensors[operator.inputs[slot]].is_constant]
        use = Chosen(operator, row, slots if options.runnable else [slot for slot in slots if slot not in left])
        reason = _reason(graph, use, ranges, options)
        refusal = UNKNOWN_TYPES if left and not options.runnable else refused_int16(operator.name, _reach(graph, use, ranges))
        if reason is None and options.runnable:
            reason = refusal
        if reason is not None:
            selection.kept[operator] = reason
            continue
        selection.chosen.append(use)
        if refusal is not None:
            selection.refused[operator] = refusal
    return selection


def without_range(graph: Graph, ranges: Ranges, options: Options) -> list[str]:
    """The tensors that keep operators in floating point since no range is known for them, each with what computes it."""
    producers = graph.producers()
    lacking: dict[int, None] = {}
    for operator in graph.operators:
        row = SPECIFICATION.get(operator.name)
        slots = [] if row is None else real_slots(graph, operator, row)
        if row is not None and slots and options.quantizes(graph, operator):
            needed = [i for i in _ranged(graph, Chosen(operator, row, slots)) if not graph.tensors[i].is_constant]
            lacking |= dict.fromkeys(i for i in needed if range_of(graph, i, ranges) is None)
    return [f"{graph.tensors[i].name!r} ({producers[i].name if i in producers else 'an input'})" for i in lacking]


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


def real_slots(graph: Graph, operator: Operator, row: Row) -> list[int]:
    """The slots of an operator's activations."""
    slots = row.inputs or range(len(operator.inputs))
    return [slot for slot in slots if _is_real(graph, tensor_at(operator, slot))]


def _reason(graph: Graph, use: Chosen, ranges: Ranges, options: Options) -> str | None:
    """Why an operator stays in floating point; None where it does not."""
    operator, row = use.operator, use.row
    if not options.quantizes(graph, operator):
        return "a rule keeps it"
    if not use.slots:
        return "it has no real input"
    if row.scaling is Scaling.TO_INPUTS and not _is_real(graph, operator.outputs[0]):
        return "it has no real output"
    for tensor in _ranged(graph, use):
        if range_of(graph, tensor, ranges) is None:
            return f"{graph.tensors[tensor].name!r} has no finite range"
    return None if row.weights is None else _weights_reason(graph, use, ranges, options)


def _ranged(graph: Graph, use: Chosen) -> list[int]:
    """The tensors whose ranges the operator needs."""
    ranged = [use.operator.inputs[slot] for slot in use.slots]
    if use.row.scaling in (Scaling.OWN, Scaling.TO_INPUTS):
        ranged += [i for i in use.operator.outputs if _is_real(graph, i)]
    return ranged


def _reach(graph: Graph, use: Chosen, ranges: Ranges) -> float:
    """The greatest magnitude among these."""
    known = [range_of(graph, tensor, ranges) for tensor in _ranged(graph, use)]
    return max((max(map(abs, low_high)) for low_high in known if low_high is not None), default=0.0)


def _weights_reason(graph: Graph, use: Chosen, ranges: Ranges, options: Options) -> str | None:
    operator, row = use.operator, use.row
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
    if real_bias.shape != (channels,):
        return f"its bias has shape {list(real_bias.shape)}, expected {channels} elements"
    reach = own_reach(graph, weights, options.channel_axis(operator.name, row.axis))
    with np.errstate(over="ignore", invalid="ignore"):
        representable = np.isfinite(guarded_reach(graph, use, reach, ranges, options)).all()
    return None if representable else "its bias takes weights of an infinite scale, since its input was never other than 0"


def own_reach(graph: Graph, weights: int, axis: int | None) -> NDArray[np.float32]:
    """float32[1 or channels]: the magnitudes that the scales of weights stand for, as the tensor's min and max or its values tell."""
    values, told = real_constant(graph.tensors[weights]), graph.tensors[weights].quantization
    assert values is not None
    reach = np.atleast_1d(greatest_magnitude(values, axis))
    if told is not None and told.min.shape == told.max.shape == reach.shape and np.isfinite([told.min, told.max]).all():
        return np.maximum(np.abs(told.min), np.abs(told.max))
    return reach


def guarded_reach(graph: Graph, use: Chosen, reach: NDArray[np.float32], ranges: Ranges, options: Options) -> NDArray[np.float32]:
    """The reach of weights, raised where the bias would pass half of int32 in the scale that the input's own range gives."""
    bias = tensor_at(use.operator, use.row.bias)
    if bias == OPTIONAL:
        return reach
    values, low_high = real_constant(graph.tensors[bias]), range_of(graph, use.operator.inputs[use.slots[0]], ranges)
    assert values is not None
    assert low_high is not None
    scale, _ = activation_params(*low_high, options.runnable).single()
    return guarded_filter_range(values, scale, reach)

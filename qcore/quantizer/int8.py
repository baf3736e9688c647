"""Full-integer int8: weights and activations from calibrated ranges, as TensorFlow's converter quantizes them.

What each operator asks for is written in ``specification``; the passes below only carry it out, in this order.

Source: tflite/converter/quantization/lite/quantize_model.cc#QuantizeModel and tflite/converter/tf_tfl_passes.cc#AddQuantizationPasses,
with the float32 scales of ``legacy_float_scale``.
"""

from __future__ import annotations

from qcore.errors import ModelError, QuantizationError
from qcore.model import OPTIONAL, Model, Operator
from qcore.quantizer.graph import Graph
from qcore.quantizer.int8_constants import separate_constants, weights, widen_constants
from qcore.quantizer.int8_fallback import kept_float
from qcore.quantizer.int8_propagate import propagate
from qcore.quantizer.int8_ranges import pinned_params
from qcore.quantizer.int8_recurrent import add_intermediates, settle_recurrent
from qcore.quantizer.int8_rewrite import (
    CONVERSIONS,
    absorb_conversions,
    fold_requantization,
    insert_conversions,
    remove_pairs,
    remove_unread_conversions,
)
from qcore.quantizer.int8_tidy import tidy
from qcore.quantizer.options import Options, Ranges
from qcore.quantizer.specification import rule_of


def quantize_int8(model: Model, ranges: Ranges, options: Options) -> None:
    """Quantizes a model in place.

    The interface stays float32: a QUANTIZE behind every input with a range and a DEQUANTIZE before every output that has parameters, even
    where floating-point operators read and compute them, so that ``set_io_types`` may ask for integers there. ``simplify_interface``
    removes those that cancel out.

    Args:
        model: a float model, edited.
        ranges: of its activations.
        options: per_channel, per_channel_dense, float_fallback and rules apply.

    Raises:
        QuantizationError: a range that no tensor can be quantized with; or operators that stay float, without ``float_fallback``.
        ModelError: an operator lacks inputs or outputs.
    """
    places = _places(model)
    for operator, place in places.items():
        _check(operator, place)
    kept: dict[Operator, str] = {}
    for index in range(len(model.subgraphs)):
        kept |= _quantize(Graph(model, index), ranges, options)
    if kept and not options.float_fallback:
        lines = [f"{places[operator]}: {reason}" for operator, reason in kept.items()]
        raise QuantizationError(f"int8 without float_fallback: {len(lines)} operators stay float\n" + "\n".join(lines))


def simplify_interface(model: Model) -> None:
    """Removes the conversions at inputs and outputs that cancel out; the last pass, after ``set_io_types``."""
    for index in range(len(model.subgraphs)):
        graph = Graph(model, index)
        remove_pairs(graph, at_interface=True)
        remove_unread_conversions(graph)


def _quantize(graph: Graph, ranges: Ranges, options: Options) -> dict[Operator, str]:
    """Quantizes one subgraph; gives the operators that stay float, with the reasons."""
    widen_constants(graph)
    separate_constants(graph)
    pinned = pinned_params(graph, ranges)
    found = propagate(graph, pinned, weights(graph, options), patient=not options.float_fallback)
    settle_recurrent(graph, ranges, found)
    kept = kept_float(graph, found, options)
    codes = insert_conversions(graph, found)
    absorb_conversions(graph, kept, codes)
    add_intermediates(graph, found, kept)
    remove_unread_conversions(graph)
    fold_requantization(graph)
    remove_pairs(graph, at_interface=False)
    remove_unread_conversions(graph)
    tidy(graph)
    return kept


def _check(operator: Operator, place: str) -> None:
    """Refuses an operator without the inputs and outputs that the passes count on."""
    rule = rule_of(operator)
    if rule is None and operator.name not in CONVERSIONS:
        return
    required = 1 if rule is None else rule.required
    given = operator.inputs[:required]
    if len(given) < required or OPTIONAL in given or not operator.outputs:
        raise ModelError(f"{place}: got inputs {operator.inputs}, outputs {operator.outputs}, expected at least {required} and 1")


def _places(model: Model) -> dict[Operator, str]:
    """What to call each operator of the model that was given."""
    places = {}
    for subgraph in model.subgraphs:
        for i, operator in enumerate(subgraph.operators):
            output = next((subgraph.tensors[t].name for t in operator.outputs if t != OPTIONAL), "")
            places[operator] = f"{operator.name} (op {i}, output {output!r})"
    return places

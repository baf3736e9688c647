"""Full-integer int8: weights and activations, from calibrated ranges or carried ones, as TensorFlow's converter quantizes them.

What each operator asks for is written in ``specification``; the passes below only carry it out, in this order.

Source: tflite/converter/quantization/lite/quantize_model.cc#QuantizeModel and tflite/converter/tf_tfl_passes.cc#AddQuantizationPasses,
with the float32 scales of ``legacy_float_scale`` after calibration.
"""

from __future__ import annotations

from collections.abc import Collection

from qcore.errors import ModelError, QuantizationError
from qcore.model import OPTIONAL, Model, Operator
from qcore.quantizer.graph import Graph, places
from qcore.quantizer.graph_ranges import require_ranges, take_ranges
from qcore.quantizer.int8_constants import Precision, separate_constants, weights
from qcore.quantizer.int8_fallback import kept_float, quantized_but_refused, without_range
from qcore.quantizer.int8_loops import LoopRanges, quantize_loops
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
from qcore.quantizer.runnable import warn_of_refused
from qcore.quantizer.specification import spec_of


def quantize_int8(model: Model, ranges: Ranges, options: Options) -> set[Operator]:
    """Quantizes a model in place.

    The interface stays float32: a QUANTIZE behind every input with a range and a DEQUANTIZE before every output that has parameters, even
    where floating-point operators read and compute them, so that ``set_io_types`` may ask for integers there. ``simplify_interface``
    removes those that cancel out.

    Args:
        model: a float model, edited.
        ranges: of its activations, but for those that the graph carries.
        options: per_channel, per_channel_dense, float_fallback, runnable, rules and ranges apply, weight_type to what the graph rounds.

    Returns:
        The operators that emulate quantization between operators that stay float, for ``simplify_interface``.

    Raises:
        QuantizationError: a range that no tensor can be quantized with; tensors without one, where ranges are to come from the graph; or
            operators that stay float, without ``float_fallback``.
        ModelError: an operator lacks inputs or outputs.
    """
    names = places(model)
    for operator, place in names.items():
        require_operands(operator, place)
    if not options.float_fallback:
        ranges = LoopRanges.of(model, ranges)
    kept: dict[Operator, str] = {}
    refused: dict[Operator, str] = {}
    emulating: set[Operator] = set()
    lacking: list[str] = []
    for index in range(len(model.subgraphs)):
        kept |= _quantize(Graph(model, index), ranges, options, emulating, refused, lacking)
    if options.ranges == "graph":
        require_ranges("int8", lacking)
    if not options.float_fallback:
        whole = quantize_loops(model)
        lines = [f"{names[o]}: {reason}" for o, reason in kept.items() if o.name not in CONVERSIONS and o not in whole]
        if lines:
            raise QuantizationError(f"int8 without float_fallback: {len(lines)} operators stay float\n" + "\n".join(lines))
    warn_of_refused("int8", {name: refused[operator] for operator, name in names.items() if operator in refused})
    return emulating


def simplify_interface(model: Model, lasting: Collection[Operator]) -> None:
    """Removes the conversions at inputs and outputs that cancel out, but for those that last; after ``set_io_types``, the last pass."""
    for index in range(len(model.subgraphs)):
        graph = Graph(model, index)
        remove_pairs(graph, at_interface=True, lasting=lasting)
        remove_unread_conversions(graph)


def _quantize(
    graph: Graph, ranges: Ranges, options: Options, emulating: set[Operator], refused: dict[Operator, str], lacking: list[str]
) -> dict[Operator, str]:
    """Quantizes one subgraph; gives the operators that stay float, with the reasons.

    Adds to what emulates, to what kernels refuse, and to the tensors that lack a range.
    """
    carried = take_ranges(graph, options)
    emulating |= {*carried.behind.values(), *carried.wide}
    separate_constants(graph)
    pinned = pinned_params(graph, ranges, carried.params)
    precision: Precision = "float64" if pinned.keys() == carried.params.keys() else "float32"
    own = {tensor: axis for tensor, axis in weights(graph, options).items() if tensor not in pinned}
    found = propagate(graph, pinned, own, precision, patient=options.ranges == "graph" or not options.float_fallback)
    settle_recurrent(graph, ranges, found)
    lacking += without_range(graph, found, options)
    kept = kept_float(graph, found, options)
    if options.ranges == "graph":
        # What stays float has no parameters of its own that its output would be rounded to first.
        for output in [output for operator in kept for output in operator.outputs]:
            found.computed.pop(output, None)
    refused |= quantized_but_refused(graph, found, kept)
    codes = insert_conversions(graph, found, carried)
    absorb_conversions(graph, kept, codes, carried)
    add_intermediates(graph, found, kept)
    remove_unread_conversions(graph)
    fold_requantization(graph, kept=carried.codes if options.ranges == "graph" else ())
    remove_pairs(graph, at_interface=False, lasting=emulating)
    remove_unread_conversions(graph)
    tidy(graph, to_the_code=options.ranges == "graph")
    return kept


def require_operands(operator: Operator, place: str) -> None:
    """Refuses an operator without the inputs and outputs that the passes count on.

    Raises:
        ModelError: it lacks some.
    """
    spec = spec_of(operator)
    if spec is None and operator.name not in (*CONVERSIONS, "FAKE_QUANT"):
        return
    required = 1 if spec is None else spec.required
    given = operator.inputs[:required]
    if len(given) < required or OPTIONAL in given or not operator.outputs:
        raise ModelError(f"{place}: got inputs {operator.inputs}, outputs {operator.outputs}, expected at least {required} and 1")

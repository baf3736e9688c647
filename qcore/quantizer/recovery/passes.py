"""The walk over a quantized model: one operator with weights after another gets better constants, from what samples make it read.

In the order they run, so that each makes good for what all before it do, as they are by then. Moments of what an operator reads are
gathered from most samples; the rest is held out, and decides method by method whether it helps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np

from qcore.model import Model, Operator
from qcore.quantizer.recovery.blockwise import descended_blocks, recovered_blocks
from qcore.quantizer.recovery.layers import Layer, Solution, find_layers
from qcore.quantizer.recovery.moments import Collector, Moments, Real
from qcore.quantizer.recovery.rows import FORMS, Form
from qcore.quantizer.recovery.running import Walk, walks
from qcore.quantizer.recovery.solve import (
    Curvature,
    Round,
    best_pull,
    coordinate_descent,
    corrected_bias,
    fitted,
    gptq,
    least_squares_target,
    refitted_scales,
    rounded,
    squared_error,
)
from qcore.quantizer.recovery.tables import refit_tables
from qcore.quantizer.warning import warn

WEIGHT_METHODS = ("least_squares", "weight_scales", "gptq", "coordinate_descent")
"""Methods that change weights, in the order in which they are tried."""

HELD_OUT = 5
"""Every one of so many samples is held out."""

ROWS, ROWS_FOR_DEPTH = 8192, 64
"""An operator's moments are gathered from so many rows of all samples together, or so many times its depth; of more, some are drawn."""

_SWEEPS = 9
"""Of coordinate descent."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """What samples say of a layer.

    form: of the operator.
    fitted, held_out: moments of the samples that constants follow from, and of the others; None where there are too few.
    """

    form: Form
    fitted: Moments
    held_out: Moments | None


def recover_weights(
    model: Model,
    quantized: Model,
    origins: Mapping[Operator, Operator],
    samples: Sequence[Any],
    methods: Collection[str],
    advance: Callable[[int], None] = lambda count: None,
) -> None:
    """Gives the operators of a quantized model better weights and biases, in place.

    Args:
        model: the float model.
        quantized: what became of it; edited.
        origins: by operator of the quantized model, that of the float one it came from.
        samples: as ``qcore.calibrate`` takes them.
        methods: "bias_correction" and those of WEIGHT_METHODS.
        advance: told of each operator that is done.

    Raises:
        InputError: a sample does not fit.
        QCoreError: a model cannot run on it.
    """
    if "weight_scales" in methods:
        refit_tables(model, quantized, origins)
    by_subgraph = walks(model, quantized, samples)
    for layer in find_layers(model, quantized, origins):
        pair = by_subgraph.get(layer.graph.index)
        if pair is None:
            advance(1)
            continue
        found, shared = gather(layer, *pair), len(layer.sharing) > 1
        if shared and layer is layer.sharing[0]:
            improve_together(layer.sharing, [found, *(gather(other, *pair, goes_on=False) for other in layer.sharing[1:])], methods)
        if found is not None:
            improve(layer, found, [method for method in methods if not shared or method not in WEIGHT_METHODS])
        advance(1)


def gather(layer: Layer, real: Walk, quantized: Walk, goes_on: bool = True) -> Gathered | None:
    """Takes walks over both models up to a layer; None where it does not read the same shapes in both, or infinities.

    goes_on: no layer before this one will be gathered.
    """
    slot = layer.slots.input
    fitted, held_out = Collector(), Collector()
    form: Form | None = None
    pairs = zip(real.inputs(layer.real, slot, goes_on), quantized.inputs(layer.operator, slot, goes_on), strict=True)
    for number, ((x_f, step), (x_q, _)) in enumerate(pairs):
        if step is None or x_f.shape != x_q.shape or not x_f.size or not (np.isfinite(x_f).all() and np.isfinite(x_q).all()):
            return None
        form = FORMS[layer.operator.name](step.params)
        most = -(-max(ROWS, ROWS_FOR_DEPTH * form.matrix(layer.weights).shape[2]) // len(real))
        places = np.arange(form.places)
        if form.places > most:
            places = np.sort(np.random.default_rng(number).choice(form.places, most, replace=False))
        (held_out if number % HELD_OUT == HELD_OUT - 1 else fitted).add(form.rows(x_f, places), form.rows(x_q, places))
    found = fitted.moments()
    if form is None or found is None:
        return None
    return Gathered(form, found, held_out.moments())


def improve(layer: Layer, gathered: Gathered, methods: Collection[str]) -> None:
    """Gives a layer what ``improved`` finds."""
    solution = improved(layer, gathered, methods)
    if solution is not None:
        layer.write(gathered.form, solution)


def improve_together(layers: Sequence[Layer], gathered: Sequence[Gathered | None], methods: Collection[str]) -> None:
    """Gives layers that share weights those that suit all of them; biases are left to each, which first get their float values.

    Nothing happens where it is not known what one of them reads, or they use different taps of a filter.
    """
    known = [one for one in gathered if one is not None]
    taps = [one.form.matrix(np.arange(layers[0].weights.size).reshape(layers[0].weights.shape)) for one in known]
    if len(known) < len(layers) or any(not np.array_equal(taps[0], other) for other in taps[1:]):
        return
    fitted, others = [one.fitted for one in known], [one.held_out for one in known if one.held_out is not None]
    together = Gathered(known[0].form, reduce(Moments.beside, fitted), reduce(Moments.beside, others) if others else None)
    solution = improved(layers[0], together, methods)
    for layer, one in zip(layers, known, strict=True):
        if solution is not None:
            layer.write(one.form, replace(solution, bias=layer.problem(one.form)[1]))


def improved(layer: Layer, gathered: Gathered, methods: Collection[str]) -> Solution | None:
    """Tries method after method, keeps each that does not hurt the held-out samples, and then solves with all samples; None if none."""
    form, fitted, held_out = gathered.form, gathered.fitted, gathered.held_out
    judging, everything = held_out or fitted, fitted + held_out if held_out else fitted
    weights, bias = layer.problem(form)
    present = layer.read(form)

    def error(solution: Solution) -> float:
        return float(squared_error(weights, bias, solution.weights, solution.bias, judging).sum())

    pull = best_pull(weights, bias, fitted, held_out) if "least_squares" in methods and held_out else math.inf
    kept: frozenset[str] = frozenset()
    least, curvature = error(present), Curvature.of(fitted)
    for method in ("bias_correction", *WEIGHT_METHODS):
        if method in methods:
            tried = error(solve(layer, form, fitted, curvature, kept | {method}, pull))
            if tried <= least:
                kept, least = kept | {method}, tried
    return solve(layer, form, everything, Curvature.of(everything), kept, pull) if kept else None


def solve(layer: Layer, form: Form, moments: Moments, curvature: Curvature, methods: Collection[str], pull: float) -> Solution:
    """The constants that some methods give a layer; weights that change are rounded from least squares with that pull."""
    weights, bias = layer.problem(form)
    present = layer.read(form)
    codes, scale = present.codes, present.scale
    if set(methods) & set(WEIGHT_METHODS):
        try:
            codes, scale = _weights(layer, form, moments, curvature, methods, pull)
        except np.linalg.LinAlgError as error:
            warn(f"accuracy: {layer.name}: {error}; its weights are left as they were")
    if "bias_correction" in methods:
        bias = corrected_bias(weights, bias, Solution(codes, scale, bias).weights, moments)
    return Solution(codes, scale, bias)


def _weights(layer: Layer, form: Form, moments: Moments, curvature: Curvature, methods: Collection[str], pull: float) -> tuple[Real, Real]:
    """Codes and scales.

    Raises:
        LinAlgError: moments that no method can work with.
    """
    (weights, _), scale, grid = layer.problem(form), layer.read(form).scale, layer.grid
    target = least_squares_target(weights, moments, pull)
    least, matrix = layer.least_scale().reshape(target.shape[:2]), curvature.matrix
    if layer.block_size is not None:
        codes, scale = recovered_blocks(target, scale, matrix, grid, methods)
        for _ in range(_SWEEPS if "coordinate_descent" in methods else 0):
            codes, scale = descended_blocks(codes, target, scale, matrix, grid, "weight_scales" in methods)
        return codes, scale
    to_codes: Round = partial(rounded, grid=grid)
    if "gptq" in methods:
        to_codes = partial(gptq, factor=curvature.factor, grid=grid)
    if "weight_scales" in methods:
        codes, scale = fitted(target, matrix, grid, least, layer.per_channel, to_codes)
    else:
        codes = to_codes(target, scale)
    if "coordinate_descent" in methods:
        for _ in range(_SWEEPS):
            before = codes, scale
            codes = coordinate_descent(codes, target, scale, matrix, grid)
            if "weight_scales" in methods and layer.per_channel:
                scale = refitted_scales(codes, target, scale, matrix, least)
            if all(map(np.array_equal, before, (codes, scale))):
                break
    return codes, scale

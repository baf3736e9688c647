"""``quantize_model(accuracy=...)``: which methods, on which samples, and whether the whole model gained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.calibration import Method, Statistics
from qcore.calibration.calibrating import progress_bar
from qcore.errors import InputError
from qcore.model import Model, Operator
from qcore.numerics.metrics import ErrorSums
from qcore.quantizer.graph import copy_model, finish
from qcore.quantizer.options import Ranges
from qcore.quantizer.recovery.layers import find_layers
from qcore.quantizer.recovery.passes import HELD_OUT, WEIGHT_METHODS, recover_weights
from qcore.quantizer.recovery.running import feeds, outputs, without_softmax
from qcore.quantizer.warning import warn

METHODS = ("mse_ranges", "bias_correction", *WEIGHT_METHODS)
"""By name, in the order in which they are tried; "max" is all of them."""

Accuracy = str | Sequence[str] | None


def read_methods(accuracy: Accuracy) -> tuple[str, ...]:
    """The methods that a caller asks for.

    Raises:
        InputError: there is none of a name.
    """
    single = isinstance(accuracy, str) or not isinstance(accuracy, Iterable)
    names: list[Any] = [] if accuracy is None else [accuracy] if single else list(accuracy)
    if "max" in names:
        names = list(METHODS) + names
    unknown = [name for name in names if name not in (*METHODS, "max")]
    if unknown:
        raise InputError(f"quantize_model: accuracy: got {unknown[0]!r}, expected 'max' or some of {', '.join(map(repr, METHODS))}")
    return tuple(method for method in METHODS if method in names)


@dataclass(frozen=True, eq=False)
class Quantized:
    """A finished model.

    origins: by its operators, those of the float model that they came from.
    """

    model: Model
    origins: Mapping[Operator, Operator]


@dataclass(frozen=True)
class NarrowedRanges:
    """Ranges of the least squared error, but for inputs of the model, which keep their ends.

    statistics: of samples. inputs: numbers of subgraph and tensor.
    """

    statistics: Statistics
    inputs: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, statistics: Statistics, model: Model) -> NarrowedRanges:
        """Those of a model."""
        return cls(statistics, frozenset((i, tensor) for i, graph in enumerate(model.subgraphs) for tensor in graph.inputs))

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        """See ``Ranges``."""
        method: Method | None = None if (subgraph, tensor) in self.inputs else "mse"
        return self.statistics.range(subgraph, tensor, dtype, method)


def recover(
    model: Model,
    quantize: Callable[[Ranges | None], Quantized],
    ranges: Ranges | None,
    samples: Sequence[Any],
    methods: Sequence[str],
    progress: bool = False,
) -> Model:
    """The model that a mode makes, with the constants that recover most accuracy.

    Args:
        model: the float model.
        quantize: makes a quantized one from ranges.
        ranges: of activations; None in modes without.
        samples: as ``qcore.calibrate`` takes them.
        methods: some of METHODS.
        progress: show a progress bar on standard error.

    Raises:
        InputError: a sample does not fit, or there is none.
        QCoreError: a model cannot run on it.
    """
    if not samples:
        raise InputError("quantize_model: accuracy needs samples, there is none")
    candidates = [ranges]
    if "mse_ranges" in methods and isinstance(ranges, Statistics):
        candidates.append(NarrowedRanges.of(ranges, model))
    plain = [quantize(candidate) for candidate in candidates]
    total = sum(len(find_layers(model, one.model, one.origins)) for one in plain)
    models = [plain[0].model]
    with progress_bar(progress, total, "recovering accuracy") as advance:
        for one in plain:
            edited = copy_model(one.model)
            origins = {copy: one.origins[own] for own, copy in same_operators(one.model, edited) if own in one.origins}
            recover_weights(model, edited, origins, samples, methods, advance)
            finish(edited)
            models.append(edited)
    held_out = samples[HELD_OUT - 1 :: HELD_OUT] or samples
    errors = [output_error(model, candidate, held_out) for candidate in models]
    best = int(np.argmin(errors))
    if best == 0:
        warn("accuracy: the model as quantized was closest to the float one; it is left so")
    return models[best]


def same_operators(model: Model, copied: Model) -> list[tuple[Operator, Operator]]:
    """Each operator of a model with that of its copy."""
    graphs = zip(model.subgraphs, copied.subgraphs, strict=True)
    return [pair for own, copy in graphs for pair in zip(own.operators, copy.operators, strict=True)]


def output_error(model: Model, quantized: Model, samples: Sequence[Any]) -> float:
    """Squared error of a quantized model's real outputs, before a SOFTMAX, relative to their squares; the sum over outputs."""
    sums: dict[tuple[int, int], ErrorSums] = {}
    real, other = feeds(model, samples), feeds(quantized, samples)
    pairs = zip(real, outputs(without_softmax(model), real), outputs(without_softmax(quantized), other), strict=True)
    for feed, expected, got in pairs:
        for number, (reference, approximation) in enumerate(zip(expected, got, strict=True)):
            sums.setdefault((feed.subgraph, number), ErrorSums()).add(reference, approximation)
    return sum(one.squared_error / max(one.squared_reference, np.finfo(np.float64).tiny) for one in sums.values())

"""``tune``: the smallest file that loses no more than a limit, or the best one of no more than so many bytes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Executor
from numbers import Integral, Real
from typing import Any

from qcore.analysis.evaluation import Metric
from qcore.analysis.evaluation.evaluating import read_labels
from qcore.analysis.evaluation.scores import LABELLED
from qcore.analysis.tuning.banking import bank_of
from qcore.analysis.tuning.choices import ActivationChoice, Space, WeightChoice, check_types
from qcore.analysis.tuning.composing import Bank, compose
from qcore.analysis.tuning.deciding import Decision, File, Limit
from qcore.analysis.tuning.files import Files
from qcore.analysis.tuning.judging import Judge
from qcore.analysis.tuning.measuring import Bench, Job
from qcore.analysis.tuning.result import ActivationsChoice, OperatorChoice, Tuning
from qcore.analysis.tuning.search import Sensitivity, sensitivity
from qcore.calibration import calibrate
from qcore.calibration.calibrating import progress_bar, read_model
from qcore.calibration.samples import Feeder, Samples, iterate
from qcore.errors import InputError, QuantizationError
from qcore.model import Model
from qcore.quantizer import Rules
from qcore.quantizer.int8_constants import widened
from qcore.quantizer.recovery.recover import Accuracy, read_methods
from qcore.quantizer.warning import warn

CALIBRATION_SAMPLES = 100
"""At most so many of the samples calibrate, and never more than half."""

NOISE_SAMPLES = 32
"""Held-out samples that noise is measured on."""

SEARCHED = ("bias_correction", "weight_scales", "gptq")
"""Methods of accuracy that constants of the search come from: those that do not lean on what other operators do."""


def tune(
    model: Model | str | os.PathLike[str] | bytes,
    samples: Samples,
    labels: Iterable[Any] | None = None,
    *,
    max_loss: float | None = None,
    max_bytes: int | None = None,
    metric: Metric | None = None,
    calibration: Samples | None = None,
    accuracy: Accuracy = "max",
    output: str | None = None,
    weights: Collection[WeightChoice] = ("int4", "int8"),
    activations: Collection[ActivationChoice] = ("int8", "int16"),
    trials: int = 4,
    executor: Executor | None = None,
    progress: bool = False,
) -> Tuning:
    """Choose the types of each operator's weights and activations, by the noise that they add to the outputs and the bytes that they take.

    One part of the samples calibrates and, with ``accuracy``, is learned from; what types cost is measured on the others, which are held
    out. docs/tune.md says how it goes.

    Args:
        model: a float model: a ``Model``, a path or a file's bytes.
        samples: in any form that ``qcore.calibrate`` takes; they are kept in memory.
        labels: the right class of each sample; for a metric that is a function, whatever it is to be given.
        max_loss: find the smallest file that loses no more. What is lost is the float model's metric less the file's; with "agreement" 1
            less the metric; with "sqnr" the power of the noise over that of the signal: 0.01 is 20 dB.
        max_bytes: find the best file of no more bytes. One of these two is to be given.
        metric: as for ``qcore.evaluate``; None is "top1" with labels, else "agreement".
        calibration: samples that calibrate, besides; all ``samples`` are then held out. None: every so many-th of ``samples`` does, 100 of
            them or half.
        accuracy: as for ``quantize_model``.
        output: likewise; ``metric`` looks at it alone, noise at all outputs.
        weights: types to choose from, "int8" among them. "float32" computes the operator in floating point, which is left out unless asked
            for: not all hardware does that, and sums of floats depend on their order.
        activations: likewise.
        trials: so many files at most are quantized with all of ``accuracy``, which takes most time in deep models.
        executor: any ``concurrent.futures.Executor``, such as a process pool or a Dask client's. What is found is the same.
        progress: show progress bars on standard error.

    Raises:
        InputError: an argument is wrong, there are too few samples, or one does not fit.
        QuantizationError: there is nothing to choose, or no file is as small as ``max_bytes``; the message has the smallest.
        QCoreError: the model is wrong, or cannot run on a sample.
    """
    metric = ("agreement" if labels is None else "top1") if metric is None else metric
    _check(max_loss, max_bytes, trials)
    if labels is None and metric in LABELLED:
        raise InputError(f"tune: metric {metric} needs labels")
    check_types(weights, activations)
    limit = Limit(max_loss, max_bytes)
    methods = read_methods(accuracy)
    source = widened(read_model(model))
    given = list(iterate(samples))
    check_samples(source, given)
    fitted, held_out, known_labels = divide(given, labels, calibration, metric)
    judge = Judge(source, held_out, known_labels, metric, output, executor)
    statistics = calibrate(source, fitted, executor=executor, progress=progress)
    space = Space.of(source, compose(source, statistics, Bank(), Rules()), weights, activations)
    if not space.weighted:
        raise QuantizationError("tune: no operator of the model has float weights that can be quantized, and a name that no other has")
    smallest = len(compose(source, statistics, Bank(), space.rules(space.narrowest)).to_bytes())
    if max_bytes is not None and smallest > max_bytes:
        raise QuantizationError(f"tune: max_bytes is {max_bytes}, but the smallest file has {smallest} bytes")
    files = Files(source, statistics, fitted, executor)
    searched = [method for method in methods if method in SEARCHED]
    bank = Bank()
    if searched:
        with progress_bar(progress, 2, "quantizing") as advance:
            ends = [space.rules(space.throughout("int8")), space.rules(space.narrowest)]
            (wide, _), (narrow, _) = files.make(ends, searched, advance)
        bank = bank_of(source, wide, narrow, fitted)
    job = Job(source, statistics, bank, held_out[:: -(-len(held_out) // NOISE_SAMPLES)])
    bench = Bench(job, executor)
    with progress_bar(progress, 1 + 2 * len(space.weighted) + len(space.regions), "measuring operators") as advance:
        known = sensitivity(space, bench, advance)
    decision = Decision(space, bench, judge, files, accuracy, limit, progress)
    evaluated = decision.estimates(known)
    if methods:
        evaluated += decision.tried(evaluated, trials)
    if max_loss is not None and "float32" in weights:
        evaluated.append(decision.unquantized())
    final = [file for file in evaluated if file.point.final]
    best = limit.best(final if max_bytes is None or any(limit.holds(file.point) for file in final) else evaluated)
    if max_bytes is not None and not limit.holds(best.point):
        smallest = min(file.point.bytes for file in evaluated)
        raise QuantizationError(f"tune: max_bytes is {max_bytes}, but the smallest file has {smallest} bytes")
    if not best.point.final:
        warn(f"tune: no file that was quantized with all of accuracy has {max_bytes} bytes or fewer; this one has constants of others")
    for message in best.warnings:
        warn(message)
    if not limit.holds(best.point):
        least = f"the one that loses least, {best.point.loss:.4g}, has {best.point.bytes} bytes"
        further = "" if "float32" in weights else "; with float32 among the weights, operators may compute in floating point"
        warn(f"tune: no file loses at most {max_loss}; {least}{further}")
    return Tuning(
        model=best.model,
        rules=best.point.rules,
        chosen=best.point,
        points=(*sorted((file.point for file in evaluated), key=lambda point: (point.bytes, point.loss)),),
        operators=_operators(space, best, known),
        activations=_activations(space, best, known),
        evaluation=best.evaluation,
        baseline=judge.baseline,
        calibration_samples=len(fitted),
        max_loss=max_loss,
        max_bytes=max_bytes,
        met=limit.holds(best.point),
    )


def check_samples(model: Model, samples: Sequence[Any]) -> None:
    """Refuse samples that the model cannot be given, before much is done with others.

    Raises:
        InputError: one does not fit, or they are for several signatures.
    """
    feeder = Feeder(model)
    if len({feeder.feed(number, sample).subgraph for number, sample in enumerate(samples)}) > 1:
        raise InputError("tune: samples are for several signatures, expected one")


def divide(
    given: Sequence[Any], labels: Iterable[Any] | None, calibration: Samples | None, metric: Metric
) -> tuple[list[Any], list[Any], list[Any] | None]:
    """Samples that calibrate, those that are held out, and the labels of these.

    Raises:
        InputError: there are too few, or not a label for each.
    """
    known = None if labels is None else list(read_labels(labels) if metric in LABELLED else iterate(labels, "labels"))
    if known is not None and len(known) != len(given):
        raise InputError(f"tune: got {len(known)} labels for {len(given)} samples")
    fitted = [] if calibration is None else list(iterate(calibration))
    taken = set[int]()
    if calibration is None:
        count = min(CALIBRATION_SAMPLES, len(given) // 2)
        taken = {len(given) * number // count for number in range(count)}
        fitted = [given[i] for i in sorted(taken)]
    if not fitted or len(given) == len(taken):
        raise InputError(f"tune: got {len(given)} samples and {len(fitted)} that calibrate, expected some that do and others that do not")
    others = [i for i in range(len(given)) if i not in taken]
    return fitted, [given[i] for i in others], None if known is None else [known[i] for i in others]


def _check(max_loss: float | None, max_bytes: int | None, trials: int) -> None:
    if (max_loss is None) == (max_bytes is None):
        raise InputError("tune: expected either max_loss or max_bytes")
    numbers: list[tuple[str, Any, Any, int]] = [
        ("max_loss", max_loss, Real, 0),
        ("max_bytes", max_bytes, Integral, 1),
        ("trials", trials, Integral, 1),
    ]
    for what, value, kind, least in numbers:
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind) or not value >= least):
            raise InputError(f"tune: {what} is {value!r}, expected {'a' if kind is Real else 'a whole'} number of at least {least}")


def _operators(space: Space, best: File, known: Sensitivity) -> tuple[OperatorChoice, ...]:
    kinds = [space.weight_type(best.choice, place) for place in range(len(space.weighted))]
    return tuple(
        OperatorChoice(one.name, one.operator, space.label(best.choice, place), known.weights[place], one.bytes(kind))
        for place, (one, kind) in enumerate(zip(space.weighted, kinds, strict=True))
    )


def _activations(space: Space, best: File, known: Sensitivity) -> tuple[ActivationsChoice, ...]:
    chosen = ("int16" if number in best.choice.wide else "int8" for number in range(len(space.regions)))
    rows = zip(space.regions, chosen, known.regions, strict=True)
    return tuple(ActivationsChoice(region.name, kind, noise) for region, kind, noise in rows)

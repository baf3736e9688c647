"""What a model's outputs on one sample are worth, metric by metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.numerics.metrics import ErrorSums

Named = Literal["top1", "top5", "agreement", "sqnr"]
Metric = Named | Callable[[Any, Any], float]

LABELLED = ("top1", "top5")
"""Metrics that compare with labels."""
REFERRING = ("agreement", "sqnr")
"""Metrics that compare with what another model gives."""
CLASSIFYING = (*LABELLED, "agreement")
"""Metrics that are the part of the samples which are put in the right class."""
NO_CLASS = -1
"""The prediction where a number is NaN, and where the metric needs none."""


def check_metric(metric: Any, labels: bool, reference: bool) -> None:
    """Refuse a metric that there is not, and what it is not to be given.

    Args:
        metric: see ``evaluate``.
        labels: there are some.
        reference: there is one.

    Raises:
        InputError: so it is.
    """
    if not callable(metric) and not (isinstance(metric, str) and metric in get_args(Named)):
        raise InputError(f"evaluate: metric is {metric!r}, expected {', '.join(get_args(Named))} or a function")
    if metric in REFERRING and not reference:
        raise InputError(f"evaluate: metric {metric} needs a reference: the model, or the outputs, to compare with")
    if metric in REFERRING and labels:
        raise InputError(f"evaluate: metric {metric} compares with a reference, it takes no labels")
    if metric in LABELLED and reference:
        raise InputError(f"evaluate: metric {metric} compares with labels; with a reference, metrics {' and '.join(REFERRING)} do")
    if labels and reference:
        raise InputError("evaluate: got labels and a reference, expected one of them")


def score(metric: Metric, output: Any, expected: Any) -> tuple[tuple[float, ...], int]:
    """A sample's score and its predicted class.

    Args:
        metric: see ``evaluate``.
        output: real values of the output to look at; for a function, of all outputs by name if there are several.
        expected: the label or the reference's output; None if unknown.

    Returns:
        One number, NaN if unknown, for "sqnr" the two of ``powers``; and the class, or NO_CLASS.

    Raises:
        InputError: the output or what is expected is not what the metric is for, or the function fails.
    """
    if callable(metric):
        return (called(metric, output, expected),), NO_CLASS
    if metric == "sqnr":
        return powers(output, expected), NO_CLASS
    prediction = predicted_class(output)
    if metric == "agreement":
        return (float(prediction == predicted_class(expected) != NO_CLASS),), prediction
    if expected is None:
        return (math.nan,), prediction
    if not 0 <= expected < output.size:
        raise InputError(f"label {expected}: the output has {output.size} classes, from 0")
    return (float(prediction == expected if metric == "top1" else is_in_top(output, expected, 5)),), prediction


def predicted_class(output: Array) -> int:
    """The place of the greatest of a row of numbers, of equal ones the first; NO_CLASS where one is NaN.

    Raises:
        InputError: they are no row of at least two.
    """
    if output.size < 2 or output.shape[-1] != output.size or output.dtype.kind not in "fiu":
        raise InputError(
            f"the output is {output.dtype}{list(output.shape)}, a classifier's has one number for each class; for others, "
            "metric= may be a function"
        )
    return NO_CLASS if np.isnan(output).any() else int(np.argmax(output))


def is_in_top(output: Array, label: int, count: int) -> bool:
    """The label is among the classes of the greatest numbers; of equal ones the first come first.

    Raises:
        InputError: there are no more classes than that.
    """
    if output.size <= count:
        raise InputError(f"the output has {output.size} classes, of which any is among the top {count}")
    row = output.ravel()
    before = np.sum(row > row[label]) + np.sum(row[:label] == row[label])
    return bool(before < count) and not np.isnan(row).any()


def powers(output: Array, expected: Array) -> tuple[float, float]:
    """Sums of the squares of what is expected, and of the errors.

    Raises:
        InputError: either is not of real numbers, or they are not as many.
    """
    if output.dtype.kind not in "fiu" or expected.dtype.kind not in "fiu" or output.shape != expected.shape:
        raise InputError(
            f"the output is {output.dtype}{list(output.shape)}, the reference {expected.dtype}{list(expected.shape)}; "
            "expected as many real numbers"
        )
    sums = ErrorSums()
    sums.add(expected, output)
    return sums.squared_reference, sums.squared_error


def called(metric: Callable[[Any, Any], float], output: Any, expected: Any) -> float:
    """What a function gives.

    Raises:
        InputError: it fails, or gives something else than a finite number.
    """
    name = metric_name(metric)
    try:
        found = metric(output, expected)
        value = float(found)
    except Exception as error:
        raise InputError(f"metric {name}: {type(error).__name__}: {error}") from error
    if not math.isfinite(value):
        raise InputError(f"metric {name}: gives {value}, expected a finite number")
    return value


def metric_name(metric: Metric) -> str:
    """A metric as results call it."""
    return getattr(metric, "__name__", type(metric).__name__) if callable(metric) else metric


def given_output(expected: Any, names: Sequence[str], shape: tuple[int, ...]) -> Array:
    """An expected output that the caller gives: an array, or arrays by name; dimensions of size 1 may be missing or too many.

    Args:
        expected: what is given for the sample.
        names: the output's.
        shape: the output's.

    Raises:
        InputError: it is neither.
    """
    if isinstance(expected, Mapping):
        found = [value for name, value in expected.items() if name in names or len(expected) == 1]
        if len(found) != 1:
            raise InputError(f"the reference has outputs {list(expected)}, expected one of {names}")
        (expected,) = found
    try:
        array = np.asarray(expected)
    except Exception as error:
        raise InputError(f"the reference is not an array: {error}") from error
    given, wanted = ([n for n in dimensions if n != 1] for dimensions in (array.shape, shape))
    return array.reshape(shape) if given == wanted else array

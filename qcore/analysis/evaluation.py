"""``evaluate``: what classes a model gives samples, how many of them are right, and how two models agree."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.calibration.calibrating import progress_bar, read_model
from qcore.calibration.samples import Feeder, NanPolicy, Samples, iterate
from qcore.errors import InputError, QCoreError
from qcore.kernels.opdef import Arithmetic, OpDef
from qcore.model import Model
from qcore.runtime.plan import DEFAULT_LOOP_LIMIT, DEFAULT_MEMORY_LIMIT, Settings, require_arithmetic
from qcore.runtime.real_values import to_real
from qcore.runtime.session import Session


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a classifier made of samples.

    predictions: int64[samples], the class of each: the place of the greatest value of the first output, of equal ones the first.
    labels: int64[samples], the right classes, or None where they are not known.
    """

    predictions: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None

    @property
    def samples(self) -> int:
        """How many there were."""
        return len(self.predictions)

    @property
    def correct(self) -> int | None:
        """How many predictions are the label."""
        return None if self.labels is None else int(np.sum(self.predictions == self.labels))

    @property
    def accuracy(self) -> float | None:
        """The part of the predictions that are the label."""
        return None if self.correct is None else self.correct / self.samples

    def agreement(self, other: Evaluation) -> float:
        """The part of the samples that two models, run on the same ones, put in the same class.

        Raises:
            InputError: the other saw another number of samples.
        """
        if other.samples != self.samples:
            raise InputError(f"agreement: one evaluation has {self.samples} samples, the other {other.samples}")
        return float(np.mean(self.predictions == other.predictions))


def evaluate(
    model: Model | str | os.PathLike[str] | bytes,
    samples: Samples,
    labels: Iterable[int] | None = None,
    *,
    signature: str | None = None,
    nan: NanPolicy = "raise",
    progress: bool = False,
    arithmetic: Arithmetic = "reference",
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    loop_limit: int = DEFAULT_LOOP_LIMIT,
    custom_ops: Mapping[str, OpDef] | None = None,
) -> Evaluation:
    """Run a classifier on samples, each from a clean state, and compare its predictions with labels.

    Args:
        model: float or quantized: a ``Model``, a path or a file's bytes.
        samples: in any form that ``qcore.calibrate`` takes. A float array for a quantized input holds real values.
        labels: the right class of each sample.
        signature: as for ``qcore.calibrate``.
        nan: likewise.
        progress: show a progress bar on standard error.
        arithmetic: as for ``Interpreter``.
        memory_limit: likewise.
        loop_limit: likewise.
        custom_ops: likewise.

    Raises:
        InputError: an argument is wrong, there is no sample, one does not fit, or there are more or fewer labels than samples.
        QCoreError: the model is wrong, cannot run on a sample, which the message names, or is no classifier.
    """
    require_arithmetic("evaluate", arithmetic)
    expected = None if labels is None else read_labels(labels)
    checked = read_model(model)
    feeder = Feeder(checked, signature, nan)
    settings = Settings(arithmetic, memory_limit=memory_limit, loop_limit=loop_limit, custom_ops=custom_ops or {}, engine="auto")
    session = Session(checked, settings)
    source = iterate(samples)
    predictions = []
    with progress_bar(progress, len(source) if isinstance(source, Sized) else None, "evaluating") as advance:
        for number, sample in enumerate(source):
            feed = feeder.feed(number, sample)
            session.restart()
            graph = checked.subgraphs[feed.subgraph]
            try:
                first, *_ = session.call(feed.subgraph, [feed.values[i] for i in graph.inputs])
                predictions.append(predicted_class(to_real(graph.tensors[graph.outputs[0]], first)))
            except QCoreError as error:
                raise type(error)(f"sample {number}: {error}") from error
            advance(1)
    if not predictions:
        raise InputError("samples: there is none, evaluation needs at least one")
    if expected is not None and len(expected) != len(predictions):
        raise InputError(f"evaluate: got {len(expected)} labels for {len(predictions)} samples")
    return Evaluation(np.array(predictions), expected)


def read_labels(labels: Any) -> NDArray[np.int64]:
    """Labels as an array.

    Raises:
        InputError: they are not one row, or one column, of integers.
    """
    array = np.asarray(labels if isinstance(labels, np.ndarray) else list(labels))
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"labels: got {array.dtype}{list(array.shape)}, expected one integer for each sample")
    return array.astype(np.int64)


def predicted_class(scores: NDArray[Any]) -> int:
    """The place of the greatest of a row of numbers.

    Raises:
        InputError: they are no row of at least two.
    """
    if scores.size < 2 or scores.shape[-1] != scores.size or scores.dtype.kind not in "fiu":
        raise InputError(f"evaluate: the first output is {scores.dtype}{list(scores.shape)}, a classifier's has one number for each class")
    return int(np.argmax(scores))

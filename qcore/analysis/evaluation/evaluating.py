"""``evaluate``: run a model on samples, and say how good it is by a metric."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sized
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from qcore.analysis.evaluation.result import Evaluation
from qcore.analysis.evaluation.running import Job, Run, Scored, Task, run_shard
from qcore.analysis.evaluation.scores import CLASSIFYING, LABELLED, Metric, check_metric, metric_name
from qcore.calibration.calibrating import progress_bar, read_model
from qcore.calibration.samples import NanPolicy, Sample, Samples, iterate
from qcore.calibration.sharding import in_shards
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic, OpDef
from qcore.model import Model
from qcore.runtime.plan import DEFAULT_LOOP_LIMIT, DEFAULT_MEMORY_LIMIT, Engine, Settings, require_arithmetic


def evaluate(
    model: Model | str | os.PathLike[str] | bytes,
    samples: Samples,
    labels: Iterable[Any] | None = None,
    metric: Metric = "top1",
    *,
    reference: Model | str | os.PathLike[str] | bytes | Iterable[Any] | None = None,
    output: str | None = None,
    confidence: float = 0.95,
    signature: str | None = None,
    nan: NanPolicy = "raise",
    executor: Executor | None = None,
    progress: bool = False,
    arithmetic: Arithmetic = "reference",
    engine: Engine = "fast",
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    loop_limit: int = DEFAULT_LOOP_LIMIT,
    custom_ops: Mapping[str, OpDef] | None = None,
) -> Evaluation:
    """Run a model on samples, each from a clean state, and say how good it is by a metric.

    Outputs are looked at as real values. A sample's class is the place of the greatest number in a row of them.

    - "top1": the part of the samples whose class is the label. "top5": whose label has one of the five greatest numbers.
    - "agreement": the part of the samples that model and reference put in the same class.
    - "sqnr": signal to quantization noise ratio in dB, of all samples together; the reference is the signal.
    - A function of two arguments that gives a number for each sample; the value is their mean. For anything else: segmentation, detection,
      regression. It is given the output, as an array, or a mapping from name to array if the model has several and ``output`` names none;
      then what belongs to the sample: its label, or the reference's output in the same form; None without either.

    Memory does not grow with the number of samples, but for a few numbers each.

    Args:
        model: float or quantized: a ``Model``, a path or a file's bytes.
        samples: in any form that ``qcore.calibrate`` takes. A float array for a quantized input holds real values.
        labels: the right class of each sample, an integer; for a function, whatever it is to be given.
        metric: see above. Without labels, "top1" only predicts.
        reference: another model, such as the float one; samples are then for its inputs, and the model is fed the same real values. Or the
            outputs that are expected, one for each sample: arrays of real values, or mappings from name to array.
        output: name of the output to look at, in the signature or the tensor's; a metric that is no function needs it if there are several.
        confidence: of the intervals, between 0 and 1.
        signature: as for ``qcore.calibrate``.
        nan: likewise.
        executor: any ``concurrent.futures.Executor``, such as a process pool or a Dask client's; shards of the samples go to it. The
            results are the same, to the last bit. For processes a function must be picklable.
        progress: show a progress bar on standard error.
        arithmetic: as for ``Interpreter``.
        engine: likewise; on "fast" sums of floats run in another order than the reference's, within the operators' tolerance.
        memory_limit: likewise.
        loop_limit: likewise.
        custom_ops: likewise; they must be picklable for an executor of processes.

    Raises:
        InputError: an argument is wrong, there is no sample, one does not fit, there are more or fewer labels or expected outputs than
            samples, or outputs are not what the metric is for.
        QCoreError: a model is wrong, or cannot run on a sample, which the message names.
    """
    require_arithmetic("evaluate", arithmetic)
    if engine not in get_args(Engine):
        raise InputError(f"evaluate: engine is {engine!r}, expected one of {', '.join(get_args(Engine))}")
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise InputError(f"evaluate: confidence is {confidence!r}, expected a number between 0 and 1")
    check_metric(metric, labels is not None, reference is not None)
    settings = Settings(arithmetic, memory_limit=memory_limit, loop_limit=loop_limit, custom_ops=custom_ops or {}, engine=engine)
    classes = read_labels(labels) if metric in LABELLED and labels is not None else None
    job = Job(model, None, metric, output, signature, nan, settings)
    source, expected = iterate(samples), None
    if isinstance(reference, Model | str | os.PathLike | bytes):
        job = replace(job, reference=reference)
    elif reference is not None:
        expected = "reference outputs", iterate(reference, "reference outputs")
    elif labels is not None:
        expected = "labels", iterate(labels if classes is None else classes, "labels")
    found = []
    with progress_bar(progress, len(source) if isinstance(source, Sized) else None, "evaluating") as advance:
        for part in scored(job, tasks(source, expected), executor):
            advance(len(part.scores))
            found.append(part)
    if not found:
        raise InputError("samples: there is none, evaluation needs at least one")
    found.sort(key=lambda part: part.first)
    scores = np.array([numbers for part in found for numbers in part.scores])
    predictions = np.array([prediction for part in found for prediction in part.predictions])
    return Evaluation(
        metric_name(metric),
        scores if metric == "sqnr" else scores[:, 0],
        predictions if metric in CLASSIFYING else None,
        classes,
        confidence,
    )


def read_labels(labels: Any) -> NDArray[np.int64]:
    """Labels as an array.

    Raises:
        InputError: they are not one row, or one column, of integers.
    """
    given = labels if isinstance(labels, np.ndarray) else list(iterate(labels, "labels"))
    try:
        array = np.asarray(given)
    except Exception as error:
        raise InputError(f"labels: not one integer for each sample: {error}") from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"labels: got {array.dtype}{list(array.shape)}, expected one integer for each sample")
    return array.astype(np.int64)


def scored(job: Job, tasks: Iterable[Task], executor: Executor | None) -> Iterator[Scored]:
    """What samples are worth, as it is found out."""
    if executor is None:
        run = Run(job)
        yield from (run.take_all([task]) for task in tasks)
        return
    model = read_model(job.model).to_bytes()
    reference = None if job.reference is None else read_model(job.reference).to_bytes()
    yield from in_shards(executor, partial(run_shard, replace(job, model=model, reference=reference)), tasks)


_NONE = object()


def tasks(samples: Iterable[Sample], expected: tuple[str, Iterable[Any]] | None) -> Iterator[Task]:
    """Samples with their numbers, and with what is expected of each, if anything is: its name in messages, and one for each sample.

    Raises:
        InputError: there are more of the one than of the other.
    """
    if expected is None:
        yield from ((number, sample, None) for number, sample in enumerate(samples))
        return
    what, values = expected
    if isinstance(samples, Sized) and isinstance(values, Sized) and len(samples) != len(values):
        raise InputError(f"evaluate: got {len(values)} {what} for {len(samples)} samples")
    for number, (sample, value) in enumerate(zip_longest(samples, values, fillvalue=_NONE)):
        if sample is _NONE or value is _NONE:
            raise InputError(
                f"evaluate: got {what} and samples of unequal number: {what if value is _NONE else 'samples'} end after {number}"
            )
        yield number, sample, value

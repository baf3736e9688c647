"""Running what is evaluated, sample by sample, and its reference beside it."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qcore.analysis.evaluation.scores import REFERRING, Metric, given_output, score
from qcore.analysis.sides import corresponding
from qcore.calibration.calibrating import read_model
from qcore.calibration.samples import Feeder, NanPolicy, Sample
from qcore.errors import InputError, QCoreError
from qcore.kernels.opdef import Array
from qcore.model import Model
from qcore.runtime.plan import Settings
from qcore.runtime.real_values import to_elements, to_real
from qcore.runtime.session import Session

Task = tuple[int, Sample, Any]
"""A sample's number, the sample, and its label or what is expected of it; None without."""


@dataclass(frozen=True)
class Job:
    """An evaluation, but for its samples; see ``evaluate``.

    reference: None where there is none, or its outputs are given. key: tells evaluations apart.
    """

    model: Model | str | os.PathLike[str] | bytes
    reference: Model | str | os.PathLike[str] | bytes | None
    metric: Metric
    output: str | None
    signature: str | None
    nan: NanPolicy
    settings: Settings
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Scored:
    """What samples in a row are worth.

    first: the number of the first. scores, predictions: of each, as ``score`` gives them.
    """

    first: int
    scores: tuple[tuple[float, ...], ...]
    predictions: tuple[int, ...]


class Run:
    """A job at work.

    Raises:
        InputError: there is no such signature, or inputs or outputs of model and reference do not correspond.
    """

    def __init__(self, job: Job):
        self.job = job
        self.model = read_model(job.model)
        self.session = Session(self.model, job.settings)
        self.reference: Model | None = None
        if job.reference is not None:
            self.reference = read_model(job.reference)
            self.reference_session = Session(self.reference, job.settings)
            self.subgraphs, self.inputs, self.ends = corresponding(self.reference, self.model, job.signature, "evaluate")
        self.feeder = Feeder(self.reference or self.model, job.signature, job.nan)
        self.outputs: dict[int, dict[int, list[str]]] = {}

    def take_all(self, tasks: Sequence[Task]) -> Scored:
        """Run samples in a row; what they are worth. For errors, see ``take``."""
        scores, predictions = zip(*map(self.take, tasks), strict=True)
        return Scored(tasks[0][0], scores, predictions)

    def take(self, task: Task) -> tuple[tuple[float, ...], int]:
        """Run a sample; its score and its predicted class.

        Raises:
            QCoreError: it does not fit, the models cannot run on it, or the metric is not for what they give.
        """
        number, sample, expected = task
        feed = self.feeder.feed(number, sample)
        try:
            if self.reference is None:
                subgraph, real = feed.subgraph, real_outputs(self.session, feed.subgraph, feed.values)
            else:
                if feed.subgraph != self.subgraphs[0]:
                    raise InputError(f"it is for subgraph {feed.subgraph}, the reference's is {self.subgraphs[0]}")
                subgraph = self.subgraphs[1]
                theirs = real_outputs(self.reference_session, feed.subgraph, feed.values)
                real = real_outputs(self.session, subgraph, self.translated(feed.values))
                expected = {j: theirs[i] for i, j in self.ends}
            return self.scored(subgraph, real, expected)
        except QCoreError as error:
            raise type(error)(f"sample {number}: {error}") from error

    def translated(self, values: Mapping[int, Array]) -> dict[int, Array]:
        """Elements of the reference's inputs as those of the model's, of the same real values."""
        assert self.reference is not None
        there, here = (model.subgraphs[subgraph] for model, subgraph in zip((self.reference, self.model), self.subgraphs, strict=True))
        return {j: to_elements(here.tensors[j], to_real(there.tensors[i], values[i])) for i, j in self.inputs}

    def scored(self, subgraph: int, real: Mapping[int, Array], expected: Any) -> tuple[tuple[float, ...], int]:
        """The score of outputs."""
        outputs = self.outputs.get(subgraph)
        if outputs is None:
            outputs = self.outputs[subgraph] = self.chosen(subgraph)
        if len(outputs) > 1:
            named = {names[0]: real[i] for i, names in outputs.items()}
            if self.reference is not None:
                expected = {names[0]: expected[i] for i, names in outputs.items()}
            return score(self.job.metric, named, expected)
        ((index, names),) = outputs.items()
        if self.reference is not None:
            expected = expected[index]
        elif self.job.metric in REFERRING:
            expected = given_output(expected, names, real[index].shape)
        return score(self.job.metric, real[index], expected)

    def chosen(self, subgraph: int) -> dict[int, list[str]]:
        """The outputs to look at, by number, each with its names: first those in signatures, then the tensor's.

        Raises:
            InputError: there is no such output, or several where the metric is for one or they have the same name.
        """
        graph, wanted = self.model.subgraphs[subgraph], self.job.output
        named = [pair for s in self.model.signatures or [] if s.subgraph_index == subgraph for pair in s.outputs]
        outputs = {i: [*(name for name, j in named if i == j), graph.tensors[i].name] for i in graph.outputs}
        known = ", ".join(repr(names[0]) for names in outputs.values()) or "none"
        if wanted is not None:
            outputs = {i: names for i, names in outputs.items() if wanted in names}
            if len(outputs) != 1:
                raise InputError(f"output is {wanted!r}, which names {len(outputs)} of the model's outputs: {known}")
        unnamed = len({names[0] for names in outputs.values()}) < len(outputs)
        if not outputs or (len(outputs) > 1 and (unnamed or not callable(self.job.metric))):
            raise InputError(f"the model has {len(outputs)} outputs, {known}; output= must name the one to look at")
        return outputs


def real_outputs(session: Session, subgraph: int, values: Mapping[int, Array]) -> dict[int, Array]:
    """Run a model from a clean state; real values of its outputs by tensor number."""
    graph = session.model.subgraphs[subgraph]
    session.restart()
    results = session.call(subgraph, [values[i] for i in graph.inputs])
    return {i: to_real(graph.tensors[i], result) for i, result in zip(graph.outputs, results, strict=True)}


_latest = threading.local()


def run_shard(job: Job, tasks: list[Task]) -> Scored:
    """What samples are worth. A worker keeps its latest job's models prepared for the next shard."""
    key, run = getattr(_latest, "run", (None, None))
    if run is None or key != job.key:
        run = Run(job)
        _latest.run = job.key, run
    found: Scored = run.take_all(tasks)
    return found

"""What a model is worth on the held-out samples, and what it has lost to the float model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from qcore.analysis.evaluation import Evaluation, Metric, evaluate
from qcore.analysis.evaluation.scores import LABELLED, REFERRING
from qcore.errors import InputError
from qcore.model import Model


class Judge:
    """Evaluates models by one metric.

    Args:
        model: the float model.
        samples: that are held out.
        labels: theirs; None without.
        metric: as for ``evaluate``.
        output: likewise.
        executor: likewise.

    Raises:
        InputError: the metric of the float model is no number that there is something to lose of.
    """

    def __init__(
        self,
        model: Model,
        samples: Sequence[Any],
        labels: Sequence[Any] | None,
        metric: Metric,
        output: str | None,
        executor: Executor | None,
    ):
        self.samples, self.metric, self.output, self.executor = samples, metric, output, executor
        labelled = metric in LABELLED or (labels is not None and metric not in REFERRING)
        self.expected: dict[str, Any] = {"labels": labels} if labelled else {"reference": self._outputs(model)}
        self.baseline = self.evaluate(model)
        if math.isnan(self.baseline.value):
            raise InputError(f"tune: the float model has {self.baseline.metric} {self.baseline.value}, there is nothing to lose")

    def evaluate(self, model: Model) -> Evaluation:
        """What a model is worth."""
        return evaluate(model, self.samples, metric=self.metric, output=self.output, executor=self.executor, **self.expected)

    def _outputs(self, model: Model) -> list[Any]:
        """What a model gives for each sample, as metrics see it; once, since many files are compared with it."""
        found = list[Any]()

        def keep(output: Any, expected: Any) -> float:
            found.append(output)
            return 0.0

        evaluate(model, self.samples, metric=keep, output=self.output)
        return found

    def loss(self, found: Evaluation) -> float:
        """What a model has lost: the difference of values; with "sqnr" the power of the noise, of a signal of 1."""
        if math.isnan(found.value):
            return math.inf
        return 10 ** (-found.value / 10) if self.metric == "sqnr" else self.baseline.value - found.value

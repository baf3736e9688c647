"""What a model is worth on the held-out samples, and what it has lost to the float model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from qcore.analysis.evaluation import Evaluation, Metric, evaluate
from qcore.analysis.evaluation.scores import LABELLED, REFERRING
from qcore.model import Model


class Judge:
    """Evaluates models by one metric.

    Args:
        model: the float model.
        samples: that are held out.
        labels: theirs; None without.
        metric: as for ``evaluate``.
        executor: likewise.
    """

    def __init__(self, model: Model, samples: Sequence[Any], labels: Sequence[Any] | None, metric: Metric, executor: Executor | None):
        self.model, self.samples, self.labels, self.metric, self.executor = model, samples, labels, metric, executor
        self.baseline = self.evaluate(model)

    def evaluate(self, model: Model) -> Evaluation:
        """What a model is worth."""
        labelled = self.metric in LABELLED or (self.labels is not None and self.metric not in REFERRING)
        return evaluate(
            model,
            self.samples,
            self.labels if labelled else None,
            self.metric,
            reference=None if labelled else self.model,
            executor=self.executor,
            engine="fast",
        )

    def loss(self, found: Evaluation) -> float:
        """What a model has lost: the difference of values; with "sqnr" the power of the noise, of a signal of 1."""
        if self.metric == "sqnr":
            return 10 ** (-found.value / 10)
        return math.inf if math.isnan(found.value) else self.baseline.value - found.value

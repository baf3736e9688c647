"""How good a model is on samples, by a metric, and how sure that is."""

from __future__ import annotations

from qcore.analysis.evaluation.evaluating import evaluate
from qcore.analysis.evaluation.result import Evaluation, PairedDifference
from qcore.analysis.evaluation.scores import Metric

__all__ = ["Evaluation", "Metric", "PairedDifference", "evaluate"]

"""What an evaluation found, with its confidence interval, and how two of them differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from qcore.analysis.evaluation.intervals import (
    Floats,
    Interval,
    bootstrap_interval,
    mcnemar,
    paired_interval,
    wilson_interval,
)
from qcore.analysis.evaluation.scores import CLASSIFYING, NO_CLASS
from qcore.errors import InputError
from qcore.shown import Shown, table


@dataclass(frozen=True, eq=False)
class Evaluation(Shown):
    """What a metric found on samples.

    metric: its name.
    scores: float64[samples], what each sample is worth: 1 or 0 with "top1", "top5" and "agreement", NaN without labels; the number that a
        function gave. With "sqnr" float64[samples, 2]: the sums of the squares of the reference's output and of the errors.
    predictions: int64[samples], with "top1", "top5" and "agreement" the class of each: the place of the greatest value of the output, of
        equal ones the first; -1 where one is NaN. None with other metrics.
    labels: int64[samples], the right classes, or None where they are not known.
    confidence: of intervals.
    """

    metric: str
    scores: Floats
    predictions: NDArray[np.int64] | None = None
    labels: NDArray[np.int64] | None = None
    confidence: float = 0.95

    @property
    def samples(self) -> int:
        """How many there were."""
        return len(self.scores)

    @cached_property
    def value(self) -> float:
        """The mean of the scores; with "sqnr", the ratio of the sums in dB. NaN without labels for "top1" and "top5"."""
        return float(self._statistic(self._rows.mean(axis=0)))

    @cached_property
    def interval(self) -> Interval:
        """Both ends of the confidence interval of the value.

        Wilson's score interval where each score is 0 or 1, else the bias-corrected and accelerated bootstrap's, over samples.
        """
        if self._is_proportion:
            return wilson_interval(int(np.sum(self.scores)), self.samples, self.confidence)
        return bootstrap_interval(self._rows, self._statistic, self.confidence)

    @property
    def correct(self) -> int | None:
        """How many predictions are the label."""
        return None if self.labels is None or self.predictions is None else int(np.sum(self.predictions == self.labels))

    @property
    def accuracy(self) -> float | None:
        """The part of the predictions that are the label."""
        return None if self.correct is None else self.correct / self.samples

    def agreement(self, other: Evaluation) -> float:
        """The part of the samples that two models, run on the same ones, put in the same class.

        Raises:
            InputError: the other saw another number of samples, or either has no predictions.
        """
        if other.samples != self.samples:
            raise InputError(f"agreement: one evaluation has {self.samples} samples, the other {other.samples}")
        if self.predictions is None or other.predictions is None:
            raise InputError(f"agreement: metrics {self.metric} and {other.metric} do not both predict classes")
        return float(np.mean((self.predictions == other.predictions) & (self.predictions != NO_CLASS)))

    def minus(self, other: Evaluation) -> PairedDifference:
        """How much greater the value is than another model's on the same samples, sample by sample.

        Raises:
            InputError: the other has another metric, other labels, or another number of samples.
        """
        if (self.metric, self.scores.shape) != (other.metric, other.scores.shape):
            raise InputError(
                f"difference: one evaluation is {self.metric} of {self.samples} samples, the other {other.metric} of {other.samples}"
            )
        if not np.array_equal(self.labels, other.labels):  # type: ignore[arg-type]
            raise InputError("difference: the evaluations have different labels")
        value = self.value - other.value
        if self._is_proportion and other._is_proportion:
            better, worse = int(np.sum(self.scores > other.scores)), int(np.sum(self.scores < other.scores))
            interval = paired_interval(better, worse, self.samples, self.confidence)
            return PairedDifference(self.metric, self.samples, value, interval, self.confidence, better, worse, mcnemar(better, worse))
        columns = self._rows.shape[1]

        def difference(means: Floats) -> Any:
            with np.errstate(invalid="ignore"):
                return self._statistic(means[..., :columns]) - self._statistic(means[..., columns:])

        interval = bootstrap_interval(np.hstack([self._rows, other._rows]), difference, self.confidence)
        return PairedDifference(self.metric, self.samples, value, interval, self.confidence)

    def table(self) -> RenderableType:
        """One row, for a rich console."""
        columns = (self.metric, f"{self.confidence:.0%} interval", "samples")
        return table("", columns, [(in_words(self.metric, self.value), interval_in_words(self), self.samples)], columns)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "metric": self.metric,
            "value": self.value,
            "interval": self.interval,
            "confidence": self.confidence,
            "samples": self.samples,
        }

    @property
    def _rows(self) -> Floats:
        return self.scores.reshape(self.samples, -1)

    @property
    def _is_proportion(self) -> bool:
        return self.scores.ndim == 1 and bool(np.isin(self.scores, (0, 1)).all())

    def _statistic(self, means: Floats) -> Any:
        if self.scores.ndim == 1:
            return means[..., 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            return 10 * np.log10(means[..., 0] / means[..., 1])


@dataclass(frozen=True)
class PairedDifference(Shown):
    """How much greater a model's value is than another's on the same samples.

    metric, samples: of both.
    value: the difference; with "sqnr" in dB.
    interval: its confidence interval, of pairs: Bonett and Price's where each score is 0 or 1, else the bootstrap's, over samples.
    confidence: of the interval.
    better, worse: samples that only the one scores 1 on, and only the other; None where scores are other numbers.
    p_value: of McNemar's exact test: how likely models that are equally good differ on samples so unevenly; None likewise.
    """

    metric: str
    samples: int
    value: float
    interval: Interval
    confidence: float
    better: int | None = None
    worse: int | None = None
    p_value: float | None = None

    def table(self) -> RenderableType:
        """One row, for a rich console."""
        columns = {
            f"difference of {self.metric}": in_words(self.metric, self.value, "+"),
            f"{self.confidence:.0%} interval": interval_in_words(self),
            "samples": self.samples,
        }
        if self.p_value is not None:
            columns |= {"better": self.better, "worse": self.worse, "p": f"{self.p_value:.2g}"}
        return table("", tuple(columns), [tuple(columns.values())], tuple(columns))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def in_words(metric: str, value: float, sign: str = "") -> str:
    """A value for people, in the metric's unit; sign: "+" shows it of both kinds of numbers."""
    if metric in CLASSIFYING:
        return f"{value:{sign}.2%}"
    return f"{value:{sign}.2f} dB" if metric == "sqnr" else f"{value:{sign}.5g}"


def interval_in_words(found: Evaluation | PairedDifference) -> str:
    """Both ends of an interval for people."""
    sign = "+" if isinstance(found, PairedDifference) else ""
    return " to ".join(in_words(found.metric, end, sign) for end in found.interval)

"""Samples that stretch a tensor's range far beyond what all others need."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qcore.calibration.extremes import KEPT, Extremes
from qcore.calibration.tensor_statistics import Range, TensorStatistics

MOST_OF_THE_SAMPLES = 4
"""At most one sample in so many counts as an outlier."""


@dataclass(frozen=True)
class Outlier:
    """A few samples that alone make a tensor's range wide.

    subgraph, tensor, name: the tensor.
    samples: their numbers, the one that makes the most difference first.
    range: from the least to the greatest value, real units. rest: the same without these samples.
    factor: how many times wider they make it, where both contain 0.
    """

    subgraph: int
    tensor: int
    name: str
    samples: tuple[int, ...]
    range: Range
    rest: Range
    factor: float

    def __str__(self) -> str:
        """One line for people."""
        what, verb = ("sample", "makes") if len(self.samples) == 1 else ("samples", "make")
        return (
            f"tensor '{self.name}' (subgraph {self.subgraph}, tensor {self.tensor}): {what} {', '.join(map(str, self.samples))} {verb} "
            f"its range {self.factor:.3g} times wider, [{self.range[0]:.6g}, {self.range[1]:.6g}] "
            f"instead of [{self.rest[0]:.6g}, {self.rest[1]:.6g}]"
        )


def find_outlier(key: tuple[int, int], tensor: TensorStatistics, samples: int, factor: float) -> Outlier | None:
    """The outliers of one tensor, if there are any.

    Of the samples at either end the one without which the range is narrowest is taken away, again and again, as far as the extremes are
    known. What is left is the rest; outliers are the first of these samples without which the range is less than ``factor`` times as wide.

    Args:
        key: numbers of subgraph and tensor.
        tensor: what was seen of it.
        samples: how many samples there were in all.
        factor: over 1.
    """
    seen = tensor.highest.samples.size
    removed: list[int] = []
    ranges = [(tensor.minimum, tensor.maximum)]
    for _ in range(min(KEPT - 1, (samples if seen == KEPT else seen) // MOST_OF_THE_SAMPLES)):
        ends = {_first(tensor.lowest, removed)[0], _first(tensor.highest, removed)[0]}
        removed.append(min(sorted(ends), key=lambda sample: _width(_without(tensor, [*removed, sample]))))
        ranges.append(_without(tensor, removed))
    widths = [_width(ends) for ends in ranges]
    count = next(k for k, width in enumerate(widths) if width <= factor * widths[-1])
    if count == 0:
        return None
    stretch = widths[0] / widths[count] if widths[count] else math.inf
    return Outlier(*key, tensor.name, tuple(removed[:count]), ranges[0], ranges[count], stretch)


def _first(extremes: Extremes, removed: list[int]) -> tuple[int, float]:
    """The most extreme sample that is not removed, and its value."""
    return next((int(n), float(v)) for n, v in zip(extremes.samples, extremes.values, strict=True) if n not in removed)


def _without(tensor: TensorStatistics, removed: list[int]) -> Range:
    return -_first(tensor.lowest, removed)[1], _first(tensor.highest, removed)[1]


def _width(ends: Range) -> float:
    return max(ends[1], 0.0) - min(ends[0], 0.0)

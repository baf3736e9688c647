"""Samples that stretch a tensor's range far beyond what all others need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from qcore.calibration.extremes import Extremes
from qcore.calibration.tensor_statistics import TensorStatistics

MOST_OF_THE_SAMPLES = 0.25
"""More samples than this part of all are no outliers."""


@dataclass(frozen=True)
class Outlier:
    """A few samples that alone set one end of a tensor's range.

    subgraph, tensor, name: the tensor.
    end: which end of its range.
    samples: their numbers, the most extreme first.
    value: the end as it is, real units. rest: what it would be without these samples.
    factor: how many times wider they make the range, 0 included.
    """

    subgraph: int
    tensor: int
    name: str
    end: Literal["minimum", "maximum"]
    samples: tuple[int, ...]
    value: float
    rest: float
    factor: float

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"tensor '{self.name}' (subgraph {self.subgraph}, tensor {self.tensor}): {numbered(self.samples)} "
            f"{'makes' if len(self.samples) == 1 else 'make'} its range {self.factor:.3g} times wider: "
            f"the {self.end} is {self.value:.6g}, without {self.rest:.6g}"
        )


def numbered(samples: tuple[int, ...]) -> str:
    """``sample 3``, ``samples 3, 17``."""
    return f"sample{'s' if len(samples) > 1 else ''} {', '.join(map(str, samples))}"


def outliers_of(key: tuple[int, int], tensor: TensorStatistics, samples: int, factor: float) -> list[Outlier]:
    """The outliers at both ends of a tensor, if there are any.

    Args:
        key: numbers of subgraph and tensor.
        tensor: what was seen of it.
        samples: how many samples there were in all.
        factor: how many times wider they must make the range; over 1.
    """
    found = []
    for end, extremes, sign, opposite in (("minimum", tensor.lowest, -1, tensor.maximum), ("maximum", tensor.highest, 1, -tensor.minimum)):
        count, stretch = _outstanding(extremes, max(opposite, 0.0), samples, factor)
        if count:
            value, rest = (sign * float(extremes.values[k]) for k in (0, count))
            found.append(Outlier(*key, tensor.name, end, tuple(extremes.samples[:count].tolist()), value, rest, stretch))  # type: ignore[arg-type]
    return found


def _outstanding(extremes: Extremes, opposite: float, samples: int, factor: float) -> tuple[int, float]:
    """The least number of samples without which the range is so many times narrower, 0 for none; and how many times it is."""
    widths = [max(float(value), 0.0) + opposite for value in extremes.values]
    for count in range(1, min(len(widths), int(samples * MOST_OF_THE_SAMPLES) + 1)):
        if widths[0] > 0 and widths[0] >= factor * widths[count]:
            return count, widths[0] / widths[count] if widths[count] else math.inf
    return 0, 1.0

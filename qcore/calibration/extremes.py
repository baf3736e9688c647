"""What a tensor keeps of single samples: the range of the latest ones, and the most extreme ones.

Both are bounded, and both are functions of the set of samples alone. Where two parts hold a sample of the same number, its range is that of
both together; this happens where shards overlap, or separate runs count from the same number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

RECENT = 512
"""Samples kept for the moving average: what comes before weighs 0.95**511 in it, less than 5e-12."""
KEPT = 8
"""Samples kept at each end of a tensor's range."""
DECAY = np.float32(0.95)
GAIN = np.float32(1.0 - 0.95)

Samples = NDArray[np.int64]
Values = NDArray[np.float32]


def _none() -> Samples:
    return np.zeros(0, np.int64)


def _empty() -> Values:
    return np.zeros(0, np.float32)


@dataclass(eq=False)
class Recent:
    """Least and greatest value of a tensor in each of the last RECENT samples that computed it.

    samples: int64[n], numbers of samples, ascending.
    lows, highs: float32[n], real units.
    """

    samples: Samples = field(default_factory=_none)
    lows: Values = field(default_factory=_empty)
    highs: Values = field(default_factory=_empty)

    def add(self, sample: int, low: float, high: float) -> None:
        """Take up values of a sample that is not before those held."""
        if self.samples.size and sample == self.samples[-1]:
            self.lows[-1] = min(self.lows[-1], low)
            self.highs[-1] = max(self.highs[-1], high)
        else:
            self.samples = np.append(self.samples, sample)[-RECENT:]
            self.lows = np.append(self.lows, np.float32(low))[-RECENT:]
            self.highs = np.append(self.highs, np.float32(high))[-RECENT:]

    def merged(self, other: Recent) -> Recent:
        """The last RECENT samples of both."""
        samples, place = np.unique(np.concatenate([self.samples, other.samples]), return_inverse=True)
        lows = np.full(samples.size, np.inf, np.float32)
        highs = np.full(samples.size, -np.inf, np.float32)
        np.minimum.at(lows, place, np.concatenate([self.lows, other.lows]))
        np.maximum.at(highs, place, np.concatenate([self.highs, other.highs]))
        return Recent(samples[-RECENT:], lows[-RECENT:], highs[-RECENT:])

    def average(self) -> tuple[float, float]:
        """Exponential moving averages of the least and the greatest values, in float32: 0.95 old + 0.05 new, from the first sample on.

        Source: ai_edge_quantizer/utils/qsv_utils.py#moving_average_update, to the bit for up to RECENT samples.
        """
        low, high = self.lows[0], self.highs[0]
        for new_low, new_high in zip(self.lows[1:], self.highs[1:], strict=True):
            low, high = DECAY * low + GAIN * new_low, DECAY * high + GAIN * new_high
        return float(low), float(high)


@dataclass(eq=False)
class Extremes:
    """The samples with the KEPT greatest values of a tensor, one value for each.

    samples: int64[n], numbers of samples.
    values: float32[n], real units, descending; of equal values the earlier sample comes first.
    """

    samples: Samples = field(default_factory=_none)
    values: Values = field(default_factory=_empty)

    def add(self, sample: int, value: float) -> None:
        """Take up the greatest value of a sample that is not before those held, or of part of it."""
        if self.values.size < KEPT or value > self.values[-1]:
            new = self.merged(Extremes(np.array([sample]), np.array([value], np.float32)))
            self.samples, self.values = new.samples, new.values

    def merged(self, other: Extremes) -> Extremes:
        """The KEPT greatest of both."""
        samples, place = np.unique(np.concatenate([self.samples, other.samples]), return_inverse=True)
        values = np.full(samples.size, -np.inf, np.float32)
        np.maximum.at(values, place, np.concatenate([self.values, other.values]))
        first = np.lexsort((samples, -values))[:KEPT]
        return Extremes(samples[first], values[first])

"""Everything calibration keeps of one tensor: bounded, and mergeable without error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from qcore.calibration.extremes import Extremes, Recent
from qcore.calibration.histogram import Histogram
from qcore.errors import InputError
from qcore.kernels.opdef import Array

AVERAGED_REACH = 3e38
"""Magnitudes from here on, which stand for minus infinity in masks, do not count in moving averages."""
Range = tuple[float, float]

NEVER = -1
"""In place of a sample's number."""


@dataclass(eq=False)
class TensorStatistics:
    """What was seen of one float32 tensor.

    NaN and infinities are counted and left out of everything else.

    name: of the tensor.
    count: finite elements seen. zeros: those of them that are 0.
    minimum, maximum: least and greatest finite value, float32 numbers in real units; inf and -inf where there was none.
    written_minimum, written_maximum: the same of what TensorFlow Lite would have written over it; see ``sharing``.
    nan, infinite: elements seen. first_nonfinite: number of the first sample that had any, or NEVER.
    histogram: of the finite elements.
    recent: range of each of the latest samples.
    highest: the samples with the greatest values. lowest: those with the least, which are held with their sign changed.
    """

    name: str
    count: int = 0
    zeros: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    written_minimum: float = math.inf
    written_maximum: float = -math.inf
    nan: int = 0
    infinite: int = 0
    first_nonfinite: int = NEVER
    histogram: Histogram = field(default_factory=Histogram)
    recent: Recent = field(default_factory=Recent)
    highest: Extremes = field(default_factory=Extremes)
    lowest: Extremes = field(default_factory=Extremes)

    @property
    def has_range(self) -> bool:
        """There is a least and a greatest value."""
        return self.minimum <= self.maximum

    def observe(self, sample: int, values: Array) -> Range | None:
        """Take up values.

        Args:
            sample: number of the sample that they were computed from, not before those taken up already.
            values: float32[...], real units.

        Returns:
            The least and the greatest of them; None where none is finite.
        """
        flat = values.reshape(-1)
        if not flat.size:
            return None
        low, high = ends(flat)
        if not (math.isfinite(low) and math.isfinite(high)):
            finite = flat[np.isfinite(flat)]
            nan = int(np.isnan(flat).sum())
            self.nan += nan
            self.infinite += flat.size - finite.size - nan
            self.first_nonfinite = sample if self.first_nonfinite == NEVER else self.first_nonfinite
            if not finite.size:
                return None
            flat, (low, high) = finite, ends(finite)
        self.count += flat.size
        self.zeros += int(np.count_nonzero(flat == 0))
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        self.histogram.add(flat, max(-low, high))
        self.highest.add(sample, high)
        self.lowest.add(sample, 0.0 - low)
        averaged = flat if max(-low, high) < AVERAGED_REACH else flat[np.abs(flat) < AVERAGED_REACH]
        if averaged is flat:
            self.recent.add(sample, low, high)
        elif averaged.size:
            self.recent.add(sample, *ends(averaged))
        return low, high

    def overwrite(self, low: float, high: float) -> None:
        """Take up the range of what TensorFlow Lite would have written over the tensor."""
        self.written_minimum, self.written_maximum = min(self.written_minimum, low), max(self.written_maximum, high)

    def merged(self, other: TensorStatistics) -> TensorStatistics:
        """The statistics of everything that either has seen.

        Raises:
            InputError: they are of tensors of different names.
        """
        if self.name != other.name:
            raise InputError(f"merging statistics: got those of a tensor '{self.name}' and of a tensor '{other.name}'")
        return TensorStatistics(
            self.name,
            self.count + other.count,
            self.zeros + other.zeros,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            min(self.written_minimum, other.written_minimum),
            max(self.written_maximum, other.written_maximum),
            self.nan + other.nan,
            self.infinite + other.infinite,
            min((n for n in (self.first_nonfinite, other.first_nonfinite) if n != NEVER), default=NEVER),
            self.histogram.merged(other.histogram),
            self.recent.merged(other.recent),
            self.highest.merged(other.highest),
            self.lowest.merged(other.lowest),
        )


def ends(values: Array) -> Range:
    """The least and the greatest value; no -0, which equals 0 but does not look the same in a file."""
    with np.errstate(invalid="ignore"):
        return float(values.min()) + 0.0, float(values.max()) + 0.0

"""From statistics to a range: the calibration methods. One recording serves them all, at any time after it.

* minmax: the least and the greatest value; TensorFlow Lite's converter.
* moving_average: averages over the samples' own least and greatest values; ai-edge-quantizer.
* percentile: the values that leave out the given part at each end.
* entropy: the range whose codes tell the most about the distribution (least Kullback-Leibler divergence).
* mse: the range with the least expected squared error of quantization.

The last three read the histogram, and the last two depend on how many codes the type has. None of them widens a range to contain 0 or
away from being empty: that is part of choosing parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from qcore.calibration.clipping import Distribution, divergence, squared_error
from qcore.calibration.histogram import Histogram
from qcore.calibration.tensor_statistics import Range, TensorStatistics
from qcore.errors import InputError
from qcore.numerics.params import quantized_type

Method = Literal["minmax", "moving_average", "percentile", "entropy", "mse"]

SMALLEST_POSITIVE = float(np.finfo(np.float32).tiny)
PARTS = [2.0 ** (-k / 8) for k in range(64)]
"""Parts of each end of the whole range that clipping methods try: from all of it to 1/256, in steps of 9 %."""


def check_method(method: str, percentile: float) -> None:
    """Refuse a method that there is not, and a percentile that is none.

    Raises:
        InputError: either is wrong.
    """
    if method not in get_args(Method):
        raise InputError(f"calibration: method is {method!r}, expected one of {', '.join(get_args(Method))}")
    if isinstance(percentile, bool) or not isinstance(percentile, int | float) or not 50 < percentile <= 100:
        raise InputError(f"calibration: percentile is {percentile!r}, expected a number over 50, at most 100")


def find_range(tensor: TensorStatistics, method: Method, percentile: float, dtype: str) -> Range:
    """The range of a tensor by a method.

    Args:
        tensor: what was seen of it: at least one finite value.
        method: see above.
        percentile: of method "percentile".
        dtype: element type of the codes to come, such as "int8".

    Returns:
        The lower and the upper end, float32 numbers in real units.

    Raises:
        InputError: a type without codes.
    """
    steps = (1 << quantized_type(dtype).bits) - 1
    if method == "percentile":
        low, high = percentile_range(tensor, percentile)
    else:
        low, high = _OBSERVERS[method](tensor, steps)
    return float(np.float32(low)), float(np.float32(high))


def minmax_range(tensor: TensorStatistics, steps: int) -> Range:
    """The least and the greatest value as TensorFlow's calibrator finds them.

    It starts its search for the greatest at the smallest positive normal float32, which is what a tensor without positive values shows;
    and where an operator writes its output over an input, it takes the output's values for the input's too (see ``sharing``).
    For the least and the greatest value and nothing else, take method "percentile" with 100.

    Source: tflite/tools/optimize/calibration/calibration_logger.cc#MinMax::Update, which takes infinities for values too.
    """
    return min(tensor.minimum, tensor.written_minimum), max(tensor.maximum, tensor.written_maximum, SMALLEST_POSITIVE)


def moving_average_range(tensor: TensorStatistics, steps: int) -> Range:
    """Exponential moving averages of the samples' least and greatest values; the whole range where none counts."""
    return tensor.recent.average() if tensor.recent.samples.size else (tensor.minimum, tensor.maximum)


def percentile_range(tensor: TensorStatistics, percentile: float) -> Range:
    """That percentile and its complement, linear within a bin."""
    outside = (1 - percentile / 100) * tensor.count
    ends = np.array([quantile(tensor.histogram, rank) for rank in (outside, tensor.count - outside)])
    low, high = np.clip(ends, tensor.minimum, tensor.maximum).tolist()
    return low, high


def quantile(histogram: Histogram, rank: float) -> float:
    """The value that so many others lie below, each bin's values taken as spread evenly over it."""
    below = np.cumsum(histogram.counts)
    place = int(np.searchsorted(below, rank))
    inside = int(histogram.counts[place])
    part = (rank - (int(below[place]) - inside)) / inside if inside else 0.0
    return float(histogram.centers[place] + (part - 0.5) * histogram.width)


def entropy_range(tensor: TensorStatistics, steps: int) -> Range:
    """The range of least divergence."""
    return cheapest_range(tensor, steps, divergence)


def mse_range(tensor: TensorStatistics, steps: int) -> Range:
    """The range of least squared error."""
    return cheapest_range(tensor, steps, squared_error)


def cheapest_range(tensor: TensorStatistics, steps: int, cost: Callable[[Distribution, float, float, int], float]) -> Range:
    """The range that costs least, found by moving one end at a time, twice, the farther end first; of equals, the widest.

    Ends that are tried are PARTS of the least and the greatest value, or 0.
    """
    values = Distribution.of(tensor)
    whole = (min(tensor.minimum, 0.0), max(tensor.maximum, 0.0))
    best = whole
    for end in sorted((0, 1), key=lambda k: -abs(whole[k])) * 2:
        moved = [whole[end] * part for part in PARTS] if whole[end] else [0.0]
        tried = [(m, best[1]) if end == 0 else (best[0], m) for m in moved]
        best = min(tried, key=lambda ends: cost(values, ends[0], ends[1], steps))
    return best


_OBSERVERS: Mapping[str, Callable[[TensorStatistics, int], Range]] = MappingProxyType(
    {"minmax": minmax_range, "moving_average": moving_average_range, "entropy": entropy_range, "mse": mse_range}
)

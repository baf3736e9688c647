"""The numbers that charts are drawn from: bars of a few dozen bins, grids of codes, the worst channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.analysis.report.data import Bars, Channel, Columns, Grid
from qcore.analysis.report.observing import ChannelSums
from qcore.calibration.histogram import BINS, HALF
from qcore.calibration.tensor_statistics import TensorStatistics
from qcore.numerics.params import QuantParams

BARS = 96
"""At most, in a histogram."""
CODE_BARS = 128
"""At most, in a histogram of codes."""
COLUMNS = 256
"""At most, in a chart of scales."""
WORST = 8
"""Channels in a table."""


def bars(statistics: TensorStatistics) -> Bars:
    """The histogram of what was seen of a tensor, in at most BARS bins; none where no value was finite."""
    if not statistics.count:
        return Bars(0.0, 1.0, ())
    histogram, ends = statistics.histogram, (statistics.minimum, statistics.maximum)
    first, last = (min(max(math.floor(end / histogram.width) + HALF, 0), BINS - 1) for end in ends)
    merged = -(-(last - first + 1) // BARS)
    counts = histogram.counts[first : last + 1]
    padded = np.pad(counts, (0, -len(counts) % merged))
    return Bars((first - HALF) * histogram.width, merged * histogram.width, tuple(padded.reshape(-1, merged).sum(axis=1).tolist()))


def code_bars(codes: NDArray[Any], quantized_min: int, quantized_max: int) -> Bars:
    """How often codes are used, in at most CODE_BARS bins of as many codes each."""
    merged = -(-(quantized_max - quantized_min + 1) // CODE_BARS)
    places = (codes.reshape(-1).astype(np.int64) - quantized_min) // merged
    count = (quantized_max - quantized_min) // merged + 1
    return Bars(quantized_min, merged, tuple(np.bincount(np.clip(places, 0, count - 1), minlength=count).tolist()))


def grid(params: QuantParams | None) -> Grid | None:
    """What the codes of a tensor stand for."""
    if params is None or params.block_size:
        return None
    scale, zero_point = params.scale.astype(np.float64), params.zero_point
    lows, highs = scale * (params.quantized_min - zero_point), scale * (params.quantized_max - zero_point)
    wide, narrow = int(np.argmax(scale)), int(np.argmin(scale))
    return Grid(
        scale=float(scale[wide]),
        zero_point=int(zero_point[wide]),
        low=float(lows[wide]),
        high=float(highs[wide]),
        narrowest=None if params.per_tensor else (float(lows[narrow]), float(highs[narrow])),
        quantized_min=params.quantized_min,
        quantized_max=params.quantized_max,
        scales=scale.size,
        axis=None if params.per_tensor else params.quantized_dimension,
    )


def columns(scales: NDArray[np.float32]) -> Columns:
    """Scales by channel in at most COLUMNS columns."""
    parts = np.array_split(scales, min(scales.size, COLUMNS))
    return Columns(scales.size, tuple(float(p.min()) for p in parts), tuple(float(p.max()) for p in parts))


def sqnr_db(squared_reference: float, squared_error: float) -> float:
    """Equation (40) from its two sums."""
    if squared_error == 0:
        return math.inf
    return 10 * math.log10(squared_reference / squared_error) if squared_reference > 0 else -math.inf


def worst_channels(sums: ChannelSums, scales: NDArray[np.float32] | None = None) -> tuple[Channel, ...]:
    """The WORST channels by SQNR, least first; those without error have none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(sums.squared_error > 0, sums.squared_reference / sums.squared_error, np.inf)
    order = np.argsort(ratio, kind="stable")[:WORST]
    return tuple(
        Channel(
            index=int(i),
            scale=None if scales is None else float(scales[i]),
            low=float(sums.low[i]),
            high=float(sums.high[i]),
            error=math.sqrt(sums.squared_error[i] / sums.count),
            mean_error=float(sums.error[i] / sums.count),
            sqnr_db=sqnr_db(float(sums.squared_reference[i]), float(sums.squared_error[i])),
        )
        for i in order
        if sums.squared_error[i] > 0
    )

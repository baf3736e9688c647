"""The sums that a kernel requantizes, caught on their way: the kernel runs as it is, with a requantization that keeps what it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from qcore.kernels import conv, depthwise
from qcore.kernels.opdef import Array, Step
from qcore.kernels.tabulate import untabulated
from qcore.kernels.windows import tiles


@dataclass
class Recorder:
    """A requantization that remembers the accumulators it is called with."""

    requantize: Callable[[Array], Array]
    seen: list[Array] = field(default_factory=list)

    def __call__(self, accumulator: Array) -> Array:
        """Requantize."""
        self.seen.append(np.array(accumulator))
        return self.requantize(accumulator)


def accumulators(step: Step, inputs: Sequence[Array | None], shape: tuple[int, ...]) -> Array | None:
    """The accumulators of an operator's first output, bias and zero points included; None where it has no single one for each element.

    Args:
        step: as prepared.
        inputs: elements.
        shape: of the output.

    Returns:
        int32 | int64[shape].
    """
    step = untabulated(step)
    found = recording(step.params)
    if found is None:
        return None
    params, recorder = found
    with np.errstate(all="ignore"):
        step.kernel(params, *inputs)
    if sum(part.size for part in recorder.seen) != math.prod(shape):
        return None
    if isinstance(params, conv.QuantizedParams | depthwise.QuantizedParams):
        return from_tiles(params.geometry, recorder.seen, shape)
    return recorder.seen[0].reshape(shape) if len(recorder.seen) == 1 else None


def recording(params: Any) -> tuple[Any, Recorder] | None:
    """The params with a recorder in the place of their requantization, and the recorder; None where there is not just one."""
    if not is_dataclass(params) or isinstance(params, type):
        return None
    places = []
    for f in fields(params):
        value = getattr(params, f.name)
        if f.name == "requantize":
            recorder = Recorder(value)
            places.append((f.name, recorder, recorder))
        elif (found := recording(value)) is not None:
            places.append((f.name, *found))
    if len(places) != 1:
        return None
    name, value, recorder = places[0]
    return replace(params, **{name: value}), recorder


def from_tiles(geometry: conv.Geometry | depthwise.Geometry, parts: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """An output's accumulators from those of its tiles, in the order that the kernel takes them."""
    whole = np.empty(shape, parts[0].dtype)
    for tile, part in zip(tiles(shape[0], geometry.height, geometry.width, geometry.tile_positions), parts, strict=True):
        whole[tile.place] = part
    return whole

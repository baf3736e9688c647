"""Which elements of input and filter meet in an output of a weighted operator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.analysis.explaining.case import Case, Tensor
from qcore.kernels.common import Window
from qcore.kernels.opdef import Array, Operand

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Taps:
    """What meets in one output.

    input, filter: [taps, rank], elements of both.
    text: how many, in words.
    row: of the input, where rows are quantized each by itself.
    channel: of the output, along the filter's scales.
    roles: which inputs of the operator are the input, the filter and the bias.
    """

    input: Indices
    filter: Indices
    text: str
    row: int
    channel: int
    roles: tuple[int, int, int] = (0, 1, 2)

    def operands(self, case: Case) -> tuple[Operand, Operand, Operand | None]:
        """Input, filter and bias."""
        input, filter, bias = self.roles
        return case.node.input(input), case.node.input(filter), case.node.optional_input(bias)

    def arrays(self, case: Case) -> tuple[Array, Array, Array | None]:
        """Input, filter and bias, whole."""
        input, filter, bias = self.roles
        return case.array(input), case.array(filter), case.inputs[bias] if bias < len(case.inputs) else None

    def tensors(self, case: Case) -> tuple[Tensor, ...]:
        """Their parts in the element."""
        input, filter, bias = self.operands(case)
        place = tuple(self.filter[0].tolist()) if len(self.filter) else None
        of_filter = case.tensor("2", "filter", filter, place or self._first(filter))
        both = (case.tensor("1", "input", input), of_filter)
        return both if bias is None else (*both, case.tensor("b", "bias", bias, (self.channel,)))

    def _first(self, filter: Operand) -> tuple[int, ...] | None:
        """An element of the filter in the channel, where all taps are in padding."""
        q = filter.quantization
        return None if q is None else tuple(self.channel if axis == q.quantized_dimension else 0 for axis in range(filter.rank))


def grid(*axes: Indices) -> Indices:
    """[elements, axes]: every choice of one number for each axis, the last one fastest."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def one(place: int) -> Indices:
    """An axis of one place."""
    return np.array([place])


def along(window: Window, place: int) -> tuple[Indices, Indices]:
    """The taps of one output's window that touch the input, and the inputs that they touch."""
    taps = np.arange(window.size)
    places = place * window.stride + taps * window.dilation - window.pad_before
    inside = (places >= 0) & (places < window.input)
    return taps[inside], places[inside]


def reaching(window: Window, place: int) -> tuple[Indices, Indices]:
    """The same the other way round: taps and outputs of the windows that touch one input."""
    taps = np.arange(window.size)
    places, off = np.divmod(place + window.pad_before - taps * window.dilation, window.stride)
    inside = (off == 0) & (places >= 0) & (places < window.output)
    return taps[inside], places[inside]


def counted(taps: Indices, sizes: tuple[int, ...]) -> str:
    """How many taps there are, and how many of the filter's are in padding."""
    total = math.prod(sizes)
    return f"{' * '.join(map(str, sizes))} taps = {total}, {total - len(taps)} of them in padding"


def paired(rows: tuple[Indices, Indices], columns: tuple[Indices, Indices], depth: int) -> tuple[Indices, Indices]:
    """[taps, 3] each: row, column and channel of filter and input, for every tap."""
    channels = np.arange(depth)
    return grid(rows[0], columns[0], channels), grid(rows[1], columns[1], channels)


def convolution(case: Case) -> Taps:
    """CONV_2D."""
    batch, y, x, channel = case.element
    g, filter = case.params.geometry, case.array(1)
    (taps_y, rows), (taps_x, columns) = along(g.height, y), along(g.width, x)
    depth = filter.shape[3]
    of_filter, of_input = paired((taps_y + g.taps[0].start, rows), (taps_x + g.taps[1].start, columns), depth)
    of_input[:, 2] += channel // (len(filter) // g.groups) * depth
    return Taps(front(of_input, batch), front(of_filter, channel), counted(of_filter, filter.shape[1:]), batch, channel)


def pointwise_convolution(case: Case) -> Taps:
    """CONV_2D of dynamic range whose windows are pixels, each of them a row by itself."""
    batch, y, x, channel = case.element
    shape, depth = case.array(0).shape, case.array(1).shape[3]
    row = int(np.ravel_multi_index((batch, y, x), shape[:3]))
    channels = np.arange(depth)
    pixel = grid(one(batch), one(y), one(x), channels)
    filter = grid(one(channel), one(0), one(0), channels)
    return Taps(pixel, filter, counted(filter, (depth,)), row, channel)


def depthwise(case: Case) -> Taps:
    """DEPTHWISE_CONV_2D."""
    batch, y, x, channel = case.element
    g, filter = case.params.geometry, case.array(1)
    (taps_y, rows), (taps_x, columns) = along(g.height, y), along(g.width, x)
    of_filter, of_input = paired((taps_y + g.taps[0].start, rows), (taps_x + g.taps[1].start, columns), 1)
    of_filter[:, 2], of_input[:, 2] = channel, channel // g.multiplier
    return Taps(front(of_input, batch), front(of_filter, 0), counted(of_filter, filter.shape[1:3]), batch, channel)


def transposed_convolution(case: Case) -> Taps:
    """TRANSPOSE_CONV."""
    batch, y, x, channel = case.element
    g, filter = case.params.geometry, case.array(1)
    of_filter, of_input = paired(reaching(g.height, y), reaching(g.width, x), filter.shape[3])
    text = f"{len(of_filter)} taps reach the output"
    return Taps(front(of_input, batch), front(of_filter, channel), text, batch, channel, (2, 1, 3))


def convolution_3d(case: Case) -> Taps:
    """CONV_3D."""
    batch, *place, channel = case.element
    filter, pairs = case.array(1), [along(window, i) for window, i in zip(case.params.windows, place, strict=True)]
    channels = np.arange(filter.shape[3])
    of_filter = grid(*(taps for taps, _ in pairs), channels, one(channel))
    of_input = front(grid(*(inputs for _, inputs in pairs), channels), batch)
    return Taps(of_input, of_filter, counted(of_filter, filter.shape[:4]), batch, channel)


def transposed_convolution_3d(case: Case) -> Taps:
    """CONV_3D_TRANSPOSE."""
    batch, *place, channel = case.element
    pairs = [reaching(window, i) for window, i in zip(case.params.windows, place, strict=True)]
    channels = np.arange(case.array(1).shape[4])
    of_filter = grid(*(taps for taps, _ in pairs), one(channel), channels)
    of_input = front(grid(*(inputs for _, inputs in pairs), channels), batch)
    return Taps(of_input, of_filter, f"{len(of_filter)} taps reach the output", batch, channel, (2, 1, 3))


def dense(case: Case) -> Taps:
    """FULLY_CONNECTED."""
    row, unit = divmod(int(np.ravel_multi_index(case.element, case.shape)), case.array(1).shape[0])
    depth = case.params.rows.depth
    places = np.unravel_index(row * depth + np.arange(depth), case.array(0).shape)
    filter = grid(one(unit), np.arange(depth))
    return Taps(np.stack(places, axis=-1), filter, counted(filter, (depth,)), row, unit)


def batch_matmul(case: Case) -> Taps:
    """BATCH_MATMUL."""
    *_, i, j = case.element
    x, y, p = case.array(0), case.array(1), case.params
    depth = np.arange(x.shape[-2 if p.adj_x else -1])
    (x_batch, x_row), (y_batch, _) = (batch_of(case, array) for array in (x, y))
    x_places = (depth, one(i)) if p.adj_x else (one(i), depth)
    y_places = (one(j), depth) if p.adj_y else (depth, one(j))
    rows = x.shape[-1 if p.adj_x else -2]
    return Taps(grid(*x_batch, *x_places), grid(*y_batch, *y_places), counted(depth, (len(depth),)), x_row * rows + i, j)


def batch_of(case: Case, operand: Array) -> tuple[tuple[Indices, ...], int]:
    """An operand's batch that meets the element, axis by axis, and counted in the order of memory."""
    sizes = operand.shape[:-2]
    batch = case.element[:-2]
    places = [0 if size == 1 else place for size, place in zip(sizes, batch[len(batch) - len(sizes) :], strict=True)]
    return tuple(map(one, places)), int(np.ravel_multi_index(places, sizes)) if sizes else 0


def front(places: Indices, first: int) -> Indices:
    """The places with one more axis before the others."""
    return np.insert(places, 0, first, axis=1)

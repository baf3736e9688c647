"""What accumulators are sums of: for each family of operators, the weights, the windows and the bias that ``prepare`` arrived at.

An accumulator is ``bias[c] + sum of weights[c, ky, kx, d] * (code - zero_point)`` over the taps of a window that meet the input: padding
is real zero and adds nothing. A dense layer is a window of one tap; of a mean, and of products whose factors are both computed at run
time, all terms are alike, and count as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import batch_matmul, conv, depthwise, fully_connected, mean, pool, transpose_conv
from qcore.kernels.common import Window
from qcore.kernels.hybrid import GREATEST_CODE, LEAST_CODE, DynamicRange
from qcore.kernels.opdef import Array, Shape, Step
from qcore.kernels.weighted import QuantizedOutput
from qcore.kernels.windows import trimmed
from qcore.model import Tensor
from qcore.numerics.dtypes import element_type

Positions = NDArray[np.int64]


class Roles(NamedTuple):
    """Places of an operator's inputs by what they are; None for a bias where there never is one."""

    input: int
    filter: int
    bias: int | None


ROLES: Mapping[str, Roles] = MappingProxyType(
    {
        "CONV_2D": Roles(0, 1, 2),
        "DEPTHWISE_CONV_2D": Roles(0, 1, 2),
        "FULLY_CONNECTED": Roles(0, 1, 2),
        "TRANSPOSE_CONV": Roles(2, 1, 3),
        "BATCH_MATMUL": Roles(0, 1, None),
    }
)
"""Of the operators that multiply with weights."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Which taps of a window meet an input, for each output along one axis: those from first to last that are ``step`` apart.

    first, last: int64[outputs]; 0 and -step where none does.
    step: between these taps.
    input: by output and tap, the input that they meet.
    """

    first: Positions
    last: Positions
    step: int
    input: Callable[[int, int], int]

    @classmethod
    def of(cls, first: Positions, last: Positions, step: int, input: Callable[[int, int], int]) -> Axis:
        """The axis; taps may be none."""
        some = first <= last
        return cls(np.where(some, first, 0), np.where(some, last, -step), step, input)

    @classmethod
    def along(cls, w: Window) -> Axis:
        """Of a convolution or pooling."""
        start = np.arange(w.output, dtype=np.int64) * w.stride - w.pad_before
        first, last = np.maximum(-(start // w.dilation), 0), np.minimum((w.input - 1 - start) // w.dilation, w.size - 1)
        return cls.of(first, last, 1, lambda o, k: o * w.stride + k * w.dilation - w.pad_before)

    @classmethod
    def against(cls, w: Window) -> Axis:
        """Of a transposed convolution, whose outputs are the window's inputs."""
        tap = np.arange(w.input, dtype=np.int64) + w.pad_before
        first = np.maximum(tap - w.stride * (w.output - 1), tap % w.stride)
        last = np.minimum(tap, w.size - 1 - (w.size - 1 - tap) % w.stride)
        return cls.of(first, last, w.stride, lambda o, k: (o + w.pad_before - k) // w.stride)

    @classmethod
    def each(cls, count: int) -> Axis:
        """Every output has a tap of its own."""
        own = np.arange(count, dtype=np.int64)
        return cls(own, own, 1, lambda o, k: 0)

    def taps(self, output: int) -> range:
        """Those that meet an input there."""
        return range(int(self.first[output]), int(self.last[output]) + 1, self.step)

    def totals(self, values: NDArray[np.int64]) -> tuple[NDArray[np.int64], Positions]:
        """Sums over taps, int64[..., taps], for each set of taps that occurs, int64[..., sets]; and an output where each does."""
        (first, last), outputs = np.unique(np.stack([self.first, self.last]), axis=1, return_index=True)
        size = values.shape[-1]
        padded = np.zeros((*values.shape[:-1], -(-size // self.step) + 1, self.step), np.int64)
        padded.reshape(*values.shape[:-1], -1)[..., self.step : self.step + size] = values
        running = padded.cumsum(axis=-2).reshape(*values.shape[:-1], -1)
        return running[..., last + self.step] - running[..., first], outputs


ONE = Axis.each(1)
"""A single tap."""


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of an operator's accumulators.

    weights: integers[channels, height, width, depth], less their zero point.
    height, width: which of them meet an input at each output.
    groups: of channels: the first meets the first depth channels of the input, and so on.
    codes: the least and the greatest that the input may hold. zero_points: what may be taken off them: the least and the greatest where it
        comes with the input, else one.
    bias: Python integers[channels].
    factor: float64[channels], output steps per unit of the accumulator; None where zero points are not taken off.
    slot: of the input. view: its shape as [batch, height, width, channels].
    adj_x: the input has its two last axes swapped.
    averaged: sums are divided by the number of their terms, half of which is added before, away from zero; it counts as part of the sum.
    fill: where all terms are alike, the codes of whole inputs by their slot: those of the least sum, and those of the greatest.
    """

    weights: Array
    height: Axis
    width: Axis
    groups: int
    codes: tuple[int, int]
    zero_points: tuple[int, ...]
    bias: NDArray[np.object_]
    factor: NDArray[np.float64] | None
    slot: int = 0
    view: Shape = ()
    adj_x: bool = False
    averaged: bool = False
    fill: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Operands:
    """What an operator is given: its tensors and, where they are constant, values, by place among the inputs; and the output.

    shapes: of the inputs.
    """

    operator: str
    tensors: Sequence[Tensor | None]
    values: Sequence[Array | None]
    shapes: Sequence[Shape]
    output: Tensor

    @property
    def roles(self) -> Roles:
        """Of a weighted operator."""
        return ROLES[self.operator]

    def tensor(self, slot: int) -> Tensor:
        """An input that is there."""
        tensor = self.tensors[slot]
        assert tensor is not None, "prepare has refused operators without this input"
        return tensor

    def scale(self, slot: int) -> NDArray[np.float64]:
        """Scales of an input."""
        q = self.tensor(slot).quantization
        assert q is not None, "prepare has refused inputs without scales"
        return q.scale.astype(np.float64)

    def codes(self, slot: int) -> tuple[int, int]:
        """The least and the greatest code of an input's type."""
        kind = element_type(self.tensor(slot).dtype)
        return kind.quantized_min, kind.quantized_max

    @property
    def output_scale(self) -> float:
        """Of the output; 1 where it has none."""
        q = self.output.quantization
        return float(q.scale[0]) if q is not None and q.scale.size else 1.0

    @property
    def bias_codes(self) -> Array | None:
        """Of a weighted operator, [channels], where they are constant."""
        slot = self.roles.bias
        bias = None if slot is None or slot >= len(self.values) else self.values[slot]
        return None if bias is None else bias.reshape(-1)

    def factor(self, channels: int) -> NDArray[np.float64]:
        """float64[channels]: output steps per unit of a weighted operator's accumulator; equation (11) of docs/quantization.md."""
        roles = self.roles
        steps = self.scale(roles.input)[0] * self.scale(roles.filter) / self.output_scale
        return np.asarray(np.broadcast_to(steps, channels))


def terms(step: Step, operands: Operands) -> Terms | None:
    """The terms of a prepared operator's accumulators; None where it has none, none that are integers, or of a kind not known here."""
    family = _FAMILIES.get(type(step.params))
    empty = step.shapes[0] is None or 0 in step.shapes[0]
    if family is None or empty or step.kernel in (pool.maximum, pool.average_float, pool.l2_float):
        return None
    return family(step.params, operands)


def output_of(params: Any) -> QuantizedOutput | None:
    """The last steps of a weighted operator; None of others, and where the output is the sum."""
    found = getattr(params, "finish", getattr(params, "output", None))
    return found if isinstance(found, QuantizedOutput) else None


def _weighted(
    operands: Operands, weights: Array, height: Axis, width: Axis, groups: int, zero_point: int | DynamicRange, view: Shape
) -> Terms:
    """Terms of an integer operator, or of one that quantizes its input as it comes and adds the bias to real values."""
    channels, slot = len(weights), operands.roles.input
    zeros = np.zeros(channels, object)
    if isinstance(zero_point, DynamicRange):
        least = LEAST_CODE if zero_point.asymmetric else -GREATEST_CODE
        zero_points = (LEAST_CODE, GREATEST_CODE) if zero_point.asymmetric else (0,)
        return Terms(weights, height, width, groups, (least, GREATEST_CODE), zero_points, zeros, None, slot, view)
    bias = zeros if operands.bias_codes is None else operands.bias_codes.astype(object)
    codes, factor = operands.codes(slot), operands.factor(channels)
    return Terms(weights, height, width, groups, codes, (zero_point,), bias, factor, slot, view)


def _alike(count: int, codes: tuple[int, int], bias: int, factor: float | None, fill: Mapping[int, tuple[int, int]]) -> Terms:
    """The same code between these, so many times: one term of that weight."""
    factors = None if factor is None else np.array([factor])
    return Terms(np.full((1, 1, 1, 1), count, np.int64), ONE, ONE, 1, codes, (0,), np.array([bias], object), factors, fill=fill)


def _products(operands: Operands, zero_points: tuple[int, int], count: int) -> Terms:
    """As many products of codes of the input and of the filter."""
    slots = operands.roles.input, operands.roles.filter
    ends = [[code - zero_point for code in operands.codes(slot)] for slot, zero_point in zip(slots, zero_points, strict=True)]
    corners = sorted((x * y, x + zero_points[0], y + zero_points[1]) for x in ends[0] for y in ends[1])
    (least, *least_codes), (greatest, *greatest_codes) = corners[0], corners[-1]
    fill = dict(zip(slots, zip(least_codes, greatest_codes, strict=True), strict=True))
    factor = float(np.max(operands.factor(operands.scale(slots[1]).size))) if operands.output.dtype != "int32" else 1.0
    return _alike(count, (least, greatest), 0, factor, fill)


def _convolution(p: conv.QuantizedParams | conv.HybridParams, operands: Operands) -> Terms | None:
    g = p.geometry
    if p.packed is None:
        return _of_two(p, operands, g.height.size * g.width.size * g.depth)
    weights = p.packed.weights.reshape(g.output[3], g.height.size, g.width.size, g.depth)
    return _weighted(operands, weights, Axis.along(g.height), Axis.along(g.width), g.groups, _zero_point(p), operands.shapes[0])


def _depthwise(p: depthwise.QuantizedParams | depthwise.HybridParams, operands: Operands) -> Terms | None:
    g, shape = p.geometry, operands.shapes[0]
    if p.taps is None:
        return _of_two(p, operands, g.height.size * g.width.size)
    weights = p.taps.astype(np.int64).transpose(2, 0, 1)[..., np.newaxis]
    return _weighted(operands, weights, Axis.along(g.height), Axis.along(g.width), shape[3], _zero_point(p), shape)


def _transposed(p: transpose_conv.QuantizedParams | transpose_conv.HybridParams, operands: Operands) -> Terms | None:
    g, shape = p.geometry, operands.shapes[2]
    if p.matrix is None:
        return _of_two(p, operands, math.prod(-(-along.size // along.stride) for along in (g.height, g.width)) * shape[3])
    weights = p.matrix.astype(np.int64).reshape(shape[3], g.height.size, g.width.size, g.output[3]).transpose(3, 1, 2, 0)
    return _weighted(operands, weights, Axis.against(g.height), Axis.against(g.width), 1, _zero_point(p), shape)


def _dense(p: fully_connected.IntegerParams | fully_connected.HybridParams, operands: Operands) -> Terms | None:
    if p.filter is None:
        return _of_two(p, operands, p.rows.depth)
    weights = p.filter.weights[:, np.newaxis, np.newaxis]
    return _weighted(operands, weights, ONE, ONE, 1, _zero_point(p), (p.rows.count, 1, 1, p.rows.depth))


def _matmul(p: batch_matmul.IntegerParams | batch_matmul.HybridParams, operands: Operands) -> Terms | None:
    rows, depth = operands.shapes[0][-2:][::-1] if p.adj_x else operands.shapes[0][-2:]
    if p.y is None:
        return _of_two(p, operands, depth)
    weights = p.y.weights
    weights = weights.reshape(-1, *weights.shape[-2:]).swapaxes(0, 1)[:, :, np.newaxis]
    view = (math.prod(operands.shapes[0][:-2]) * rows, 1, 1, depth)
    return replace(_weighted(operands, weights, Axis.each(weights.shape[1]), ONE, 1, _zero_point(p), view), adj_x=p.adj_x)


def _zero_point(p: Any) -> int | DynamicRange:
    """Of the input: known, or as the input comes."""
    found: int | DynamicRange = p.by if hasattr(p, "by") else p.x_zero_point if hasattr(p, "x_zero_point") else p.input_zero_point
    return found


def _of_two(p: Any, operands: Operands, count: int) -> Terms | None:
    """As many products of codes that are both computed at run time; not of real inputs. A bias that is computed, too, is not counted."""
    zero_point = _zero_point(p)
    if isinstance(zero_point, DynamicRange):
        return None
    other = p.y_zero_point if hasattr(p, "y_zero_point") else p.filter_zero_point
    return _products(operands, (zero_point, other), count)


def _reduced(p: mean.QuantizedParams, operands: Operands) -> Terms:
    codes, count = operands.codes(0), p.reduction.count
    factor = operands.scale(0)[0] / operands.output_scale / (count if operands.operator == "MEAN" and count else 1)
    q = operands.tensor(0).quantization
    known = p.subtracted or q is None or not q.zero_point.any()
    return _alike(count, codes, -p.subtracted, float(factor) if known else None, {0: codes})


def _pooled(p: pool.Params, operands: Operands) -> Terms:
    height, width = trimmed(p.height)[0], trimmed(p.width)[0]
    weights = np.ones((1, height.size, width.size, 1), np.int64)
    codes, bias = operands.codes(0), np.array([0], object)
    return Terms(weights, Axis.along(height), Axis.along(width), 1, codes, (0,), bias, None, view=operands.shapes[0], averaged=True)


_FAMILIES: Mapping[type[Any], Callable[[Any, Operands], Terms | None]] = MappingProxyType(
    {
        conv.QuantizedParams: _convolution,
        conv.HybridParams: _convolution,
        depthwise.QuantizedParams: _depthwise,
        depthwise.HybridParams: _depthwise,
        transpose_conv.QuantizedParams: _transposed,
        transpose_conv.HybridParams: _transposed,
        fully_connected.IntegerParams: _dense,
        fully_connected.HybridParams: _dense,
        batch_matmul.IntegerParams: _matmul,
        batch_matmul.HybridParams: _matmul,
        mean.QuantizedParams: _reduced,
        pool.Params: _pooled,
    }
)

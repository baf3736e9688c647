"""STABLEHLO_GATHER and STABLEHLO_SCATTER: windows of a tensor fetched from places that are data, or combined with updates there.

Start indices are vectors along one axis of a tensor (``index_vector_dim``), whose other axes are the batch: one window for each. Number k
of a vector is where the window starts along axis ``start_index_map[k]`` (``scatter_dims_to_operand_dims[k]``) of the operand; along others
it starts at 0. A window has all axes of the operand but for the collapsed (inserted) ones, along which it is one element. In the result
(the updates) the window's axes are those that ``offset_dims`` (``update_window_dims``) names, and the batch's axes are the others, each
in order.

GATHER moves a window that does not lie within the operand back into it. SCATTER leaves out the elements of a window that do not. (What
starts before the operand, release 2.21 of TensorFlow Lite reads and writes at other places, in or outside of it.) SCATTER takes
updates in row-major order; they replace the operand's elements where the subgraph has no operator, or are combined with them as
its only operator says.

Source (TensorFlow Lite 2.21): tflite/kernels/stablehlo_gather.cc, stablehlo_scatter.cc; StableHLO specification, gather and scatter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import option_integers, require_same_type, types_of_width
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Shape, Step

Integers = NDArray[np.int64]

COMBINATIONS = {
    "STABLEHLO_ADD": np.add,
    "STABLEHLO_MULTIPLY": np.multiply,
    "STABLEHLO_MAXIMUM": np.maximum,
    "STABLEHLO_MINIMUM": np.minimum,
}


@dataclass(frozen=True)
class Windows:
    """Where windows lie in an operand.

    operand: its shape.
    vector_axis: of the start indices.
    starts: the operand's axis of each number of a start vector.
    axes: the operand's axes that a window has, in order; sizes: how long it is along each.
    order: of the axes of batch and window, one after the other, in the result or the updates.
    """

    operand: Shape
    vector_axis: int
    starts: tuple[int, ...]
    axes: tuple[int, ...]
    sizes: tuple[int, ...]
    order: tuple[int, ...]

    def start_coordinates(self, indices: Array) -> Integers:
        """int64[windows, rank of the operand]: where each window starts."""
        vectors = np.moveaxis(indices, self.vector_axis, -1)
        starts = np.zeros((math.prod(vectors.shape[:-1]), len(self.operand)), np.int64)
        starts[:, self.starts] = vectors.reshape(len(starts), len(self.starts))
        return starts

    def offsets(self) -> Iterator[tuple[int, Integers | int]]:
        """For each axis of the operand: the step between neighbours, and the coordinates of a window's elements, ready to add up."""
        for axis in range(len(self.operand)):
            step = math.prod(self.operand[axis + 1 :])
            if axis in self.axes:
                place = self.axes.index(axis)
                yield step, np.arange(self.sizes[place]).reshape(-1, *(1,) * (len(self.axes) - place - 1))
            else:
                yield step, 0


@dataclass(frozen=True)
class GatherParams:
    """The windows; the last place where one may start along each axis; shapes of the batch and of the output."""

    windows: Windows
    last_starts: Shape
    batch: Shape
    shape: Shape


@dataclass(frozen=True)
class ScatterParams:
    """The windows, the batch's shape, and how updates are combined with the operand; None where they replace it."""

    windows: Windows
    batch: Shape
    combination: np.ufunc | None


def require_axes(node: Node, what: str, axes: Sequence[int], rank: int) -> None:
    """Refuse axes that are not different ones of so many."""
    node.require(len(set(axes)) == len(axes) and all(0 <= axis < rank for axis in axes), f"{what} is {list(axes)}, expected axes of {rank}")


def batch_shape(node: Node, indices: Operand, vector_axis: int, starts: tuple[int, ...]) -> Shape:
    """The start indices' shape without the vectors."""
    if indices.dtype not in ("int32", "int64"):
        raise node.unsupported(f"indices are {indices.dtype}, qcore has int32, int64")
    require_axes(node, "index_vector_dim", [vector_axis], indices.rank)
    shape = list(indices.shape)
    length = shape.pop(vector_axis)
    node.require(length == len(starts), f"index vectors have {length} numbers, for axes {list(starts)}")
    return tuple(shape)


def infer_order(batch: int, window: int, window_axes: Sequence[int]) -> tuple[int, ...]:
    """Which axis of so many of the batch, followed by so many of a window, comes at each place."""
    of_batch, of_window = iter(range(batch)), iter(range(batch, batch + window))
    return tuple(next(of_window if place in window_axes else of_batch) for place in range(batch + window))


def prepare_gather(node: Node) -> Step:
    """STABLEHLO_GATHER."""
    operand, indices, sizes = node.input(0), node.input(1), option_integers(node, "slice_sizes")
    require_same_type(node, operand, node.output)
    collapsed, starts, offset_dims = (option_integers(node, name) for name in ("collapsed_slice_dims", "start_index_map", "offset_dims"))
    require_axes(node, "collapsed_slice_dims", collapsed, operand.rank)
    require_axes(node, "start_index_map", starts, operand.rank)
    node.require(
        len(sizes) == operand.rank and all(0 <= size <= most for size, most in zip(sizes, operand.shape, strict=True)),
        f"slice_sizes are {list(sizes)}, the operand has shape {list(operand.shape)}",
    )
    axes = tuple(axis for axis in range(operand.rank) if axis not in collapsed)
    node.require(0 not in operand.shape or any(sizes[axis] == 0 for axis in axes), f"operand has shape {list(operand.shape)}")
    vector_axis = node.options["index_vector_dim"]
    batch = batch_shape(node, indices, vector_axis, starts)
    require_axes(node, "offset_dims", offset_dims, len(batch) + len(axes))
    node.require(len(offset_dims) == len(axes), f"offset_dims is {list(offset_dims)}, a slice has {len(axes)} axes")
    window = tuple(sizes[axis] for axis in axes)
    windows = Windows(operand.shape, vector_axis, starts, axes, window, infer_order(len(batch), len(axes), offset_dims))
    shape = tuple((*batch, *window)[k] for k in windows.order)
    last = tuple(most - size for most, size in zip(operand.shape, sizes, strict=True))
    return Step(gather, GatherParams(windows, last, batch, shape), (shape,), scratch=scratch_bytes(operand, indices, shape))


def prepare_scatter(node: Node) -> Step:
    """STABLEHLO_SCATTER, of one operand."""
    operand, indices, updates, session = node.input(0), node.input(1), node.input(2), node.needs_session()
    require_same_type(node, operand, updates, node.output)
    names = ("inserted_window_dims", "scatter_dims_to_operand_dims", "update_window_dims")
    inserted, starts, window_dims = (option_integers(node, name) for name in names)
    require_axes(node, "inserted_window_dims", inserted, operand.rank)
    require_axes(node, "scatter_dims_to_operand_dims", starts, operand.rank)
    require_axes(node, "update_window_dims", window_dims, updates.rank)
    axes = tuple(axis for axis in range(operand.rank) if axis not in inserted)
    node.require(len(window_dims) == len(axes), f"update_window_dims is {list(window_dims)}, a window has {len(axes)} axes")
    vector_axis = node.options["index_vector_dim"]
    batch = batch_shape(node, indices, vector_axis, starts)
    order = infer_order(len(batch), len(axes), window_dims)
    window = tuple(updates.shape[dim] for dim in sorted(window_dims))
    expected = tuple((*batch, *window)[k] for k in order)
    node.require(updates.shape == expected, f"updates have shape {list(updates.shape)}, expected {list(expected)}")
    operators = session.operators(node.options["update_computation_subgraph_index"])
    if len(operators) > 1 or any(name not in COMBINATIONS for name in operators):
        raise node.unsupported(f"its subgraph holds {', '.join(operators)}, qcore has nothing or one of {', '.join(COMBINATIONS)}")
    windows = Windows(operand.shape, vector_axis, starts, axes, window, order)
    params = ScatterParams(windows, batch, COMBINATIONS[operators[0]] if operators else None)
    return Step(scatter, params, (operand.shape,), scratch=scratch_bytes(operand, indices, updates.shape))


def scratch_bytes(operand: Operand, indices: Operand, windows: Shape) -> int:
    """Bytes of temporaries: an int64 place or two for each element of the windows, and each coordinate where they start."""
    return 48 * math.prod(windows) + 16 * indices.size * max(1, operand.rank) + 16 * operand.size


def gather(p: GatherParams, operand: Array, indices: Array) -> Array:
    """Windows of an operand of any type, by int32 | int64 start vectors."""
    starts = p.windows.start_coordinates(indices).clip(0, p.last_starts)
    places = np.zeros((len(starts), *p.windows.sizes), np.int64)
    for column, (step, offsets) in zip(starts.T, p.windows.offsets(), strict=True):
        places += (column.reshape(-1, *(1,) * len(p.windows.sizes)) + offsets) * step
    picked: Array = operand.reshape(-1)[places]
    return picked.reshape(*p.batch, *p.windows.sizes).transpose(p.windows.order)


def scatter(p: ScatterParams, operand: Array, indices: Array, updates: Array) -> Array:
    """An operand of any numbers, with updates of windows by int32 | int64 start vectors."""
    starts = p.windows.start_coordinates(indices)
    places = np.zeros((len(starts), *p.windows.sizes), np.int64)
    within = np.ones(places.shape, np.bool_)
    for column, size, (step, offsets) in zip(starts.T, p.windows.operand, p.windows.offsets(), strict=True):
        coordinates = column.reshape(-1, *(1,) * len(p.windows.sizes)) + offsets
        within &= (coordinates >= 0) & (coordinates < size)
        places += coordinates * step

    def in_order(x: Array) -> Array:
        return x.reshape(*p.batch, *p.windows.sizes).transpose(p.windows.order).reshape(-1)

    chosen = in_order(within)
    targets, values = in_order(places)[chosen], updates.reshape(-1)[chosen]
    out = operand.reshape(-1).copy()
    if p.combination is None:
        out[targets] = values
    else:
        p.combination.at(out, targets, values)
    return out.reshape(operand.shape)


NUMBERS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")

STABLEHLO_GATHER = OpDef("STABLEHLO_GATHER", prepare_gather, types_of_width(8, 16, 32, 64), (2, 2))
STABLEHLO_SCATTER = OpDef("STABLEHLO_SCATTER", prepare_scatter, NUMBERS, (3, 3))

"""Layers that read several tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qcore.qat.emitting.emitter import Emitter, Value


def aligned(e: Emitter, inputs: Sequence[Value]) -> list[Value]:
    """The inputs as float32 of one rank: Keras puts dimensions of size 1 behind the first."""
    rank = max(x.rank for x in inputs)
    return [e.reshape(e.real(x), (*x.shape[:1], *[1] * (rank - x.rank), *x.shape[1:])) for x in inputs]


def merge(name: str) -> Callable[[Emitter, Any, Sequence[Value]], Value]:
    """A layer that merges one input after another, by that operator."""

    def emit(e: Emitter, layer: Any, inputs: Sequence[Value]) -> Value:
        y, *others = aligned(e, inputs)
        for x in others:
            y = e.op(name, y, x)
        return y

    return emit


def average(e: Emitter, layer: Any, inputs: Sequence[Value]) -> Value:
    """Average."""
    return e.op("MUL", merge("ADD")(e, layer, inputs), 1 / len(inputs))


def concatenate(e: Emitter, layer: Any, inputs: Sequence[Value]) -> Value:
    """Concatenate."""
    return join(e, aligned(e, inputs), layer.axis)


def join(e: Emitter, inputs: Sequence[Value], axis: int) -> Value:
    """Adds a CONCATENATION, unless there is one input only."""
    return inputs[0] if len(inputs) == 1 else e.op("CONCATENATION", *inputs, axis=axis)


def dot(e: Emitter, layer: Any, inputs: Sequence[Value]) -> Value:
    """Dot, of matrices or vectors, along one axis of each."""
    a, b = (e.real(x) for x in inputs)
    axes = [layer.axes] * 2 if isinstance(layer.axes, int) else list(layer.axes)
    if a.rank > 3 or b.rank > 3 or layer.normalize:
        raise e.refusal("expected inputs of 2 or 3 dimensions, and no normalize")
    i, j = axes[0] % a.rank, axes[1] % b.rank
    left = a if a.rank == 3 else e.reshape(a, (a.shape[0], 1, a.shape[1]))
    right = b if b.rank == 3 else e.reshape(b, (b.shape[0], b.shape[1], 1))
    y = e.op("BATCH_MATMUL", left, right, adj_x=a.rank == 3 and i == 1, adj_y=b.rank == 3 and j == 2)
    kept = [size for x, k in ((a, i), (b, j)) for axis, size in enumerate(x.shape) if axis not in (0, k)]
    return e.reshape(y, (y.shape[0], *(kept or [1])))

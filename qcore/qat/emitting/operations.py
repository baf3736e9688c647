"""Operations of ``keras.ops`` that stand in a graph by themselves, as in ``x + 1``: their rows of the table are in ``table``.

Each takes what the operation's ``call`` takes, and reads its settings from the operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qcore.kernels.opdef import Array
from qcore.qat.emitting import activations, movement, normalization, pooling, weighted
from qcore.qat.emitting.emitter import Emitter, Value
from qcore.qat.emitting.merging import join

Emit = Callable[..., Any]


def tensor(e: Emitter, given: Any) -> Value:
    """An operand that may be a number, an array or a variable, as a tensor."""
    return e.value(given if isinstance(given, Value) else e.array(given))


def both(e: Emitter, a: Any, b: Any) -> tuple[Value | Array, Value | Array]:
    """Two operands, of which one may be a number, an array or a variable, as one type."""
    a, b = (given if isinstance(given, Value) else e.array(given) for given in (a, b))
    real = any(given.dtype == "float32" if isinstance(given, Value) else given.dtype.kind == "f" for given in (a, b))
    wanted = "float32" if real else "int32"
    a, b = (e.cast(given, wanted) if isinstance(given, Value) else given.astype(wanted) for given in (a, b))
    return a, b


def binary(name: str) -> Emit:
    """An operator of two operands."""
    return lambda e, op, a, b: e.op(name, *both(e, a, b))


def comparison(name: str) -> Emit:
    """An operator that compares two operands."""
    return lambda e, op, a, b: e.op(name, *both(e, a, b), dtype="bool")


def unary(name: str) -> Emit:
    """An operator of one operand, which it takes as float32."""
    return lambda e, op, x: e.op(name, e.real(x))


def function(name: str, *settings: str) -> Emit:
    """An activation function, with the operation's settings of these names."""
    return lambda e, op, x: activations.FUNCTIONS[name](e, e.real(x), *(getattr(op, setting) for setting in settings))


def reduction(name: str) -> Emit:
    """An operator that reduces some axes."""

    def emit(e: Emitter, op: Any, x: Value) -> Value:
        return e.op(name, e.real(x), _axes(op.axis, x.rank), keep_dims=bool(op.keepdims))

    return emit


def _axes(axis: Any, rank: int) -> list[int]:
    return list(range(rank)) if axis is None else normalization.axes_of(axis, rank)


def arg_max(e: Emitter, op: Any, x: Value) -> Value:
    """Argmax, along an axis."""
    if op.axis is None or op.keepdims:
        raise e.refusal("expected an axis, and no keepdims")
    return e.op("ARG_MAX", e.real(x), op.axis % x.rank, dtype="int32", output_type="int32")


def variance(e: Emitter, op: Any, x: Value) -> Value:
    """Var."""
    axes, x = _axes(op.axis, x.rank), e.real(x)
    squares = normalization.squared_difference(e, x, e.op("MEAN", x, axes, keep_dims=True))
    return e.op("MEAN", squares, axes, keep_dims=bool(op.keepdims))


def divide(e: Emitter, op: Any, a: Any, b: Any) -> Value:
    """Divide: by a constant, a MUL, as TensorFlow's converter has it."""
    if isinstance(b, Value):
        return e.op("DIV", e.real(a) if isinstance(a, Value) else e.array(a).astype(np.float32), e.real(b))
    return e.op("MUL", e.real(a), 1 / e.array(b).astype(np.float32))


def power(e: Emitter, op: Any, a: Any, b: Any) -> Value:
    """Power: of two, a MUL."""
    if not isinstance(b, Value) and e.array(b).size == 1 and float(e.array(b)) == 2:
        return e.op("MUL", a, a)
    return e.op("POW", *both(e, a, b))


def clip(e: Emitter, op: Any, x: Value) -> Value:
    """Clip."""
    if (op.x_min, op.x_max) == (-1, 1) and x.dtype == "float32":
        return e.op("RELU_N1_TO_1", x)
    least, greatest = both(e, x, op.x_max)
    return e.op("MAXIMUM", *both(e, e.op("MINIMUM", least, greatest), op.x_min))


def where(e: Emitter, op: Any, condition: Value, a: Any, b: Any) -> Value:
    """Where, of three operands."""
    a, b = both(e, a, b)
    return e.op("SELECT_V2", condition, a, b, dtype=a.dtype if isinstance(a, Value) else str(a.dtype))


def cast(e: Emitter, op: Any, x: Value) -> Value:
    """Cast, to a type that qcore's graphs have; floats of any width are float32."""
    wanted = "float32" if "float" in op.dtype else op.dtype
    if wanted not in ("float32", "int32", "int64", "bool", "uint8", "int8"):
        raise e.refusal(f"casts to {op.dtype}, expected float32, int32, int64, uint8, int8 or bool")
    return e.cast(x, wanted)


def reshape(e: Emitter, op: Any, x: Value) -> Value:
    """Reshape."""
    return e.reshape(x, _known(op.newshape, x.shape))


def expand_dims(e: Emitter, op: Any, x: Value) -> Value:
    """ExpandDims."""
    axes = [op.axis] if isinstance(op.axis, int) else list(op.axis)
    shape = list(x.shape)
    for axis in sorted(i % (x.rank + len(axes)) for i in axes):
        shape.insert(axis, 1)
    return e.reshape(x, shape)


def squeeze(e: Emitter, op: Any, x: Value) -> Value:
    """Squeeze."""
    axes = [i for i, size in enumerate(x.shape) if size == 1] if op.axis is None else _axes(op.axis, x.rank)
    return e.reshape(x, [size for i, size in enumerate(x.shape) if i not in axes])


def transpose(e: Emitter, op: Any, x: Value) -> Value:
    """Transpose."""
    return e.transpose(x, list(range(x.rank))[::-1] if op.axes is None else [i % x.rank for i in op.axes])


def swap_axes(e: Emitter, op: Any, x: Value) -> Value:
    """Swapaxes."""
    order = list(range(x.rank))
    order[op.axis1], order[op.axis2] = order[op.axis2], order[op.axis1]
    return e.transpose(x, order)


def concatenate(e: Emitter, op: Any, xs: Sequence[Any]) -> Value:
    """Concatenate."""
    return join(e, [tensor(e, x) for x in xs], op.axis)


def stack(e: Emitter, op: Any, xs: Sequence[Value]) -> Value:
    """Stack."""
    return e.op("PACK", *xs, values_count=len(xs), axis=op.axis % (xs[0].rank + 1))


def unstack(e: Emitter, op: Any, x: Value) -> list[Value]:
    """Unstack."""
    axis = op.axis % x.rank
    return e.ops("UNPACK", x, count=x.shape[axis], num=x.shape[axis], axis=axis)


def split(e: Emitter, op: Any, x: Value) -> list[Value]:
    """Split, into equal parts or at indices."""
    axis = op.axis % x.rank
    if isinstance(op.indices_or_sections, int):
        count = op.indices_or_sections
        return e.ops("SPLIT", axis, x, count=count, dtype=x.dtype, num_splits=count)
    sizes = np.diff([0, *op.indices_or_sections, x.shape[axis]]).tolist()
    return e.ops("SPLIT_V", x, sizes, axis, count=len(sizes), num_splits=len(sizes))


def get_item(e: Emitter, op: Any, x: Value, key: Any) -> Value:
    """GetItem: a STRIDED_SLICE, and a RESHAPE for dimensions that come or go."""
    # A saved model has lists in the place of tuples.
    keys = list(key) if isinstance(key, tuple | list) else [key]
    given = sum(item is not None and item is not Ellipsis for item in keys)
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    at = keys.index(Ellipsis)
    keys[at : at + 1] = [slice(None)] * (x.rank - given)
    begin: list[int] = []
    end: list[int] = []
    steps: list[int] = []
    dropped: list[int] = []
    shape: list[int] = []
    for item in keys:
        if item is None:
            shape.append(1)
            continue
        if not isinstance(item, int | slice):
            raise e.refusal(f"takes the elements {item!r}, expected numbers, slices and None")
        size = x.shape[len(begin)]
        start, stop, step = (item % size, item % size + 1, 1) if isinstance(item, int) else item.indices(size)
        begin, end, steps = [*begin, start], [*end, stop], [*steps, step]
        dropped += [len(begin) - 1] if isinstance(item, int) else []
        shape += [] if isinstance(item, int) else [len(range(start, stop, step))]
    return e.reshape(movement.cut(e, x, begin, end, steps, dropped), shape)


def pad(e: Emitter, op: Any, x: Value, value: Any = None) -> Value:
    """Pad: with a constant, or by reflection."""
    widths = np.broadcast_to(np.asarray(op.pad_width, np.int32), (x.rank, 2))
    if op.mode in ("reflect", "symmetric"):
        return e.op("MIRROR_PAD", x, widths, mode=op.mode.upper())
    if op.mode != "constant":
        raise e.refusal(f"mode is {op.mode!r}, expected 'constant', 'reflect' or 'symmetric'")
    return e.op("PADV2", x, widths, np.asarray(value).astype(x.dtype)) if value else e.op("PAD", x, widths)


def tile(e: Emitter, op: Any, x: Value) -> Value:
    """Tile."""
    repeats = [op.repeats] if isinstance(op.repeats, int) else list(op.repeats)
    rank = max(len(repeats), x.rank)
    x = e.reshape(x, [1] * (rank - x.rank) + list(x.shape))
    return e.op("TILE", x, [1] * (rank - len(repeats)) + repeats)


def repeat(e: Emitter, op: Any, x: Value) -> Value:
    """Repeat, all elements along an axis as often."""
    if op.axis is None or not isinstance(op.repeats, int):
        raise e.refusal("expected an axis and one number of repeats")
    axis, times = op.axis % x.rank, op.repeats
    row = e.reshape(x, [*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]])
    tiled = e.op("TILE", row, [times if i == axis + 1 else 1 for i in range(row.rank)])
    return e.reshape(tiled, [size * times if i == axis else size for i, size in enumerate(x.shape)])


def broadcast_to(e: Emitter, op: Any, x: Value) -> Value:
    """BroadcastTo."""
    return e.op("BROADCAST_TO", x, _known(op.shape, (1,) * (len(op.shape) - x.rank) + x.shape))


def _known(shape: Any, given: tuple[int, ...]) -> list[int]:
    """A shape, with what is given where Keras does not know the size of a batch."""
    sizes = [shape] if isinstance(shape, int) else list(shape)
    return [given[i] if size is None else int(size) for i, size in enumerate(sizes)]


def matmul(e: Emitter, op: Any, a: Any, b: Any) -> Value:
    """Matmul: by a constant matrix, a FULLY_CONNECTED."""
    if not isinstance(b, Value) and e.array(b).ndim == 2 and a.rank > 1:
        return weighted.fully_connect(e, e.real(a), e.array(b))
    a, b = tensor(e, a), tensor(e, b)
    if a.rank < 2 or b.rank < 2:
        raise e.refusal(f"multiplies {a.rank} by {b.rank} dimensions, expected at least 2")
    rank = max(a.rank, b.rank)
    a, b = (e.reshape(e.real(x), [1] * (rank - x.rank) + list(x.shape)) for x in (a, b))
    return e.op("BATCH_MATMUL", a, b)


def take(e: Emitter, op: Any, x: Any, indices: Any) -> Value:
    """Take, along an axis."""
    if op.axis is None:
        raise e.refusal("expected an axis")
    return e.op("GATHER", tensor(e, x), e.cast(tensor(e, indices), "int32"), axis=op.axis)


def conv(e: Emitter, op: Any, x: Value, kernel: Any) -> Value:
    """Conv and DepthwiseConv of images, by a constant kernel, without the layer."""
    strides, dilation = weighted.two(op.strides), weighted.two(op.dilation_rate)
    if x.rank != 4 or op.data_format == "channels_first" or isinstance(kernel, Value):
        raise e.refusal("expected images of channels_last, and a kernel that is a constant or a variable")
    window = {"stride_h": strides[0], "stride_w": strides[1], "dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    convolve = weighted.convolve_depthwise if type(op).__name__ == "DepthwiseConv" else weighted.convolve
    return convolve(e, e.real(x), e.array(kernel), padding=op.padding.upper(), **window)


def pool(name: str) -> Emit:
    """Pooling of images over windows."""

    def emit(e: Emitter, op: Any, x: Value) -> Value:
        if x.rank != 4 or op.data_format == "channels_first":
            raise e.refusal("expected images of channels_last")
        return pooling.pool(e, name, x, op.pool_size, op.pool_size if op.strides is None else op.strides, op.padding)

    return emit


def resize(e: Emitter, op: Any, x: Value) -> Value:
    """Resize, whatever that makes of the proportions."""
    if x.rank != 4 or op.data_format == "channels_first" or op.antialias or op.crop_to_aspect_ratio or op.pad_to_aspect_ratio:
        raise e.refusal("expected images of channels_last, no antialias, crop_to_aspect_ratio and pad_to_aspect_ratio")
    return movement.resize(e, x, tuple(op.size), op.interpolation)


def batch_norm(e: Emitter, op: Any, x: Value, mean: Any, variance: Any, offset: Any = None, scale: Any = None) -> Value:
    """BatchNorm with known statistics."""
    if isinstance(mean, Value) or isinstance(variance, Value):
        raise e.refusal("expected a mean and a variance that are constants or variables")
    offset, scale = (None if given is None else e.array(given) for given in (offset, scale))
    return normalization.normalize(e, e.real(x), op.axis, e.array(mean), e.array(variance), offset, scale, op.epsilon)


def layer_norm(e: Emitter, op: Any, x: Value, gamma: Any = None, beta: Any = None) -> Value:
    """LayerNorm."""
    axes, x = _axes(op.axis, x.rank), e.real(x)
    scale, offset = (normalization.along(given, axes, x, e) for given in (gamma, beta))
    return normalization.standardize(e, x, axes, scale, offset, op.epsilon or 1e-7)


def rms_norm(e: Emitter, op: Any, x: Value, scale: Any = None) -> Value:
    """RMSNorm."""
    axes, x = _axes(op.axis, x.rank), e.real(x)
    return normalization.divide_by_size(e, x, axes, normalization.along(scale, axes, x, e), op.epsilon or 1e-7)


def norm(e: Emitter, op: Any, x: Value) -> Value:
    """Normalize, by the Euclidean norm."""
    if op.order != 2:
        raise e.refusal(f"order is {op.order}, expected 2")
    return normalization.divide_by_norm(e, e.real(x), _axes(op.axis, x.rank), op.epsilon or 1e-12)

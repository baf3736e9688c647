"""Layers that move elements, leave some out, or repeat them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qcore.qat.emitting.emitter import Emitter, Value
from qcore.qat.emitting.layout import channels_last
from qcore.qat.emitting.weighted import as_image, as_sequence


def flatten(e: Emitter, layer: Any, x: Value) -> Value:
    """Flatten."""
    if layer.data_format == "channels_first" and x.rank > 1:
        x = e.transpose(x, (0, *range(2, x.rank), 1))
    return e.reshape(x, (x.shape[0], int(np.prod(x.shape[1:]))))


def reshape(e: Emitter, layer: Any, x: Value) -> Value:
    """Reshape."""
    return e.reshape(x, (x.shape[0], *layer.compute_output_shape(x.shape)[1:]))


def permute(e: Emitter, layer: Any, x: Value) -> Value:
    """Permute."""
    return e.transpose(x, (0, *layer.dims))


def repeat_vector(e: Emitter, layer: Any, x: Value) -> Value:
    """RepeatVector."""
    return e.op("TILE", e.reshape(x, (x.shape[0], 1, x.shape[1])), [1, layer.n, 1])


@channels_last
def zero_padding(e: Emitter, layer: Any, x: Value) -> Value:
    """ZeroPadding1D, ZeroPadding2D and ZeroPadding3D."""
    return e.op("PAD", x, np.array([(0, 0), *_both_ends(layer.padding), (0, 0)]))


@channels_last
def cropping(e: Emitter, layer: Any, x: Value) -> Value:
    """Cropping1D, Cropping2D and Cropping3D."""
    ends = [(0, 0), *_both_ends(layer.cropping), (0, 0)]
    return cut(e, x, [start for start, _ in ends], [size - end for size, (_, end) in zip(x.shape, ends, strict=True)])


def _both_ends(given: Any) -> list[tuple[int, int]]:
    """How much to add or cut at both ends of each dimension; one pair may stand for one dimension."""
    return [tuple(given)] if isinstance(given[0], int) else [tuple(pair) for pair in given]


def cut(e: Emitter, x: Value, begin: list[int], end: list[int], steps: list[int] | None = None, dropped: Sequence[int] = ()) -> Value:
    """Adds a STRIDED_SLICE, with one number for each dimension, unless it leaves nothing out; dropped: dimensions that go."""
    steps = steps or [1] * x.rank
    if not any(begin) and end == list(x.shape) and steps == [1] * x.rank and not dropped:
        return x
    # A step back ends before the first element, for which only the mask has a number.
    mask = sum(1 << i for i, stop in enumerate(end) if stop < 0)
    return e.op("STRIDED_SLICE", x, begin, end, steps, end_mask=mask, shrink_axis_mask=sum(1 << i for i in dropped))


@channels_last
def upsampling(e: Emitter, layer: Any, x: Value) -> Value:
    """UpSampling2D."""
    height, width = layer.size
    return resize(e, x, (x.shape[1] * height, x.shape[2] * width), layer.interpolation)


def upsampling_sequence(e: Emitter, layer: Any, x: Value) -> Value:
    """UpSampling1D."""
    return as_sequence(e, resize(e, as_image(e, x), (1, x.shape[1] * int(layer.size)), "nearest"), 3)


def resize(e: Emitter, x: Value, size: tuple[int, int], interpolation: str) -> Value:
    """Adds an operator that resizes images, with pixels as squares."""
    names = {"nearest": "RESIZE_NEAREST_NEIGHBOR", "bilinear": "RESIZE_BILINEAR"}
    if interpolation not in names:
        raise e.refusal(f"interpolation is {interpolation!r}, expected {' or '.join(map(repr, names))}")
    return e.op(names[interpolation], e.real(x), list(size), half_pixel_centers=True)


@channels_last
def resizing(e: Emitter, layer: Any, x: Value) -> Value:
    """Resizing to a size, whatever that makes of the proportions."""
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or layer.antialias:
        raise e.refusal("expected no crop_to_aspect_ratio, pad_to_aspect_ratio and antialias")
    return resize(e, x, (layer.height, layer.width), layer.interpolation)


@channels_last
def center_crop(e: Emitter, layer: Any, x: Value) -> Value:
    """CenterCrop of images that are no smaller."""
    x = e.real(x)
    height, width = x.shape[-3:-1]
    if height < layer.height or width < layer.width:
        raise e.refusal(f"input is {height} x {width}, expected no less than {layer.height} x {layer.width}")
    top, left = (height - layer.height) // 2, (width - layer.width) // 2
    begin = [*[0] * (x.rank - 3), top, left, 0]
    return cut(e, x, begin, [*x.shape[:-3], top + layer.height, left + layer.width, x.shape[-1]])


def embedding(e: Emitter, layer: Any, x: Value) -> Value:
    """Embedding: a GATHER of rows."""
    if layer.mask_zero:
        raise e.refusal("mask_zero=True: TensorFlow Lite has no masks")
    return e.op("GATHER", e.array(layer.embeddings), e.cast(x, "int32"), axis=0)

"""AVERAGE_POOL_2D and MAX_POOL_2D of 8-bit codes, as calls of ``pooling``."""

from __future__ import annotations

from typing import Literal

import numpy as np

from qcore.kernels.common import Window
from qcore.kernels.fast.bytes_out import FLIP
from qcore.kernels.fast.elementwise import block_bytes
from qcore.kernels.fast.pooling import Arguments, Pool
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site
from qcore.kernels.pool import Params

WRITTEN_OUT = 16
"""Codes of the largest window for which code is written out."""

LARGEST = 1 << 16
"""Codes of the largest window: 24 bits, which float32 has, hold their sum and half their count."""


def lower_average(site: Site) -> list[Call]:
    """AVERAGE_POOL_2D."""
    p: Params = site.params
    site.require(p.height.size * p.width.size < LARGEST, f"a window of {p.height.size} x {p.width.size}")
    return pool_calls(site, "average")


def lower_maximum(site: Site) -> list[Call]:
    """MAX_POOL_2D."""
    return pool_calls(site, "maximum")


def pool_calls(site: Site, operation: Literal["average", "maximum"]) -> list[Call]:
    """Either of them."""
    p: Params = site.params
    x, output = site.readable(0), site.outputs[0]
    site.require(x.itemsize == 1, f"elements of {x.dtype}")
    if output.size == 0:
        return []
    images, height, width, channels = x.shape
    size, flip = block_bytes(site.tier), FLIP if x.dtype == np.int8 else 0
    arguments = Arguments(
        input=x.ctypes.data,
        output=output.ctypes.data,
        images=images,
        height=height,
        width=width,
        channels=channels,
        output_height=p.height.output,
        output_width=p.width.output,
        size_h=p.height.size,
        size_w=p.width.size,
        stride_h=p.height.stride,
        stride_w=p.width.stride,
        top=p.height.pad_before,
        left=p.width.pad_before,
        chunks=-(-channels // size),
        last_chunk=max(0, channels - size),
        zero_point=flip,
        low=int(p.activation_min) + flip,
        high=int(p.activation_max) + flip,
        flip=flip,
    )
    inside = is_inside(p.height) and is_inside(p.width) and p.height.size * p.width.size <= WRITTEN_OUT
    return [Call(Pool(operation, (p.height.size, p.width.size) if inside else None, channels < size), arguments, (x,))]


def is_inside(along: Window) -> bool:
    """No window reaches beyond the image."""
    return along.pad_before == 0 and (along.output - 1) * along.stride + along.size <= along.input

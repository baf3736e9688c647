"""AVERAGE_POOL_2D and MAX_POOL_2D of 8-bit codes and of float32, as calls of ``pooling`` and ``real_pooling``."""

from __future__ import annotations

from typing import Literal

import numpy as np

from qcore.kernels.common import Window
from qcore.kernels.fast.bytes_out import FLIP
from qcore.kernels.fast.elementwise import block_bytes
from qcore.kernels.fast.pooling import Arguments, Pool
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.real_pooling import RealPool
from qcore.kernels.fast.site import Site
from qcore.kernels.opdef import Array
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
    if site.input(0).dtype == np.float32:
        site.require(not site.exact, "of zeros of both signs it might take the other one")
        return real_pool_calls(site, "maximum")
    return pool_calls(site, "maximum")


def lower_real_average(site: Site) -> list[Call]:
    """AVERAGE_POOL_2D of float32."""
    p: Params = site.params
    site.require(p.height.size * p.width.size < LARGEST, f"a window of {p.height.size} x {p.width.size}")
    return real_pool_calls(site, "average")


def real_pool_calls(site: Site, operation: Literal["average", "maximum"]) -> list[Call]:
    """Either of float32."""
    p: Params = site.params
    low, high = np.array([p.activation_min, p.activation_max], np.float32).view(np.int32)
    x = site.readable(0)
    arguments = pool_arguments(site, x, site.tier.lanes)._replace(low=int(low), high=int(high))
    return [Call(RealPool(operation), arguments, (x,))] if site.outputs[0].size else []


def pool_calls(site: Site, operation: Literal["average", "maximum"]) -> list[Call]:
    """Either of codes."""
    p: Params = site.params
    x = site.readable(0)
    site.require(x.itemsize == 1, f"elements of {x.dtype}")
    if site.outputs[0].size == 0:
        return []
    size, flip = block_bytes(site.tier), FLIP if x.dtype == np.int8 else 0
    arguments = pool_arguments(site, x, size)._replace(
        zero_point=flip, low=int(p.activation_min) + flip, high=int(p.activation_max) + flip, flip=flip
    )
    inside = is_inside(p.height) and is_inside(p.width) and p.height.size * p.width.size <= WRITTEN_OUT
    window = (p.height.size, p.width.size) if inside else None
    return [Call(Pool(operation, window, x.shape[3] < size), arguments, (x,))]


def pool_arguments(site: Site, x: Array, size: int) -> Arguments:
    """All but what concerns codes and activation; size: elements of a chunk."""
    p: Params = site.params
    images, height, width, channels = x.shape
    return Arguments(
        input=x.ctypes.data,
        output=site.outputs[0].ctypes.data,
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
        zero_point=0,
        low=0,
        high=0,
        flip=0,
    )


def is_inside(along: Window) -> bool:
    """No window reaches beyond the image."""
    return along.pad_before == 0 and (along.output - 1) * along.stride + along.size <= along.input

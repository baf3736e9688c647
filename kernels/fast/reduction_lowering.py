"""MEAN and SUM of 8-bit codes, as calls of ``reduction``."""

from __future__ import annotations

import math

import numpy as np

from qcore.kernels.fast.bytes_out import FLIP, GROUP
from qcore.kernels.fast.depthwise import chunk_order
from qcore.kernels.fast.elementwise import block_bytes
from qcore.kernels.fast.products import pack_constants
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.reduction import Arguments, Sums
from qcore.kernels.fast.requantization import BELOW_HALF, Constants, constants
from qcore.kernels.fast.site import Site
from qcore.kernels.mean import Float32Codes, Float32Sum, QuantizedParams

MOST_ADDED = 32000
"""What a result that was cut to 16 bits may be moved by, and still be cut to 8 bits as if it had not been."""

TOGETHER = (4, 3, 2, 1)
"""Numbers of chunks whose sums fit the registers; elsewhere it is one."""

MOST_STEPS = 1 << 30
"""Results below this, in magnitude, are within int32 however they are rounded."""


def lower_sums(site: Site) -> list[Call]:
    """MEAN and SUM."""
    p: QuantizedParams = site.params
    x, output = site.readable(0), site.outputs[0]
    site.require(x.itemsize == 1, "codes of 16 bits")
    if output.size == 0:
        return []
    count = p.reduction.count
    axes = [axis for axis in p.reduction.axes if x.shape[axis] > 1]
    site.require(count > 0, "a sum of no codes")
    adjoining = all(axis in axes or x.shape[axis] == 1 for axis in range(axes[0], axes[-1])) if axes else True
    site.require(adjoining, f"axes {p.reduction.axes} do not follow one another")
    site.require(abs(p.added) <= MOST_ADDED, f"results are moved by {p.added} steps")
    inner = math.prod(x.shape[axes[-1] + 1 :]) if axes else output.size
    flip = FLIP if x.dtype == np.int8 else 0
    bound = 255 * count
    site.require(bound + abs(p.subtracted) < 1 << 31, f"sums of {count} codes")
    by = requantized(p, inner, bound)
    if by is None:
        site.require(False, f"no requantization like {type(p.requantize).__name__} of sums up to {bound}")
    assert by is not None
    order = chunk_order(site.tier, inner, 1, GROUP)
    planes = pack_constants(np.full(inner, -flip * count - p.subtracted, np.int64), by.planes, order)
    size = block_bytes(site.tier)
    arguments = Arguments(
        input=x.ctypes.data,
        input_flip=flip,
        outer=output.size // inner,
        summed=count,
        inner=inner,
        chunks=len(order),
        last_chunk=max(0, inner - size),
        constants=planes.ctypes.data,
        output=output.ctypes.data,
        zero_point=p.added + flip,
        low=p.quantized_min + flip,
        high=p.quantized_max + flip,
        flip=flip,
    )
    most = max(1, len(order) // site.threads) if site.tier.name == "avx512" else 1
    together = next(n for n in TOGETHER if len(order) % n == 0 and n <= most)
    return [Call(Sums(by.kind, together, inner < size), arguments, (planes, x))]


def requantized(p: QuantizedParams, channels: int, bound: int) -> Constants | None:
    """What instructions need to requantize sums up to the bound; None where they cannot."""
    by = p.requantize
    if not isinstance(by, Float32Codes | Float32Sum):
        return constants(by, channels, bound, False)
    scale, offset = (by.factor, by.offset) if isinstance(by, Float32Codes) else (by.scale, by.bias)
    if not bound * float(scale) + abs(float(offset)) < MOST_STEPS:
        return None
    return Constants("away", tuple(np.full(channels, value, np.float32) for value in (scale, offset, BELOW_HALF)))

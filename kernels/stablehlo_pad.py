"""STABLEHLO_PAD: a tensor spread out, with one value between its elements and around them; or cut, where there is less than nothing around.

    output[low + i * (interior + 1)] = input[i]    along each axis, where there is such a place

Along an axis of n elements the output has ``low + n + (n - 1) * interior + high`` elements; where that is not above 0 along some axis, it
is 0 along all.

Source (TensorFlow Lite 2.21): tflite/kernels/stablehlo_pad.cc; StableHLO specification, pad.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcore.kernels.common import option_integers, require_rank, require_same_type, types_of_width
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step

MAX_RANK = 8


@dataclass(frozen=True)
class Params:
    """The output's shape; which elements of the input have a place in it, and where."""

    shape: Shape
    inputs: tuple[slice, ...]
    places: tuple[slice, ...]


def spread(size: int, low: int, high: int, interior: int) -> tuple[int, slice, slice]:
    """Along one axis: how many elements the output has, which elements of the input stay, and where these go."""
    step = interior + 1
    total = low + size + max(size - 1, 0) * interior + high
    first = max(0, -(low // step))
    last = max(first, min(size, -((low - total) // step)))
    start = low + first * step
    return total, slice(first, last), slice(start, start + (last - first) * step, step)


def spread_params(input: Shape, low: tuple[int, ...], high: tuple[int, ...], interior: tuple[int, ...]) -> Params:
    """What ``pad`` needs to know."""
    axes = [spread(*along) for along in zip(input, low, high, interior, strict=True)]
    if any(total <= 0 for total, _, _ in axes):
        nothing = (slice(0),) * len(axes)
        return Params((0,) * len(axes), nothing, nothing)
    totals, inputs, places = zip(*axes, strict=True)
    return Params(totals, inputs, places)


def prepare(node: Node) -> Step:
    """Check sizes."""
    input, value = node.input(0), node.input(1)
    require_same_type(node, input, value, node.output)
    require_rank(node, input, 1, MAX_RANK)
    node.require(value.size == 1, f"padding value '{value.name}' has shape {list(value.shape)}, expected one value")
    low, high, interior = (option_integers(node, name) for name in ("edge_padding_low", "edge_padding_high", "interior_padding"))
    node.require(
        len(low) == len(high) == len(interior) == input.rank,
        f"{len(low)} low, {len(high)} high and {len(interior)} interior paddings, expected {input.rank} each",
    )
    node.require(min(interior) >= 0, f"interior padding is {list(interior)}, expected nothing below 0")
    params = spread_params(input.shape, low, high, interior)
    return Step(pad, params, (params.shape,))


def pad(p: Params, x: Array, value: Array) -> Array:
    """A tensor of any type, spread out over one value of it."""
    out = np.full(p.shape, value.reshape(()), x.dtype)
    out[p.places] = x[p.inputs]
    return out


STABLEHLO_PAD = OpDef("STABLEHLO_PAD", prepare, types_of_width(8, 16, 32, 64, 128), (2, 2))

"""Rows times a filter, as calls of ``products``: how the output is cut into tiles, and weights are laid out for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.endings import Ending
from qcore.kernels.fast.memory import SLACK
from qcore.kernels.fast.products import STEP, Arguments, Product, block_order, input_flip, pack_constants, pack_weights
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site
from qcore.kernels.opdef import Array

AVX512_TILES = {4: (4, 5, 6, 3, 2, 1), 2: (14, 10, 7, 4, 2, 1), 1: (16, 8, 4, 2, 1)}
"""By vectors of a tile: numbers of rows to choose from, the preferred one first; accumulators must fit the 32 registers."""

ARM_TILES = {4: (5, 4, 3, 2, 1), 2: (10, 6, 5, 4, 2, 1), 1: (16, 8, 4, 2, 1)}
"""The same for processors whose instructions take inputs from registers alone, which hold those of all rows at a time."""

OTHER_TILES = {2: (6, 5, 4, 3, 2, 1), 1: (8, 4, 2, 1)}
"""The same for processors with 16 registers."""

TILES = {"avx512": AVX512_TILES, "i8mm": ARM_TILES, "dotprod": ARM_TILES}
"""By tier; OTHER_TILES for those that are not here."""

LONGEST = 511
"""Codes of 16 bits times weights of 8 whose sums are within 32 bits: 511 * 2**15 * 2**7 < 2**31."""

PANEL, LEAST_ROWS = 1 << 18, 128
"""Bytes of rows that are taken at a time, where there are several blocks of channels; rows at least."""

LIFTED_ROWS = 8
"""Rows of a tile at most where each has a sum of its own besides."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What is multiplied with a filter.

    memory: the codes. start: offset of the first row in it.
    offsets: int64[rows], from there to where each row begins.
    taps: int64[taps], from where a row begins to each of its runs of ``depth`` codes.
    """

    memory: Array
    start: int
    offsets: NDArray[np.int64]
    taps: NDArray[np.int64]
    depth: int

    @property
    def steps(self) -> int:
        """Of a run."""
        return -(-self.depth * self.memory.itemsize // STEP)


def tile_calls(site: Site, rows: Rows, filter: Array, ending: Ending, output: Array, places: NDArray[np.int64] | None = None) -> list[Call]:
    """Rows times a filter.

    Args:
        site: whose tier to use.
        rows: codes.
        filter: integers[channels, taps, depth], less their zero point.
        ending: what becomes of the sums.
        output: [rows, channels].
        places: int64[rows], which row of the output each makes; None where they are in order.
    """
    words = rows.memory.itemsize == 2
    if words and ending.output.wide:
        rows, filter = in_parts(site, rows, filter)
    weights, offset = (np.ascontiguousarray(filter, np.int16).view(np.int8), 0) if words else held(site, filter)
    calls = []
    for start, stop, vectors in sections(site.tier, len(filter)):
        order = block_order(site.tier, stop - start, vectors, ending.output)
        packed = pack_weights(weights[start:stop], order, rows.steps)
        calls.append(tile_call(site, rows, packed, offset, ending.of(slice(start, stop)), output[:, start:stop], vectors, places))
    return in_panels(calls, len(rows.offsets), rows.memory.nbytes + output.nbytes)


def in_panels(calls: list[Call], count: int, size: int) -> list[Call]:
    """The same calls for some rows after others, so that rows are still in the cache when their next channels are computed.

    Args:
        calls: for the channels of all rows, one after another.
        count: rows.
        size: bytes of input and output, all rows together.
    """
    panels = min(size // PANEL, count // LEAST_ROWS)
    blocks = sum(call.arguments.blocks for call in calls if isinstance(call.arguments, Arguments))
    if panels < 2 or blocks < 2:
        return calls
    starts = [count * i // panels for i in range(panels + 1)]
    return [some_rows(call, *part) for part in pairwise(starts) for call in calls]


def some_rows(call: Call, start: int, stop: int) -> Call:
    """A call for the rows from start to before stop alone."""
    all_rows, product = call.arguments, call.kernel
    assert isinstance(all_rows, Arguments) and isinstance(product, Product)
    moved = {
        "input": 0 if product.gathered else all_rows.row_stride,
        "row_offsets": 4,
        "output": 0 if all_rows.places else all_rows.output_stride,
        "places": 8 if all_rows.places else 0,
        "row_scales": all_rows.row_scales_step,
    }
    places = {name: getattr(all_rows, name) + start * step for name, step in moved.items()}
    return replace(call, arguments=all_rows._replace(rows=stop - start, **places))


def tile_call(
    site: Site, rows: Rows, packed: Array, offset: int, ending: Ending, output: Array, vectors: int, places: NDArray[np.int64] | None = None
) -> Call:
    """Rows times weights as the kernel takes them, in tiles of one width.

    Args:
        site: whose tier to use.
        rows: codes.
        packed: int8 weights, or the bytes of int16.
        offset: what every weight lacks.
        ending: what becomes of the sums.
        output: [rows, channels].
        vectors: of a tile.
        places: int64[rows], which row of the output each makes; None where they are in order.
    """
    item, channels, count = rows.memory.itemsize, output.shape[1], len(rows.offsets)
    order = block_order(site.tier, channels, vectors, ending.output)
    planes = pack_constants(ending.firsts, ending.planes, order, ending.output.wide)
    stride = int(rows.offsets[1]) if count > 1 else 0
    regular = bool((rows.offsets == stride * np.arange(count)).all())
    site.require(regular or int(rows.offsets[-1]) * item < 1 << 31, "rows lie too far apart")
    offsets = np.zeros(0, np.int32) if regular else (rows.offsets * item).astype(np.int32)
    taps, flip = rows.taps * item, input_flip(site.tier, rows.memory.dtype)
    ones = np.zeros((len(taps), rows.steps * STEP), np.int8)
    ones[:, : rows.depth] = 1
    width = vectors * site.tier.lanes
    product = Product(
        tile_rows(site.tier, vectors, count, lifted=offset != 0),
        vectors,
        ending.output,
        partial=bool(channels % width),
        gathered=not regular,
        lifted=offset != 0,
        words=item == 2,
        scattered=places is not None,
        single=len(taps) == 1,
    )
    arguments = Arguments(
        input=rows.memory.ctypes.data + rows.start * item,
        input_flip=flip.ctypes.data,
        row_offsets=offsets.ctypes.data,
        row_stride=stride * item,
        rows=count,
        tap_offsets=taps.ctypes.data,
        taps=len(taps),
        steps=rows.steps,
        weights=packed.ctypes.data,
        ones=ones.ctypes.data,
        offset=offset,
        constants=planes.ctypes.data,
        output=output.ctypes.data,
        output_stride=output.strides[0],
        places=0 if places is None else places.ctypes.data,
        blocks=len(order),
        by_blocks=int(count < 64),
        last=channels - (len(order) - 1) * width,
        **ending.arguments,
    )
    keep = packed, ones, planes, offsets, taps, rows.memory, *ending.keep
    return Call(product, arguments, keep if places is None else (*keep, places))


def in_parts(site: Site, rows: Rows, filter: Array) -> tuple[Rows, Array]:
    """The same with runs of LONGEST codes at most; the parts of a run may pass its end, with weights of 0."""
    channels, taps, depth = filter.shape
    parts = -(-depth // LONGEST)
    length = -(-depth // parts)
    site.require((parts * length - depth) * rows.memory.itemsize + STEP <= SLACK, f"runs of {depth} codes")
    padded = np.zeros((channels, taps, parts * length), filter.dtype)
    padded[:, :, :depth] = filter
    starts = np.add.outer(rows.taps, length * np.arange(parts)).reshape(-1)
    return replace(rows, taps=starts, depth=length), padded.reshape(channels, taps * parts, length)


def sections(tier: Tier, channels: int) -> list[tuple[int, int, int]]:
    """Parts of the channels, each with the vectors of its tiles: first the widest tiles, then what they would fill badly."""
    parts, start = [], 0
    for vectors in tile_choices(tier):
        width = vectors * tier.lanes
        whole = (channels - start) // width * width
        if vectors == 1 or channels - start - whole > width - tier.lanes:
            whole = channels - start
        if whole:
            parts.append((start, start + whole, vectors))
            start += whole
    return parts


def held(site: Site, filter: Array) -> tuple[NDArray[np.int8], int]:
    """Weights as int8, and what each lacks: 0 where they are within 8 bits as they are.

    Weights of uint8 less their zero point spread over 255 at most, but may lie between -255 and 255.
    """
    site.require(filter.size > 0, "the filter has no elements")
    low, high = int(filter.min()), int(filter.max())
    offset = 0 if low >= -128 and high <= 127 else low + 128
    site.require(high - offset <= 127, f"weights less their zero point go from {low} to {high}, further than 8 bits")
    return (filter - offset).astype(np.int8), offset


def tile_rows(tier: Tier, vectors: int, count: int, lifted: bool) -> int:
    """Rows of a tile: those that waste least on the overlap of the last tiles."""
    choices = tile_choices(tier)[vectors]
    fitting = [rows for rows in choices if rows <= count and not (lifted and rows > LIFTED_ROWS)]
    preferred = fitting[0]
    return min(fitting, key=lambda rows: (-(-count // rows) * rows * (1 + 0.2 * (rows < preferred)), -rows))


def tile_choices(tier: Tier) -> dict[int, tuple[int, ...]]:
    """Of this tier."""
    return TILES.get(tier.name, OTHER_TILES)

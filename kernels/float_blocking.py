"""How Eigen cuts a float32 matrix product into blocks and threads: what decides in which order the builtin kernels add.

    output[row, channel] = sum over k of input[row, k] * filter[channel, k]

A product is cut along depth (k), and channels and rows into blocks, by the sizes of the processor's caches: so the last bits of TensorFlow
Lite's results depend on them, and those of qcore follow it on the same machine. With threads, their number and an estimate of the time
that everything takes decide as well.

Source (TensorFlow 2.21 for x86-64: Eigen 5.0.1-dev with AVX, without FMA): Eigen/src/Core/products/GeneralBlockPanelKernel.h
#evaluateProductBlockingSizesHeuristic, unsupported/Eigen/CXX11/src/Tensor/TensorContractionThreadPool.h#evalProductImpl, #shardByCol,
#shardByInnerDim, TensorCostModel.h.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

THREADS = 4
"""Of the thread pool that TensorFlow Lite's convolutions have where nobody asks for another number, as its calibrator does not."""

PANEL, QUAD, VECTOR = 16, 4, 8
"""Channels, and rows, that the innermost loop takes at a time; float32 numbers of a vector."""

CORE_CACHE = 3 << 19
"""Bytes that Eigen takes one core's part of the caches to be."""

LOAD_CYCLES, STORE_CYCLES = 11 / 64, 11 / 64
"""Of a byte."""

GATHER_CYCLES = 10.75
"""Of an input that is looked up in an image, as windows are; one of a matrix costs nothing but its load."""


class Caches(NamedTuple):
    """Bytes of the processor's caches."""

    level1: int
    level2: int
    level3: int


class Blocks(NamedTuple):
    """Sizes of the blocks that a product is cut into."""

    depth: int
    channels: int
    rows: int


class Cut(NamedTuple):
    """How a product is cut, as far as it decides the order of sums.

    shares: parts of the depth, each with a memory of its own, from the first k to before the last; in the order they are added up.
    depth: of the blocks that each share is cut into.
    channels: of the blocks.
    """

    shares: tuple[tuple[int, int], ...]
    depth: int
    channels: int


@cache
def caches() -> Caches:
    """This processor's; where Linux does not tell, what Eigen then takes."""
    sizes = {1: 32 << 10, 2: 256 << 10, 3: 2 << 20}
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
            if kind != "Instruction" and int(level) in sizes:
                sizes[int(level)] = int(size.removesuffix("K")) << 10
        except (OSError, ValueError):
            continue
    return Caches(*sizes.values())


def cut_with_threads(rows: int, channels: int, depth: int, gathered: bool, pool: int = THREADS) -> Cut:
    """A product on the thread pool.

    Args:
        rows: of the input, at least 1, as all sizes.
        channels: of the output.
        depth: of the sums.
        gathered: rows are windows that are looked up in an image.
        pool: threads that there are, from 2 to 4.
    """
    threads = _threads(rows, channels, depth, gathered, pool)
    by_depth = _threads_by_depth(rows, channels, depth, gathered, pool)
    if _share_depth(rows, channels, depth, threads, by_depth):
        size = min(depth, max(12 * VECTOR, _up(_ceil(depth, by_depth), 8)))
        shares = tuple((start, min(start + size, depth)) for start in range(0, depth, size))
        blocks = _blocks_by_rows(size, channels, rows, len(shares))
        return Cut(shares, blocks.depth, min(channels, blocks.channels))
    whole = ((0, depth),)
    if rows == 1:
        vectors = depth if depth < 128 else 16 if 4 * channels < 32000 else 4
        return Cut(whole, vectors, channels)
    blocks = one_thread(depth, channels, rows) if threads == 1 else _threaded(depth, channels, rows, threads)
    return Cut(whole, blocks.depth, min(channels, blocks.channels))


def one_thread(depth: int, channels: int, rows: int, vector: int = VECTOR) -> Blocks:
    """Blocks of a product in one thread; vector: floats of one, of which two make a panel."""
    whole = Blocks(depth, channels, rows)
    if max(whole) < 48:
        return whole
    panel = 2 * vector
    level1, level2, level3 = caches()
    tile = 4 * panel * QUAD
    most = max((level1 - tile) // (4 * (panel + QUAD)) // 8 * 8, 1)
    block = depth if depth <= most else _evened(depth, most, 8, spare=1)
    left = level1 - tile - 4 * channels * block
    most_rows = left // (4 * block) if left >= 4 * QUAD * block else 3 * CORE_CACHE // (16 * most)
    most_rows = min(CORE_CACHE // (8 * block), most_rows) // QUAD * QUAD
    if rows > most_rows:
        return Blocks(block, channels, _evened(rows, most_rows, QUAD))
    if block < depth:
        return Blocks(block, channels, rows)
    size, most_channels = 4 * block * rows, channels
    room = level1 if size <= 1024 else CORE_CACHE
    if 1024 < size <= 32768 and level3:
        room, most_channels = level2, min(576, channels)
    fitting = min(room // (12 * block), most_channels)
    if fitting == 0:
        return Blocks(block, channels, rows)
    fitting = fitting // panel * panel if fitting > panel else fitting
    return Blocks(block, _evened(channels, fitting, panel), rows)


def _threaded(depth: int, channels: int, rows: int, threads: int) -> Blocks:
    """Blocks of a product that threads share by rows or by channels."""
    if _share_rows(rows, channels, threads):
        return _blocks_by_rows(depth, channels, rows, threads)
    by_channels = _blocks_by_rows(depth, rows, channels, threads)
    return Blocks(by_channels.depth, by_channels.rows, by_channels.channels)


def _blocks_by_rows(depth: int, channels: int, rows: int, threads: int) -> Blocks:
    """Blocks of a product that threads share by rows; with the words rows and channels exchanged, by channels."""
    if threads == 1:
        return one_thread(depth, channels, rows)
    level1, level2, level3 = caches()
    most = max(8, min((level1 - 4 * PANEL * QUAD) // (4 * (PANEL + QUAD)), 320))
    block = depth if depth <= most else most // 8 * 8
    fitting, each = (level2 - level1) // (4 * QUAD * block), _ceil(rows, threads)
    block_rows = fitting // QUAD * QUAD if fitting <= each else min(rows, _up(each, QUAD))
    if level3 > level2:
        fitting, each = (level3 - level2) // (4 * block * threads), _ceil(channels, threads)
        channels = fitting // PANEL * PANEL if PANEL <= fitting < each else min(channels, _up(each, PANEL))
    return Blocks(block, channels, block_rows)


def _share_rows(rows: int, channels: int, threads: int) -> bool:
    """Threads share the rows, not the channels."""
    rows_each, channels_each = rows // threads, channels // threads
    uneven = rows % (threads * QUAD) != 0 and (channels % (threads * QUAD) == 0 or channels // rows >= 6)
    if channels_each >= QUAD and (rows_each < QUAD or (rows_each < 4 * QUAD and uneven)):
        return False
    return not (rows_each < 16 * QUAD and channels > 32 * rows)


def _threads(rows: int, channels: int, depth: int, gathered: bool, pool: int) -> int:
    """How many threads the work is worth when they share rows or channels."""
    by_rows = _share_rows(rows, channels, 2)
    blocks = _threaded(depth, channels, rows, 2)
    loads = 4 * (blocks.depth / (channels if by_rows else rows))
    cycles = blocks.depth * _pace(blocks.channels, blocks.rows, blocks.depth) / VECTOR
    cycles += (GATHER_CYCLES if gathered else 0.0) * (blocks.depth / channels)
    return min(pool, max(1, int((_cost(float(rows) * channels, loads, 4, cycles) - 100000) / 100000 + 0.9)))


def _threads_by_depth(rows: int, channels: int, depth: int, gathered: bool, pool: int) -> int:
    """How many threads the work is worth when they share the depth."""
    cycles = _pace(rows, channels, depth) * channels * rows / VECTOR + (GATHER_CYCLES if gathered else 0.0) * rows
    alone = _cost(depth, 4 * rows, 4, cycles)
    gathering = _cost(channels * rows, 2, 1, 1 / VECTOR)
    costs = {threads: alone / threads + (100000 + threads * (gathering + 3000)) for threads in range(2, pool + 1, 2)}
    return min({1: alone, **costs}.items(), key=lambda item: item[1])[0]


def _share_depth(rows: int, channels: int, depth: int, threads: int, by_depth: int) -> bool:
    """Threads share the depth."""
    if rows == 1 or by_depth < 2 or by_depth < threads or 4 * rows * channels > caches().level3 // by_depth:
        return False
    each = depth // by_depth
    if each < 2 * QUAD:
        return False
    return max(rows, channels) // threads < QUAD or (each > 8 * QUAD and (min(rows, channels) < 2 * QUAD or by_depth > threads))


def _pace(first: int, second: int, depth: int) -> float:
    """Cycles of one step of the innermost loop."""
    if depth == 1:
        return 4.0
    return 2.0 if first < QUAD or second < PANEL else 1.0


def _cost(count: float, loads: float, stores: float, cycles: float) -> float:
    """Cycles of so many pieces of work, each with bytes loaded and stored and cycles of its own."""
    return count * (LOAD_CYCLES * loads + STORE_CYCLES * stores + cycles)


def _evened(size: int, most: int, step: int, spare: int = 0) -> int:
    """A block of at most so much, by steps less where that makes the last block about as large as the others."""
    if size % most == 0:
        return most
    return most - step * ((most - spare - size % most) // (step * (size // most + 1)))


def _ceil(size: int, parts: int) -> int:
    return -(-size // parts)


def _up(size: int, step: int) -> int:
    return _ceil(size, step) * step

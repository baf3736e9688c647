"""Float32 matrix products that add in the order of TensorFlow Lite's builtin kernels, so that they round alike.

    output[row, channel] = sum over k of input[row, k] * filter[channel, k]

Each product and each sum is rounded to float32 (no fused multiply-add). The depth is cut into shares, a share into blocks
(``float_blocking``); a block's sum starts from zero, blocks are added up in turn, and of four shares the first two and the last two.
Within a block a sum is taken in one of three ways, by where its output lies. Channels are cut into blocks too. Of each, as many as
make whole panels of 16 are added up

* in turn: k = 0, 1, 2, ...;

what is left over, as far as it makes quads,

* in pairs: even k and odd k apart, as far as whole eights of k go; then these two; then the rest of k in turn;

and the last three channels or less

* in eights: k apart by its remainder of 8, as far as whole eights go; then ``((s0 + s2) + (s4 + s6))``, the same of the odd ones; to
  these two, even and odd k of the rest by turns; then these two; then k that is left over.

That is so in vectors of 8. Kernels compiled for vectors of 4 have panels of 8, and take the last three channels

* in fours: k apart by its remainder of 4, as far as whole fours go; then ``((s0 + s1) + (s2 + s3))``, and to it the rest of k in turn.

The last rows, where rows do not make whole quads, are always added up in turn.

Outside convolutions, the products of one row or for one channel are taken output by output, as dot products (``dot``); so are very small
ones.

Source (TensorFlow Lite 2.21, x86-64): tflite/kernels/internal/optimized/multithreaded_conv.h, kernels/cpu_backend_gemm_eigen.cc; Eigen
5.0.1-dev: Eigen/src/Core/products/GeneralBlockPanelKernel.h#gebp_kernel, products/GeneralMatrixVector.h, InnerProduct.h, Redux.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.float_blocking import QUAD, THREADS, VECTOR, Cut, cut_with_threads, one_thread

Reals = NDArray[np.float32]

Way = Literal["in turn", "in pairs", "in eights"]

SMALL = 20
"""Rows, channels and depth that together make less are multiplied by dot products."""


@dataclass(frozen=True)
class Order:
    """In which order the products of a matrix product are added up.

    rows, channels: of the whole product.
    cut: of depth and channels.
    in_turn: all of them are, whatever the place of their output.
    vector: floats of a vector, 8 or 4.
    """

    rows: int
    channels: int
    cut: Cut
    in_turn: bool = False
    vector: int = VECTOR

    @property
    def quads(self) -> int:
        """Rows whose sums may be taken otherwise than in turn: those that make whole quads."""
        return 0 if self.in_turn else self.rows // QUAD * QUAD

    def blocks(self, share: tuple[int, int]) -> Iterator[slice]:
        """Parts of the depth of a share, each summed from zero."""
        start, end = share
        for first in range(start, end, self.cut.depth):
            yield slice(first, min(first + self.cut.depth, end))

    def ways(self) -> Iterator[tuple[slice, Way]]:
        """How the sums of the rows that make quads are taken: runs of channels."""
        for first in range(0, self.channels, self.cut.channels):
            end = min(first + self.cut.channels, self.channels)
            panels, quads = (first + (end - first) // step * step for step in (2 * self.vector, QUAD))
            ways: tuple[tuple[int, int, Way], ...] = ((first, panels, "in turn"), (panels, quads, "in pairs"), (quads, end, "in eights"))
            yield from ((slice(start, stop), way) for start, stop, way in ways if start < stop)

    def __call__(self, x: Reals, filter: Reals, first: int = 0) -> Reals:
        """Sums of float32[rows, depth] times float32[channels, depth]; x: some of the rows, from ``first`` on."""
        sums = [self._share(x, filter.T, share, first) for share in self.cut.shares]
        if len(sums) < 4:
            return sum(sums[1:], sums[0])
        total = (sums[0] + sums[1]) + (sums[2] + sums[3])
        # Outputs after the last whole vector of all outputs, in the order of memory, are taken one by one.
        last = max(0, self.rows * self.channels // self.vector * self.vector - first * self.channels)
        one, *others = (share.reshape(-1)[last:] for share in sums)
        total.reshape(-1)[last:] = one + ((others[0] + others[1]) + others[2])
        return total

    def _share(self, x: Reals, filter: Reals, share: tuple[int, int], first: int) -> Reals:
        total = np.zeros((len(x), self.channels), np.float32)
        quads = max(0, self.quads - first)
        for k in self.blocks(share):
            for channels, way in self.ways():
                sums = in_fours if way == "in eights" and self.vector == QUAD else SUMS[way]
                total[:quads, channels] += sums(x[:quads, k], filter[k, channels])
            total[quads:] += in_turn(x[quads:, k], filter[k])
        return total


@dataclass(frozen=True)
class Dots:
    """A product whose outputs are dot products.

    rows, channels: of the whole product.
    vector: floats of a vector, 8 or 4.
    """

    rows: int
    channels: int
    vector: int = VECTOR

    @property
    def is_one(self) -> bool:
        """There is one output: it is summed in four accumulators."""
        return self.rows == self.channels == 1

    @property
    def ends_in_half(self) -> bool:
        """The last output of an odd number of them is summed with half a vector; of small products none is."""
        return self.vector == VECTOR and 1 in (self.rows, self.channels) and self.rows * self.channels % 2 == 1

    def __call__(self, x: Reals, filter: Reals, first: int = 0) -> Reals:
        """As that of ``Order``."""
        products = x[:, np.newaxis] * filter
        if self.is_one or 1 not in (self.rows, self.channels):
            return dot(products, accumulators=4, vector=self.vector)
        sums = dot(products, vector=self.vector)
        if self.ends_in_half and first + len(x) == self.rows:
            sums[-1:, -1:] = dot(products[-1:, -1:], half=True)
        return sums


Product = Order | Dots


def contraction(rows: int, channels: int, depth: int, gathered: bool, threads: int = THREADS) -> Product:
    """A product on a pool of 2 to 4 threads, as convolutions are; gathered: rows are windows that are looked up in an image."""
    return Order(rows, channels, cut_with_threads(rows, channels, depth, gathered, threads))


def matrix_product(rows: int, channels: int, depth: int, vector: int = VECTOR) -> Product:
    """A product in one thread, as dense layers are; vector: floats of one, 8 or 4."""
    if 1 in (rows, channels) or rows + channels + depth < SMALL:
        return Dots(rows, channels, vector)
    blocks = one_thread(depth, channels, rows, vector)
    return Order(rows, channels, Cut(((0, depth),), blocks.depth, min(channels, blocks.channels)), vector=vector)


def sums_in_turn(rows: int, channels: int, depth: int) -> Product:
    """A product of the reference kernels: every sum in turn."""
    return Order(rows, channels, Cut(((0, depth),), depth, channels), in_turn=True)


def in_turn(x: Reals, filter: Reals) -> Reals:
    """Sums over k = 0, 1, 2, ... of float32[rows, depth] times float32[depth, channels]."""
    if len(x) > filter.shape[1]:
        return in_turn(filter.T, np.ascontiguousarray(x.T)).T
    total = np.zeros((len(x), filter.shape[1]), np.float32)
    products = np.empty_like(total)
    for k, row in enumerate(filter):
        total += np.multiply(x[:, k, np.newaxis], row, out=products)
    return total


def in_pairs(x: Reals, filter: Reals) -> Reals:
    """Even and odd k apart."""
    eights = len(filter) // VECTOR * VECTOR
    total = in_turn(x[:, :eights:2], filter[:eights:2]) + in_turn(x[:, 1:eights:2], filter[1:eights:2])
    for k in range(eights, len(filter)):
        total += x[:, k, np.newaxis] * filter[k]
    return total


def in_eights(x: Reals, filter: Reals) -> Reals:
    """Terms apart by the remainder of k by 8."""
    depth = len(filter)
    eights, pairs = depth // VECTOR * VECTOR, depth // 2 * 2
    s = [in_turn(x[:, i:eights:VECTOR], filter[i:eights:VECTOR]) for i in range(VECTOR)]
    halves = [(s[i] + s[i + 2]) + (s[i + 4] + s[i + 6]) for i in (0, 1)]
    for k in range(eights, pairs):
        halves[k % 2] += x[:, k, np.newaxis] * filter[k]
    total = halves[0] + halves[1]
    for k in range(pairs, depth):
        total += x[:, k, np.newaxis] * filter[k]
    return total


def in_fours(x: Reals, filter: Reals) -> Reals:
    """Terms apart by the remainder of k by 4."""
    fours = len(filter) // QUAD * QUAD
    s = [in_turn(x[:, i:fours:QUAD], filter[i:fours:QUAD]) for i in range(QUAD)]
    total = (s[0] + s[1]) + (s[2] + s[3])
    for k in range(fours, len(filter)):
        total += x[:, k, np.newaxis] * filter[k]
    return total


SUMS: Mapping[Way, Callable[[Reals, Reals], Reals]] = MappingProxyType({"in turn": in_turn, "in pairs": in_pairs, "in eights": in_eights})
"""Sums of float32[rows, depth] times float32[depth, channels]."""


def dot(products: Reals, accumulators: int = 1, half: bool = False, vector: int = VECTOR) -> Reals:
    """Sums of float32[..., depth] along the depth, as dot products are taken.

    Vectors are added to so many accumulators by turns, these from the last to the first, then the lanes as a tree, and then what is left
    over in turn.

    half: of what is left over, 4 are a vector too, whose lanes are added up first. vector: floats of one, 8 or 4.
    """
    depth = products.shape[-1]
    whole = depth // vector * vector
    vectors = products[..., :whole].reshape(*products.shape[:-1], whole // vector, vector)
    lanes = np.zeros((accumulators, *products.shape[:-1], vector), np.float32)
    for i in range(vectors.shape[-2]):
        lanes[i % accumulators] += vectors[..., i, :]
    for i in reversed(range(1, accumulators)):
        lanes[i - 1] += lanes[i]
    total = _tree(lanes[0])
    if half and depth - whole >= 4:
        total += _tree(products[..., whole : whole + 4])
        whole += 4
    for k in range(whole, depth):
        total += products[..., k]
    return total


def sums_along_memory(rows: Reals, vector: int = VECTOR) -> Reals:
    """Sums of float32[rows, depth] along the depth, where vectors begin at places that are aligned to them in memory.

    Vectors are added to two accumulators by turns, then these, then an odd vector, then the lanes as a tree; last in turn what lies
    before the first vector and after the last one.

    vector: floats of one, 8 or 4.
    """
    count, depth = rows.shape
    sums = np.empty(count, np.float32)
    starts = np.minimum(-np.arange(count) * depth % vector, depth)
    for start in np.unique(starts):
        some = rows[starts == start]
        end = start + (depth - start) // vector * vector
        vectors = some[:, start:end].reshape(len(some), (end - start) // vector, vector)
        paired = vectors.shape[1] // 2 * 2
        lanes = np.zeros((2, len(some), vector), np.float32)
        for i in range(paired):
            lanes[i % 2] += vectors[:, i]
        total = lanes[0] + lanes[1]
        for i in range(paired, vectors.shape[1]):
            total += vectors[:, i]
        whole = _tree(total)
        for k in (*range(start), *range(end, depth)):
            whole += some[:, k]
        sums[starts == start] = whole
    return sums


def _tree(lanes: Reals) -> Reals:
    """float32[..., 8 or 4] added up."""
    if lanes.shape[-1] == VECTOR:
        lanes = lanes[..., :QUAD] + lanes[..., QUAD:]
    return np.asarray((lanes[..., 0] + lanes[..., 2]) + (lanes[..., 1] + lanes[..., 3]))

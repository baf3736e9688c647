"""RANDOM_UNIFORM, RANDOM_STANDARD_NORMAL, MULTINOMIAL: random numbers, the same ones from the same seeds.

``seed`` is the key of a Philox generator and ``seed2`` the upper half of its counter, which goes on from one invoke to the next; it starts
anew whenever the operator is prepared anew. Of the file's 64-bit seeds the lower 32 bits count, with their sign; where both are 0 the
operating system gives the seeds.

* RANDOM_UNIFORM: numbers in [0, 1), of 23 bits of a word each.
* RANDOM_STANDARD_NORMAL: two numbers from two uniform ones, by Box and Muller.
* MULTINOMIAL: for each row of logits, classes of which class i comes up with a probability in proportion to ``exp(logits[i])``; from 52
  bits of two words each, in float64. Logits that are not finite count as minus infinity. Each invoke moves the counter by
  512 times the number of samples, rounded up to a multiple of 4 in each row.

Source (TensorFlow Lite 2.21): tflite/kernels/random_ops.cc; xla/tsl/lib/random/philox_random.h, random_distributions_utils.h.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import read_shape, require_rank, single_integer
from qcore.kernels.counter_generators import WORDS_PER_COUNTER, counters, philox4x32
from qcore.kernels.opdef import FLOAT_FUNCTION, Array, Node, OpDef, Shape, Step

LEAST_UNIFORM = np.float32(1e-7)
"""What smaller uniform numbers are taken for before their logarithm."""

SCRATCH_PER_WORD = 64
"""Bytes of temporaries for each random word."""


@dataclass
class Generator:
    """A sequence of random words; it changes as they are drawn."""

    key: tuple[int, int]
    counter: int

    def words(self, count: int) -> NDArray[np.uint32]:
        """uint32[count]: the next words; the rest of a counter's words is thrown away."""
        turns = -(-count // WORDS_PER_COUNTER)
        drawn = philox4x32(self.key, counters(self.counter, turns)).reshape(-1)[:count]
        self.counter += turns
        return drawn


@dataclass(frozen=True)
class Params:
    """Where numbers come from, and the output's shape and type."""

    generator: Generator
    shape: Shape
    dtype: np.dtype[np.generic]


def seeded(node: Node) -> Generator:
    """The operator's generator at its start."""
    seeds = tuple((node.options[name] + 2**31) % 2**32 - 2**31 for name in ("seed", "seed2"))
    if seeds == (0, 0):
        seeds = int.from_bytes(os.urandom(8)), int.from_bytes(os.urandom(8))
    low, high = (seed & 2**64 - 1 for seed in seeds)
    return Generator((low & 0xFFFFFFFF, low >> 32), high << 64)


def prepare_numbers(node: Node, draw: Callable[[Params, Array], Array]) -> Step:
    """RANDOM_UNIFORM, RANDOM_STANDARD_NORMAL: the output's shape."""
    wanted = node.input(0)
    node.require(node.output.dtype == "float32", f"output is {node.output.dtype}, expected float32")
    shape = read_shape(node, wanted)
    return Step(draw, Params(seeded(node), shape, np.dtype(np.float32)), (shape,), scratch=SCRATCH_PER_WORD * math.prod(shape))


def prepare_multinomial(node: Node) -> Step:
    """MULTINOMIAL: logits of each class in rows, and how many samples of each row."""
    logits, wanted, output = node.input(0), node.input(1), node.output
    require_rank(node, logits, 2)
    require_rank(node, wanted, 0)
    rows, classes = logits.shape
    count = single_integer(node, wanted, ("int32",))
    node.require(classes > 0, "there are no classes to choose from")
    node.require(count >= 0, f"{count} samples are wanted, expected 0 or more")
    if output.dtype not in ("int32", "int64"):
        raise node.unsupported(f"output is {output.dtype}, qcore has int32, int64")
    scratch = 2 * SCRATCH_PER_WORD * rows * count + 32 * logits.size
    return Step(choose, Params(seeded(node), (rows, count), output.storage), ((rows, count),), scratch)


def unit_float32(words: NDArray[np.uint32]) -> NDArray[np.float32]:
    """float32[n] in [0, 1): the lower 23 bits of uint32[n] as a fraction."""
    return (words & np.uint32(0x7FFFFF) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


def unit_float64(words: NDArray[np.uint32]) -> NDArray[np.float64]:
    """float64[n] in [0, 1): the lower 20 bits of the first and all of the second word of uint32[n, 2] as a fraction."""
    upper, lower = words.T.astype(np.uint64)
    fractions: NDArray[np.float64] = ((upper & np.uint64(0xFFFFF) | np.uint64(0x3FF00000)) << np.uint64(32) | lower).view(np.float64)
    return fractions - 1.0


def uniform(p: Params, _shape: Array) -> Array:
    """Uniform float32 of the wanted shape."""
    return unit_float32(p.generator.words(math.prod(p.shape))).reshape(p.shape)


def normal(p: Params, _shape: Array) -> Array:
    """Normal float32, of mean 0 and variance 1, of the wanted shape."""
    size = math.prod(p.shape)
    first, second = unit_float32(p.generator.words(size + size % 2)).reshape(-1, 2).T
    radius = np.sqrt(np.float32(-2) * np.log(np.maximum(first, LEAST_UNIFORM)))
    angle = (2 * np.pi * second.astype(np.float64)).astype(np.float32)
    pairs = np.stack([np.sin(angle) * radius, np.cos(angle) * radius], axis=1)
    return pairs.reshape(-1)[:size].reshape(p.shape)


def choose(p: Params, logits: Array, _count: Array) -> Array:
    """Classes, int32 | int64[rows, samples], by float32[rows, classes]."""
    rows, count = p.shape
    counter = p.generator.counter
    drawn = unit_float64(p.generator.words(2 * rows * count).reshape(-1, 2)).reshape(rows, count)
    p.generator.counter = counter + rows * (-(-count // 4) * 4) * 2 * 256
    finite = np.isfinite(logits)
    greatest = np.max(logits, axis=1, keepdims=True, initial=np.finfo(np.float32).min, where=finite).astype(np.float64)
    totals = np.cumsum(np.where(finite, np.exp(logits - greatest), 0), axis=1)
    out = np.empty((rows, count), p.dtype)
    for row, steps in enumerate(totals):
        out[row] = np.searchsorted(steps, drawn[row] * steps[-1], side="right")
    return out


RANDOM_UNIFORM = OpDef("RANDOM_UNIFORM", partial(prepare_numbers, draw=uniform), ("int32",), (1, 1), pure=False)
RANDOM_STANDARD_NORMAL = OpDef(
    "RANDOM_STANDARD_NORMAL", partial(prepare_numbers, draw=normal), ("int32",), (1, 1), tolerances={"int32": FLOAT_FUNCTION}, pure=False
)
MULTINOMIAL = OpDef("MULTINOMIAL", prepare_multinomial, ("float32",), (2, 2), pure=False)

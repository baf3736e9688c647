"""STABLEHLO_RNG_BIT_GENERATOR: random bits as a function of a state, and the state to go on from.

The state's first uint64 is the key, the second the counter's lower half. Philox has a counter of 128 bits, whose upper half, which
never changes, is the state's third number, or the key where there are two numbers; Threefry has one of 64 bits.

Source (TensorFlow Lite 2.21): tflite/kernels/rng_bit_generator.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.common import require_rank
from qcore.kernels.counter_generators import philox4x32, threefry2x32
from qcore.kernels.opdef import Array, Node, OpDef, Shape, Step

STATES = {"PHILOX": (2, 3), "DEFAULT": (2, 3), "THREEFRY": (2,)}
"""Numbers of the state, by algorithm."""

SCRATCH_PER_BYTE = 16
"""Bytes of temporaries for each random byte."""


@dataclass(frozen=True)
class Params:
    """Whether the algorithm is Threefry; the output's shape and type."""

    threefry: bool
    shape: Shape
    dtype: np.dtype[np.generic]


def prepare(node: Node) -> Step:
    """The output's shape is the file's."""
    state, next_state, bits, algorithm = node.input(0), node.outputs[0], node.outputs[1], node.options["algorithm"]
    require_rank(node, state, 1)
    node.require(next_state.dtype == "uint64", f"output 0 is {next_state.dtype}, expected uint64")
    if bits.dtype not in ("int32", "uint32", "int64", "uint64"):
        raise node.unsupported(f"output 1 is {bits.dtype}, qcore has int32, uint32, int64, uint64")
    if algorithm not in STATES:
        raise node.unsupported(f"algorithm {algorithm}, qcore has {', '.join(STATES)}")
    node.require(state.size in STATES[algorithm], f"state has {state.size} numbers, expected {' or '.join(map(str, STATES[algorithm]))}")
    node.require(min(bits.shape, default=0) >= 0, f"output 1 has shape {list(bits.shape)}")
    params = Params(algorithm == "THREEFRY", bits.shape, bits.storage)
    return Step(generate, params, (state.shape, bits.shape), scratch=SCRATCH_PER_BYTE * bits.size * bits.storage.itemsize)


def generate(p: Params, state: Array) -> tuple[Array, Array]:
    """The state to go on from, uint64[2 or 3], and random bits."""
    count = math.prod(p.shape) * p.dtype.itemsize // 4
    turns = -(-count // (2 if p.threefry else 4))
    key: NDArray[np.uint32] = state[:1].view(np.uint32)
    counter = (state[1] + np.arange(turns, dtype=np.uint64)).view(np.uint32).reshape(-1, 2)
    if p.threefry:
        words = threefry2x32((int(key[0]), int(key[1])), counter)
    else:
        upper = (state[2:] if len(state) == 3 else state[:1]).view(np.uint32)
        words = philox4x32((int(key[0]), int(key[1])), np.concatenate([counter, np.broadcast_to(upper, counter.shape)], axis=1))
    following = state.copy()
    following[1] += np.uint64(turns)
    return following, words.reshape(-1)[:count].view(p.dtype).reshape(p.shape)


STABLEHLO_RNG_BIT_GENERATOR = OpDef("STABLEHLO_RNG_BIT_GENERATOR", prepare, ("uint64",), (1, 1), (2, 2))

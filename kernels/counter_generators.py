"""Philox and Threefry: random words that are a function of a key and a counter, and so need no history.

All arithmetic is modulo 2**32. Every counter gives as many words as it has.

Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011; TensorFlow Lite 2.21: tflite/kernels/rng_util.cc.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

MASK = np.uint64(0xFFFFFFFF)
PHILOX_ROUNDS = 10
PHILOX_FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
PHILOX_KEY_STEPS = 0x9E3779B9, 0xBB67AE85
THREEFRY_PARITY = 0x1BD11BDA
THREEFRY_ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
THREEFRY_ROUNDS = 20
WORDS_PER_COUNTER = 4
"""Of Philox."""


def counters(start: int, count: int) -> Words:
    """uint32[count, 4]: so many 128-bit numbers from start on, least significant word first; they wrap."""
    low = np.uint64(start & 2**64 - 1) + np.arange(count, dtype=np.uint64)
    high = np.uint64(start >> 64 & 2**64 - 1) + (low < low[:1])
    return np.stack([low, high.astype(np.uint64)], axis=1).view(np.uint32)


def philox4x32(key: tuple[int, int], counter: Words) -> Words:
    """uint32[n, 4]: ten rounds of Philox of uint32[n, 4]."""
    a, b, c, d = counter.T.astype(np.uint64)
    for turn in range(PHILOX_ROUNDS):
        first, second = (np.uint64(k + turn * step & 0xFFFFFFFF) for k, step in zip(key, PHILOX_KEY_STEPS, strict=True))
        from_a, from_c = a * PHILOX_FACTORS[0], c * PHILOX_FACTORS[1]
        a, b, c, d = from_c >> np.uint64(32) ^ b ^ first, from_c & MASK, from_a >> np.uint64(32) ^ d ^ second, from_a & MASK
    return np.stack([a, b, c, d], axis=1).astype(np.uint32)


def threefry2x32(key: tuple[int, int], counter: Words) -> Words:
    """uint32[n, 2]: twenty rounds of Threefry of uint32[n, 2]."""
    keys = [np.uint32(k) for k in (*key, key[0] ^ key[1] ^ THREEFRY_PARITY)]
    a, b = counter[:, 0] + keys[0], counter[:, 1] + keys[1]
    for turn in range(THREEFRY_ROUNDS // 4):
        for rotation in THREEFRY_ROTATIONS[turn % 2]:
            a = a + b
            b = (b << np.uint32(rotation) | b >> np.uint32(32 - rotation)) ^ a
        a, b = a + keys[(turn + 1) % 3], b + keys[(turn + 2) % 3] + np.uint32(turn + 1)
    return np.stack([a, b], axis=1)

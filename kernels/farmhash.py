"""FarmHash's Fingerprint64: a fixed 64-bit hash of a byte string, which files may rely on; here of many strings of one length at once.

All arithmetic is modulo 2**64, words are little-endian. Strings of up to 16, 32 and 64 bytes are mixed once, each in a way of their own;
longer ones go by blocks of 64 bytes, of which the last is the string's last 64 bytes, into a state of seven words.

Source: FarmHash 1.1, farmhash.cc#Fingerprint64, which is farmhashna::Hash64; Pike and Alakuijala, "Introducing CityHash", 2011.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

K0, K1, K2 = np.uint64(0xC3A5C85C97CB3127), np.uint64(0xB492B66FBE98F273), np.uint64(0x9AE16A3B2F90404F)
SEED = np.uint64(81)


class State(NamedTuple):
    """What blocks of a long string are mixed into."""

    x: Words
    y: Words
    z: Words
    v: tuple[Words, Words]
    w: tuple[Words, Words]


def fingerprint64(strings: NDArray[np.uint8]) -> Words:
    """uint64[n]: the fingerprints of uint8[n, length]."""
    with np.errstate(over="ignore"):  # of scalars; arrays wrap in silence
        length = strings.shape[1]
        if length > 64:
            return _long(strings)
        if length > 32:
            return _up_to_64(strings)
        if length > 16:
            return _up_to_32(strings)
        return _up_to_16(strings)


def _word(strings: NDArray[np.uint8], start: int, width: int = 8) -> Words:
    """The word at a place, counted from the end where it is negative."""
    start %= strings.shape[1]
    return np.ascontiguousarray(strings[:, start : start + width]).view(f"<u{width}")[:, 0].astype(np.uint64)


def _rotate(word: Words, bits: int) -> Words:
    return word >> np.uint64(bits) | word << np.uint64(64 - bits)


def _fold(word: Words) -> Words:
    return word ^ word >> np.uint64(47)


def _join(a: Words, b: Words, factor: np.uint64 | Words) -> Words:
    """One word of two."""
    return _fold((b ^ _fold((a ^ b) * factor)) * factor) * factor


def _factor(strings: NDArray[np.uint8]) -> np.uint64:
    return K2 + np.uint64(2 * strings.shape[1])


def _up_to_16(strings: NDArray[np.uint8]) -> Words:
    count, length = strings.shape
    factor = _factor(strings)
    if length >= 8:
        a, b = _word(strings, 0) + K2, _word(strings, -8)
        return _join(_rotate(b, 37) * factor + a, (_rotate(a, 25) + b) * factor, factor)
    if length >= 4:
        return _join(np.uint64(length) + (_word(strings, 0, 4) << np.uint64(3)), _word(strings, -4, 4), factor)
    if length > 0:
        first, middle, last = (strings[:, k].astype(np.uint64) for k in (0, length // 2, length - 1))
        return _fold((first + (middle << np.uint64(8))) * K2 ^ (np.uint64(length) + (last << np.uint64(2))) * K0) * K2
    return np.full(count, K2)


def _mix(a: Words, b: Words, c: Words, d: Words, e: np.uint64 | Words) -> tuple[Words, Words]:
    return _rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + e, 18) + c


def _up_to_32(strings: NDArray[np.uint8]) -> Words:
    factor = _factor(strings)
    ends = _word(strings, 8), _word(strings, -8) * factor, _word(strings, -16) * K2
    return _join(*_mix(_word(strings, 0) * K1, *ends, K2), factor)


def _up_to_64(strings: NDArray[np.uint8]) -> Words:
    factor = _factor(strings)
    a, ends = _word(strings, 0) * K2, (_word(strings, 8), _word(strings, -8) * factor, _word(strings, -16) * K2)
    y, other = _mix(a, *ends, K2)
    z = _join(y, other, factor)
    e, f = _word(strings, 16) * factor, _word(strings, 24)
    g, h = (y + _word(strings, -32)) * factor, (z + _word(strings, -24)) * factor
    return _join(*_mix(e, f, g, h, a), factor)


def _half(block: NDArray[np.uint8], start: int, a: Words, b: Words) -> tuple[Words, Words]:
    """Two words of 32 bytes of a block and two others."""
    first, second, third, fourth = (_word(block, start + 8 * k) for k in range(4))
    a = a + first
    total = a + second + third
    return total + fourth, _rotate(b + a + fourth, 21) + _rotate(total, 44) + a


def _mix_in(state: State, block: NDArray[np.uint8], factor: np.uint64 | Words, weight: np.uint64) -> State:
    """The state after a block of 64 bytes."""
    x, y, z, v, w = state
    x = _rotate(x + y + v[0] + _word(block, 8), 37) * factor ^ w[1] * weight
    y = _rotate(y + v[1] + _word(block, 48), 42) * factor + v[0] * weight + _word(block, 40)
    z = _rotate(z + w[0], 33) * factor
    return State(z, y, x, _half(block, 0, v[1] * factor, x + w[0]), _half(block, 32, z + w[1], y + _word(block, 16)))


def _long(strings: NDArray[np.uint8]) -> Words:
    count, length = strings.shape
    y, zeros = np.full(count, SEED * K1 + np.uint64(113)), np.zeros(count, np.uint64)
    state = State(SEED * K2 + _word(strings, 0), y, _fold(y * K2 + np.uint64(113)) * K2, (zeros, zeros), (zeros, zeros))
    for start in range(0, length - 64, 64):
        state = _mix_in(state, strings[:, start : start + 64], K1, np.uint64(1))
    x, y, z, v, w = state
    factor: Words = K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    w_first = w[0] + np.uint64((length - 1) % 64)
    v_first = v[0] + w_first
    state = State(x, y, z, (v_first, v[1]), (w_first + v_first, w[1]))
    x, y, z, v, w = _mix_in(state, strings[:, -64:], factor, np.uint64(9))
    return _join(_join(v[0], w[0], factor) + _fold(y) * K0 + z, _join(v[1], w[1], factor) + x, factor)

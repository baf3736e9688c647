"""Philox and Threefry: the known answers that their authors publish, and counters that carry."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels.counter_generators import counters, philox4x32, threefry2x32

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "wanted"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ONES,) * 4, (ONES, ONES), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox(counter: tuple[int, ...], key: tuple[int, int], wanted: str) -> None:
    (got,) = philox4x32(key, np.array([counter], np.uint32))
    assert " ".join(f"{word:08x}" for word in got) == wanted


@pytest.mark.parametrize(
    ("counter", "key", "wanted"),
    [
        ((0, 0), (0, 0), "6b200159 99ba4efe"),
        ((ONES, ONES), (ONES, ONES), "1cb996fc bb002be7"),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), "c4923a9c 483df7a0"),
    ],
)
def test_threefry(counter: tuple[int, ...], key: tuple[int, int], wanted: str) -> None:
    (got,) = threefry2x32(key, np.array([counter], np.uint32))
    assert " ".join(f"{word:08x}" for word in got) == wanted


@pytest.mark.parametrize("start", [0, 2**32 - 1, 2**64 - 1, 2**96 - 1, 2**128 - 1])
def test_counters_carry_and_wrap(start: int) -> None:
    got = [sum(int(word) << 32 * k for k, word in enumerate(words)) for words in counters(start, 3)]
    assert got == [(start + k) % 2**128 for k in range(3)]


def test_no_counters() -> None:
    assert philox4x32((1, 2), counters(7, 0)).shape == (0, 4)

"""Vector loops: which elements are in full vectors, and which are left over."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.numerics.vector_loop import VectorLoop, along_memory

LOOP = VectorLoop(4, lambda x: np.full_like(x, 1), lambda x: np.full_like(x, 2))


@pytest.mark.parametrize("size", range(10))
def test_only_full_vectors_are_vectors(size: int) -> None:
    full = size // 4 * 4
    assert LOOP(np.zeros(size)).tolist() == [1] * full + [2] * (size - full)


def test_vectors_lie_along_the_last_axis() -> None:
    assert LOOP(np.zeros((2, 5))).tolist() == [[1, 1, 1, 1, 2]] * 2
    assert LOOP(np.zeros((0, 5))).shape == (0, 5)


def test_or_along_the_whole_memory() -> None:
    assert along_memory(LOOP, np.zeros((2, 5))).tolist() == [[1] * 5, [1] * 3 + [2] * 2]
    assert along_memory(LOOP, np.zeros(())).shape == ()
    assert along_memory(LOOP, np.zeros((5, 2)).T).shape == (2, 5)


def test_the_input_is_left_alone() -> None:
    x = np.arange(6.0)
    VectorLoop(4, lambda x: x + 1, lambda x: x - 1)(x)
    assert x.tolist() == [0, 1, 2, 3, 4, 5]

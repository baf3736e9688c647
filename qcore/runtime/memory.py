"""Placing tensors in one arena so that tensors whose lives do not overlap share memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcore.kernels.fast.memory import ALIGNMENT


@dataclass(frozen=True)
class Life:
    """A tensor that needs memory from step ``first`` to step ``last``, both included.

    size: bytes.
    """

    size: int
    first: int
    last: int


def aligned(size: int) -> int:
    """The size rounded up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def place(lives: list[Life]) -> tuple[list[int], int]:
    """Give each tensor an offset: the largest first, each at the lowest place where it meets no other alive at the same time.

    Returns:
        Offset in bytes of each tensor, in the order of lives, and the arena's size. The size is the sum where nothing can be shared.

    Source: greedy by size for offset calculation (Pisarchyk and Lee, "Efficient memory management for deep neural net inference",
    2020, section 5.2), which TensorFlow Lite's arena planner follows too.
    """
    count = len(lives)
    first = np.array([life.first for life in lives], np.int64)
    last = np.array([life.last for life in lives], np.int64)
    sizes = np.array([aligned(life.size) for life in lives], np.int64)
    offsets = np.zeros(count, np.int64)
    placed = np.zeros(count, bool)
    for i in np.lexsort((first, -sizes)):
        rivals = placed & (first <= last[i]) & (last >= first[i])
        order = np.argsort(offsets[rivals], kind="stable")
        starts = offsets[rivals][order]
        ends = np.maximum.accumulate(np.concatenate([[0], (offsets + sizes)[rivals][order]]))
        fits = np.flatnonzero(starts - ends[:-1] >= sizes[i])
        offsets[i] = ends[fits[0]] if fits.size else ends[-1]
        placed[i] = True
    return [int(offset) for offset in offsets], int((offsets + sizes).max(initial=0))

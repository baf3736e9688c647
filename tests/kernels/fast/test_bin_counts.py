"""Counts of a histogram, and the compiler that several threads ask for at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from qcore.kernels.fast import compiler
from qcore.kernels.fast.bin_counts import count_bins
from qcore.kernels.fast.cpu import usable

RNG = np.random.default_rng(4)


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 1001])
def test_counts_are_those_of_numpy(precise: bool, count: int) -> None:
    values = np.concatenate([RNG.uniform(-1, 1, count), [0.0, -0.0, -1.0, 1e-45, -1e-45] * min(count, 1)]).astype(np.float32)
    kept = values if precise else values[np.abs(values) != np.float32(1e-45)]
    bins = np.floor(kept.astype(np.float64) * 8).astype(int) + 8
    np.testing.assert_array_equal(count_bins(kept, 8.0, 16, precise), np.bincount(bins, minlength=16))


def test_values_may_lie_apart_in_memory() -> None:
    values = RNG.uniform(-1, 1, 100).astype(np.float32)
    np.testing.assert_array_equal(count_bins(values[::-2], 8.0, 16, False), count_bins(values[::-2].copy(), 8.0, 16, False))


def test_threads_that_come_first_together_get_one_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_compilers", {})
    together = threading.Barrier(4)

    def first(_: int) -> compiler.Compiler:
        together.wait()
        return compiler.compiler(usable()[-1])

    with ThreadPoolExecutor(4) as executor:
        assert len(set(map(id, executor.map(first, range(4))))) == 1

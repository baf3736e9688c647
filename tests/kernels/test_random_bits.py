"""STABLEHLO_RNG_BIT_GENERATOR: words of known counters, the state that follows, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from qcore.kernels.counter_generators import philox4x32, threefry2x32
from tests.conformance.harness import T, one_operator, run_qcore


def run(algorithm: str, state: list[int], shape: Any, dtype: str = "uint32", following: str = "uint64") -> tuple[list[int], np.ndarray]:
    outputs = [T(following, (len(state),)), T(dtype, shape)]
    model = one_operator("STABLEHLO_RNG_BIT_GENERATOR", [T("uint64", (len(state),))], outputs, {"algorithm": algorithm})
    after, bits = run_qcore(model, [np.array(state, np.uint64)])
    return after.tolist(), bits


def test_philox_takes_the_key_or_a_third_number_for_the_counters_upper_half() -> None:
    for state, upper in (([5 + (6 << 32), 7, 8 + (9 << 32)], (8, 9)), ([5 + (6 << 32), 7], (5, 6))):
        after, bits = run("PHILOX", state, (2, 3))
        assert after == [state[0], 9, *state[2:]]
        wanted = philox4x32((5, 6), np.array([[7, 0, *upper], [8, 0, *upper]], np.uint32))
        assert bits.ravel().tolist() == wanted.ravel()[:6].tolist()
        assert (run("DEFAULT", state, (2, 3))[1] == bits).all()


def test_threefry() -> None:
    after, bits = run("THREEFRY", [5 + (6 << 32), 2**32 - 1], (3,))
    assert after == [5 + (6 << 32), 2**32 + 1]
    assert bits.tolist() == threefry2x32((5, 6), np.array([[2**32 - 1, 0], [0, 1]], np.uint32)).ravel()[:3].tolist()


def test_wider_numbers_are_made_of_two_words() -> None:
    narrow = run("PHILOX", [1, 2], (6,))[1]
    assert run("PHILOX", [1, 2], (3,), "uint64")[1].tolist() == narrow.view(np.uint64).tolist()
    assert run("PHILOX", [1, 2], (3,), "int64")[1].tolist() == narrow.view(np.int64).tolist()


def test_no_bits_leave_the_state() -> None:
    assert run("PHILOX", [1, 2], (0, 3))[0] == [1, 2]


def test_refusals() -> None:
    with pytest.raises(QCoreError, match="state has 3 numbers, expected 2"):
        run("THREEFRY", [1, 2, 3], (1,))
    with pytest.raises(QCoreError, match="state has 1 numbers, expected 2 or 3"):
        run("PHILOX", [1], (1,))
    with pytest.raises(QCoreError, match="output 1 is float32"):
        run("PHILOX", [1, 2], (1,), "float32")
    with pytest.raises(QCoreError, match="output 0 is int64, expected uint64"):
        run("PHILOX", [1, 2], (1,), following="int64")

"""Fast against reference: what every test of a native kernel asserts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qcore.kernels.opdef import Arithmetic
from qcore.model import Model
from qcore.runtime.plan import Settings
from qcore.runtime.session import Session
from qcore.runtime.stages import lowered


def run(model: Model, inputs: Sequence[np.ndarray], settings: Settings) -> tuple[Session, list[np.ndarray]]:
    session = Session(model, settings)
    executor = session.executor()
    executor.allocate()
    for index, array in zip(executor.graph.inputs, inputs, strict=True):
        executor.write(index, array)
    executor.invoke()
    return session, [executor.read(index).copy() for index in executor.graph.outputs]


def assert_fast(
    model: Model, inputs: Sequence[np.ndarray], arithmetic: Arithmetic = "reference", threads: int = 1, tolerance: float = 0.0
) -> None:
    """Every operator is native, and the outputs are those of the reference engine to the bit.

    tolerance: by how much of the largest magnitude they may differ, where float sums are taken in another order.
    """
    session, got = run(model, inputs, Settings(arithmetic, engine="fast", threads=threads))
    executor = session.executor()
    assert [one.reason for one in lowered(executor.allocated(), executor.values)] == [None] * len(executor.allocated().operators)
    _, want = run(model, inputs, Settings(arithmetic))
    for fast, reference in zip(got, want, strict=True):
        assert fast.dtype == reference.dtype
        if tolerance:
            assert np.abs(fast - reference).max(initial=0) <= tolerance * np.abs(reference).max(initial=0)
            continue
        np.testing.assert_array_equal(fast, reference)
        if fast.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(fast) & (fast == 0), np.signbit(reference) & (reference == 0))

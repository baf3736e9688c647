"""STABLEHLO_PAD: lines spread out, padded and cut, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore


def run(x: Any, low: list[int], high: list[int], interior: list[int], dtype: str = "int8", value: Any = 9) -> np.ndarray:
    arrays = [np.array(x, dtype), np.array(value, dtype)]
    options = {"edge_padding_low": np.array(low), "edge_padding_high": np.array(high), "interior_padding": np.array(interior)}
    model = one_operator("STABLEHLO_PAD", [T(dtype, array.shape) for array in arrays], [T(dtype, (1,))], options)
    return run_qcore(model, arrays)[0]


@pytest.mark.parametrize(
    ("low", "high", "interior", "wanted"),
    [
        (0, 0, 0, [1, 2, 3]),
        (1, 2, 0, [9, 1, 2, 3, 9, 9]),
        (0, 0, 2, [1, 9, 9, 2, 9, 9, 3]),
        (-1, 0, 0, [2, 3]),
        (0, -2, 0, [1]),
        (-1, -1, 2, [9, 9, 2, 9, 9]),
        (-2, 1, 1, [2, 9, 3, 9]),
        (-5, 3, 0, [9]),
        (4, -5, 0, [9, 9]),
        (-4, 6, 0, [9, 9, 9, 9, 9]),
        (-3, 0, 0, []),
        (-9, 0, 1, []),
    ],
)
def test_lines(low: int, high: int, interior: int, wanted: list[int]) -> None:
    got = run([1, 2, 3], [low], [high], [interior])
    assert (got.dtype, got.tolist()) == (np.int8, wanted)


def test_both_axes() -> None:
    assert run([[1, 2], [3, 4]], [1, -1], [0, 1], [0, 1], "float32").tolist() == [[9, 9, 9], [9, 2, 9], [9, 4, 9]]


def test_nothing_along_one_axis_is_nothing_along_all() -> None:
    """As TensorFlow Lite gives it."""
    assert run([[1, 2], [3, 4]], [0, -2], [0, 0], [0, 0]).shape == (0, 0)


def test_an_empty_input_gives_padding_alone() -> None:
    assert run([], [1], [1], [3]).tolist() == [9, 9]


def test_refusals() -> None:
    with pytest.raises(QCoreError, match="1 low, 1 high and 1 interior paddings, expected 2 each"):
        run([[1]], [0], [0], [0])
    with pytest.raises(QCoreError, match=r"interior padding is \[-1\], expected nothing below 0"):
        run([1], [0], [0], [-1])
    with pytest.raises(QCoreError, match="expected one value"):
        run([1], [0], [0], [0], value=[1, 2])
    with pytest.raises(QCoreError, match="rank 0"):
        run(1, [], [], [])
    for low, interior in ((2**40, 0), (2**62, 2**62), (0, 2**40)):
        with pytest.raises(QCoreError, match="would have shape"):
            run([1, 2], [low], [0], [interior])
    with pytest.raises(QCoreError, match="the memory limit is"):
        run([1, 2], [2**30], [0], [0], "float32")

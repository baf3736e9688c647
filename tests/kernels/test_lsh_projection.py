"""LSH_PROJECTION: bits from fingerprints, rows of bits as numbers, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from qcore.kernels import lsh_projection
from qcore.kernels.farmhash import fingerprint64
from tests.conformance.harness import T, one_operator, run_qcore

SEEDS = np.array([[0.123, 0.456, -0.321], [1.234, 5.678, -4.321]], np.float32)
ITEMS = np.array([12345, 54321, 67890, 9876], np.int32)
WEIGHTS = np.array([0.1, 0.2, 0.3, 0.4], np.float32)


def run(kind: str, seeds: np.ndarray = SEEDS, items: np.ndarray = ITEMS, weights: np.ndarray | None = None) -> Any:
    arrays = [seeds, items, *([] if weights is None else [weights])]
    model = one_operator("LSH_PROJECTION", [T(str(array.dtype), array.shape) for array in arrays], [T("int32", (1,))], {"type": kind})
    return run_qcore(model, arrays)[0].tolist()


def bit(seed: np.float32, weights: np.ndarray) -> int:
    """Straight from the definition, with Python's numbers."""
    keys = np.stack([np.frombuffer(seed.tobytes() + item.tobytes(), np.uint8) for item in ITEMS])
    hashes = [int(h) - (2**64 if h >= 2**63 else 0) for h in fingerprint64(keys).tolist()]
    return int(sum(float(w) * float(h) for w, h in zip(weights, hashes, strict=True)) > 0)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_bits_and_numbers_made_of_them(weights: np.ndarray | None) -> None:
    wanted = [[bit(seed, np.ones(4) if weights is None else weights) for seed in row] for row in SEEDS]
    assert run("DENSE", weights=weights) == wanted[0] + wanted[1]
    assert run("SPARSE", weights=weights) == [4 * a + 2 * b + c + 8 * row for row, (a, b, c) in enumerate(wanted)]
    assert 0 < sum(map(sum, wanted)) < 6


def test_known_bits() -> None:
    """As TensorFlow Lite gives them, in items of one number and of four."""
    seeds, items = SEEDS.reshape(3, 2), np.array([*ITEMS, -12345678], np.int32)
    assert run("DENSE", seeds, items, np.ones(5, np.float32)) == [0, 0, 0, 1, 0, 0]
    assert run("SPARSE", seeds, items) == [0, 4 + 1, 8]
    items = np.array(
        [1234, 2345, 3456, 1234, 4567, 5678, 6789, 4567, 7891, 8912, 9123, 7890, -987, -876, -765, -987, -543, -432, -321, -543]
    )
    weights = np.array([0.12, 0.34, 0.56, 0.67, 0.78], np.float32)
    assert run("SPARSE", seeds, items.astype(np.int32).reshape(5, 2, 2), weights) == [2, 4 + 1, 8 + 1]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = np.linspace(0, 1, 60, dtype=np.float32).reshape(2, 30)
    whole = run("DENSE", seeds)
    monkeypatch.setattr(lsh_projection, "CHUNK", 100)
    assert run("DENSE", seeds) == whole


def test_no_bits() -> None:
    assert run("DENSE", SEEDS[:, :0]) == []
    assert run("SPARSE", SEEDS[:, :0]) == [0, 1]
    assert run("SPARSE", SEEDS[:0]) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": np.zeros((1, 33), np.float32)}, "expected up to 32 bits"),
        ({"seeds": np.zeros(3, np.float32)}, "rank 1"),
        ({"items": np.zeros(0, np.int32)}, "expected one item or more"),
        ({"weights": WEIGHTS[:3]}, r"weights have shape \[3\], expected one for each of 4 items"),
        ({"weights": ITEMS}, "is int32, expected float32"),
        ({"kind": "UNKNOWN"}, "type UNKNOWN, qcore has SPARSE and DENSE"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(QCoreError, match=message):
        run(**{"kind": "DENSE", **changes})

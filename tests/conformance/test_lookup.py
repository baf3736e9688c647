"""EMBEDDING_LOOKUP against TensorFlow Lite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator
from tests.kernels.blockwise import with_blocks


@pytest.mark.parametrize(
    ("table", "output"),
    [("float32", "float32"), ("int16", "int16"), ("int64", "int64"), ("int8", "int8")]
    + [(table, output) for table in ("int8", "uint8", "int4", "int2") for output in ("float32", "float16")],
)
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("shape", [(5, 4), (5, 2, 2)])
def test_tables(table: str, output: str, per_row: bool, shape: tuple[int, ...]) -> None:
    """Rows of four elements: of less, TensorFlow Lite reads int4 and int2 from the wrong half of a byte."""
    rng = np.random.default_rng(0)
    low, high = (-2, 2) if table == "int2" else (0, 8) if table == "uint8" else (-8, 8)
    scale = rng.uniform(0.01, 1, 5 if per_row else 1).astype(np.float32) if output != table else None
    value = rng.integers(low, high, shape)
    model = one_operator("EMBEDDING_LOOKUP", [T("int32", (3,)), T(table, shape, scale, value=value)], [T(output, (3, *shape[1:]))])
    assert_same(model, [np.array([4, 0, 4], np.int32)], rtol=0, atol=0)


def test_blockwise_tables() -> None:
    rng = np.random.default_rng(0)
    table = T("int4", (5, 64), value=rng.integers(-8, 8, (5, 64)))
    model = one_operator("EMBEDDING_LOOKUP", [T("int32", (3,)), table], [T("float32", (3, 64))])
    assert_same(with_blocks(model, 1, 32, rng.uniform(0.01, 1, (5, 2))), [np.array([4, 0, 4], np.int32)], rtol=0, atol=0)

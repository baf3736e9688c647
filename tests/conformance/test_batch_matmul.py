"""BATCH_MATMUL against TensorFlow Lite's reference kernels, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator, random_inputs

KINDS = {
    "float32": ("float32", "float32", "float32"),
    "int8": ("int8", "int8", "int8"),
    "int8 to int32": ("int8", "int8", "int32"),
    "int16": ("int16", "int16", "int16"),
    "dynamic range": ("float32", "int8", "float32"),
}
"""Types of x, y and output."""

BATCHES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((), ()),
    ((3,), (3,)),
    ((3,), ()),
    ((2, 3), (2, 1)),
    ((3, 1), (2,)),
    ((1, 2, 1), (3, 2, 2)),
]


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("seed", range(3))
def test_random_products(kind: str, batches: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> None:
    """Left out are two faults of TensorFlow Lite 2.21: dynamic range of several batch axes, and a swapped x with a y of batch 1."""
    rng = np.random.default_rng([seed, len(batches[0]), *kind.encode()])
    x_batch, y_batch = batches
    if kind == "dynamic range" and len(x_batch + y_batch) > 2:
        pytest.skip("TensorFlow Lite takes the scale of another row")
    rows, depth, columns = (pick(rng, 1, 2, 5, 17) for _ in range(3))
    adj_x, adj_y = bool(rng.integers(2)) and y_batch[-1:] != (1,), bool(rng.integers(2))
    x_type, y_type, output_type = KINDS[kind]
    zero_points = [int(pick(rng, -128, 127, 5)) if kind == "int8" else 0 for _ in range(3)]
    scale = [None if t in ("float32", "int32") else float(rng.uniform(0.01, 0.1)) for t in (x_type, y_type, output_type)]
    if scale[2]:
        scale[2] *= 10 ** rng.uniform(-3, 2)
    per_column = kind == "dynamic range" and bool(rng.integers(2))
    y_shape = (*y_batch, *((columns, depth) if adj_y else (depth, columns)))
    value = rng.integers(-128, 128, y_shape) if y_type == "int8" and rng.integers(2) else None
    x = T(x_type, (*x_batch, *((depth, rows) if adj_x else (rows, depth))), scale[0], zero_points[0])
    y = T(y_type, y_shape, rng.uniform(0.01, 0.1, columns) if per_column else scale[1], zero_points[1], len(y_shape) - 1 - adj_y, value)
    output = T(output_type, (*np.broadcast_shapes(x_batch, y_batch), rows, columns), scale[2], zero_points[2])
    options = {"adj_x": adj_x, "adj_y": adj_y, "asymmetric_quantize_inputs": bool(rng.integers(2))}
    model = one_operator("BATCH_MATMUL", [x, y], [output], options)
    assert_same(model, random_inputs(model, rng))

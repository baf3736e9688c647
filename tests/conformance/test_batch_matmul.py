"""BATCH_MATMUL against TensorFlow Lite, on random models."""

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


@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("adj_x", [False, True])
@pytest.mark.parametrize("constant", [False, True])
def test_xnnpack_rounds_products_in_float32(batches: tuple[tuple[int, ...], tuple[int, ...]], adj_x: bool, constant: bool) -> None:
    """Small sums and factors near powers of two; y is symmetric, since XNNPACK takes any zero point for 0."""
    for seed in range(4):
        rng = np.random.default_rng([seed, len(batches[0])])
        x_shape, y_shape = (*batches[0], *((3, 9) if adj_x else (9, 3))), (*batches[1], 3, 5)
        value = rng.integers(-3, 4, y_shape)
        factor = 2.0 ** -int(rng.integers(1, 6)) * pick(rng, 1, rng.uniform(1, 2))
        x, y = T("int8", x_shape, 1, -3), T("int8", y_shape, factor, value=value if constant else None)
        model = one_operator("BATCH_MATMUL", [x, y], [T("int8", (*np.broadcast_shapes(*batches), 9, 5), 1, 7)], {"adj_x": adj_x})
        inputs = [rng.integers(-12, 7, x_shape).astype(np.int8)] + ([] if constant else [value.astype(np.int8)])
        assert_same(model, inputs, arithmetic="xnnpack")


@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("per_column", [False, True])
def test_dynamic_range_of_xnnpack_to_the_bit(batches: tuple[tuple[int, ...], tuple[int, ...]], per_column: bool) -> None:
    """It has none of the faults of the other two."""
    rng = np.random.default_rng(5)
    y_shape = (*batches[1], 17, 6)
    scale, axis = (rng.uniform(0.01, 0.1, 6), len(y_shape) - 1) if per_column else (0.05, 0)
    y = T("int8", y_shape, scale, axis=axis, value=rng.integers(-127, 128, y_shape))
    model = one_operator("BATCH_MATMUL", [T("float32", (*batches[0], 4, 17)), y], [T("float32", (*np.broadcast_shapes(*batches), 4, 6))])
    assert_same(model, random_inputs(model, rng), rtol=0, atol=0, arithmetic="xnnpack")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dynamic range"])
def test_builtin_products_are_the_reference_ones(kind: str) -> None:
    rng = np.random.default_rng(6)
    x_type, y_type, output_type = KINDS[kind]
    scales = [None if t in ("float32", "int32") else 0.05 for t in (x_type, y_type, output_type)]
    x, y = T(x_type, (2, 5, 8), scales[0]), T(y_type, (2, 8, 3), scales[1])
    model = one_operator("BATCH_MATMUL", [x, y], [T(output_type, (2, 5, 3), scales[2])])
    assert_same(model, random_inputs(model, rng), arithmetic="builtin")

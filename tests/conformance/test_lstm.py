"""LSTM operators against TensorFlow Lite's reference kernels, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator
from tests.conformance.recurrent import assert_same, pick
from tests.kernels.recurrent_models import (
    CellShape,
    IntegerScales,
    cell_inputs,
    integer_lstm,
    real_lstm,
    real_weights,
    state,
)


def random_shape(rng: np.random.Generator, diagonal: bool = False) -> CellShape:
    units = int(pick(rng, 1, 2, 5, 16))
    projected = not diagonal and bool(rng.integers(2))
    return CellShape(
        int(pick(rng, 1, 3, 17)),
        units,
        int(pick(rng, 1, 4, units)) if projected else None,
        coupled=bool(rng.integers(2)),
        peephole=bool(rng.integers(2)),
        projection_bias=bool(rng.integers(2)),
        layer_norm=bool(rng.integers(2)),
        diagonal=diagonal,
    )


def random_options(rng: np.random.Generator, name: str) -> dict[str, Any]:
    options = {
        "cell_clip": float(pick(rng, 0, 0, 0.3)),
        "proj_clip": float(pick(rng, 0, 0, 0.3)),
        "asymmetric_quantize_inputs": bool(rng.integers(2)),
    }
    return options if name == "LSTM" else {**options, "time_major": bool(rng.integers(2))}


@pytest.mark.parametrize("name", ["LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("seed", range(8))
def test_real_cells(name: str, dtype: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *name.encode(), *dtype.encode()])
    shape = random_shape(rng, diagonal=name != "LSTM" and seed % 4 == 3)
    options = {**random_options(rng, name), "fused_activation_function": pick(rng, "TANH", "TANH", "RELU", "RELU6", "RELU_N1_TO_1")}
    model = real_lstm(
        name, shape, pick(rng, 1, 3), pick(rng, 1, 4), options, real_weights(rng, dtype), real_weights(rng), 24 if shape.layer_norm else 20
    )
    assert_same(model, rng)


@pytest.mark.parametrize("name", ["LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
@pytest.mark.parametrize("seed", range(30))
def test_integer_cells(name: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *name.encode()])
    shape = random_shape(rng)
    if shape.peephole and shape.output_size > shape.units:
        shape = CellShape(shape.depth, shape.units)
    # TensorFlow Lite has no tanh for other cell states, and the LSTM operator refuses the greater ones, but goes on with garbage.
    low, high = (-15 if shape.coupled else -18), (-8 if shape.coupled or name == "LSTM" else 0)
    scales = IntegerScales(
        (10 ** rng.uniform(-3, -1), pick(rng, -128, 0, 127)),
        (10 ** rng.uniform(-3, -2), pick(rng, -128, 0, 127)),
        (10 ** rng.uniform(-3, -2), pick(rng, -128, 0, 127)),
        2.0 ** rng.integers(low, high),
        10 ** rng.uniform(-3, -1.5),
        10 ** rng.uniform(-6, -3),
        10 ** rng.uniform(-6, -3),
        10 ** rng.uniform(-5, -2),
    )
    assert_same(integer_lstm(name, shape, pick(rng, 1, 3), pick(rng, 1, 4), random_options(rng, name), scales, rng), rng)


@pytest.mark.parametrize("auxiliary", ["none", "weights", "replaces"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("seed", range(4))
def test_bidirectional(auxiliary: str, dtype: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *auxiliary.encode(), *dtype.encode()])
    name, options = "BIDIRECTIONAL_SEQUENCE_LSTM", random_options(rng, "BIDIRECTIONAL_SEQUENCE_LSTM")
    merge, time_major = bool(rng.integers(2)), options["time_major"]
    # Batch major, TensorFlow Lite writes beyond the states of merged outputs.
    batch, steps = 1 if merge and not time_major else int(pick(rng, 1, 3)), int(pick(rng, 1, 4))
    matrix, bias = real_weights(rng, dtype), real_weights(rng)
    shape = random_shape(rng)
    shapes = [shape, CellShape(shape.depth, shape.units, shape.outputs, coupled=bool(rng.integers(2)), peephole=bool(rng.integers(2)))]

    def of(depth: int) -> tuple[int, ...]:
        return (steps, batch, depth) if time_major else (batch, steps, depth)

    def aux_weights(cell: CellShape) -> list[T | None]:
        with_weights = auxiliary == "weights"
        return [matrix((cell.units, cell.depth)) if with_weights and not (cell.coupled and i == 0) else None for i in range(4)]

    tensors = [
        T("float32", of(shape.depth)),
        *(t for s in shapes for t in cell_inputs(s, matrix, matrix, bias)),
        *(t for s in shapes for t in (state("float32", batch, s.output_size), state("float32", batch, s.units))),
        None if auxiliary == "none" else T("float32", of(shape.depth)),
        *(t for s in shapes for t in aux_weights(s)),
    ]
    sizes = [2 * shape.output_size] if merge else [shape.output_size] * 2
    options = {**options, "merge_outputs": merge, "fused_activation_function": "TANH"}
    assert_same(one_operator(name, tensors, [T("float32", of(size)) for size in sizes], options), rng)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("seed", range(8))
def test_basic_kernel(dtype: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *dtype.encode()])
    batch, depth, units = int(pick(rng, 1, 3)), int(pick(rng, 1, 4, 40)), int(pick(rng, 1, 2, 8))
    if dtype == "float32":
        weights, bias = (T("float32", s, value=rng.uniform(-1, 1, s)) for s in ((4 * units, depth + units), (4 * units,)))
        row, cell = (lambda size: T("float32", (batch, size))), (lambda size: T("float32", (batch, size)))
    else:
        scale = 10 ** rng.uniform(-5, -3)
        weights = T(
            "uint8", (4 * units, depth + units), scale * 128, pick(rng, 0, 120, 255), value=rng.integers(0, 256, (4 * units, depth + units))
        )
        bias = T("int32", (4 * units,), scale, value=rng.integers(-20000, 20000, 4 * units))
        row, cell = (lambda size: T("uint8", (batch, size), 1 / 128, 128)), (lambda size: T("int16", (batch, size), 2.0**-11))
    totals = T("float32", (batch, 4 * units)) if dtype == "float32" else T("int16", (batch, 4 * units), 2.0**-12)
    model = one_operator(
        "LSTM",
        [row(depth), row(units), weights, bias, cell(units)],
        [row(units), cell(units), row(depth + units), totals],
        {"kernel_type": "BASIC", "fused_activation_function": "TANH"},
    )
    assert_same(model, rng)

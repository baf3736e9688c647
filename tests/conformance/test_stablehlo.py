"""The STABLEHLO operators against TensorFlow Lite: random shapes, axes, paddings, windows and places, and several element types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.model import Model
from tests.conformance.harness import T, assert_same, one_operator, random_inputs, run_qcore, run_tflite
from tests.kernels.bodies import with_body

TYPES = ["float32", "int8", "int16", "int32", "int64", "uint8"]
NUMBERS = [*TYPES, "float16", "float64", "uint16", "uint32", "uint64", "bool"]


def numbers(rng: np.random.Generator, *values: int | tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(*values))


def assert_same_builtin(model: Model, inputs: list[np.ndarray]) -> None:
    """For operators that TensorFlow Lite's reference set does not have."""
    wanted = run_tflite(model, inputs, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")
    for got, want in zip(run_qcore(model, inputs), wanted, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("operator", ["ADD", "MULTIPLY", "MAXIMUM", "MINIMUM", "AND"])
def test_functions_of_two_numbers(operator: str, dtype: str) -> None:
    """All codes of small types, NaN and zeros of both signs among floats."""
    if operator == "AND" and dtype.startswith("float"):
        pytest.skip("there is no AND of floats")
    model = one_operator(f"STABLEHLO_{operator}", [T(dtype, (2, 300))] * 2, [T(dtype, (1,))])
    x, y = random_inputs(model, np.random.default_rng(0), -(2**15) if dtype in ("int32", "int64") else 0, 2**15)
    if dtype.startswith("float"):
        x[0, :4], y[0, 1:6] = [np.nan, np.nan, 0, -0.0], [np.nan, -0.0, 0, np.nan, 1]
    assert_same_builtin(model, [x, y])


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_shifts_within_the_width(dtype: str) -> None:
    rng = np.random.default_rng(0)
    limits = np.iinfo(dtype)
    model = one_operator("STABLEHLO_SHIFT_LEFT", [T(dtype, (300,))] * 2, [T(dtype, (1,))])
    assert_same_builtin(model, [rng.integers(limits.min, limits.max, 300, dtype), rng.integers(0, limits.bits, 300, dtype)])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("seed", range(8))
def test_padding(seed: int, dtype: str) -> None:
    """Less than nothing, too; outputs without elements, which the binding cannot read, are left alone."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = numbers(rng, 1, 5, rank)
    options = {"edge_padding_low": rng.integers(-4, 4, rank), "edge_padding_high": rng.integers(-4, 4, rank)}
    options["interior_padding"] = rng.integers(0, 3, rank)
    model = one_operator("STABLEHLO_PAD", [T(dtype, shape), T(dtype, ())], [T(dtype, (1,) * rank)], options)
    inputs = random_inputs(model, rng)
    if run_qcore(model, inputs)[0].size:
        assert_same(model, inputs)


def gather_case(rng: np.random.Generator, dtype: str) -> Model:
    rank = int(rng.integers(1, 4))
    shape = numbers(rng, 1, 6, rank)
    collapsed = np.flatnonzero(rng.random(rank) < 0.3)
    sizes = [1 if axis in collapsed else int(rng.integers(1, size + 1)) for axis, size in enumerate(shape)]
    starts = rng.permutation(rank)[: int(rng.integers(1, rank + 1))]
    batch = list(numbers(rng, 1, 4, int(rng.integers(0, 3))))
    vector_axis = int(rng.integers(0, len(batch) + 1))
    window = rank - len(collapsed)
    options = {
        "offset_dims": np.sort(rng.permutation(len(batch) + window)[:window]),
        "collapsed_slice_dims": collapsed,
        "start_index_map": starts,
        "index_vector_dim": vector_axis,
        "slice_sizes": np.array(sizes),
    }
    indices_type = str(rng.choice(["int32", "int64"]))
    indices = T(indices_type, [*batch[:vector_axis], len(starts), *batch[vector_axis:]])
    return one_operator("STABLEHLO_GATHER", [T(dtype, shape), indices], [T(dtype, (1,) * (len(batch) + window))], options)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("seed", range(10))
def test_gathering(seed: int, dtype: str) -> None:
    """Also from beyond the operand's end, whereupon windows are moved back; from before its start, release 2.21 reads outside of it."""
    rng = np.random.default_rng(seed)
    model = gather_case(rng, dtype)
    assert_same(model, random_inputs(model, rng, 0, 9))


@pytest.mark.parametrize("body", ["", "STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM"])
@pytest.mark.parametrize("seed", range(16))
def test_scattering(seed: int, body: str) -> None:
    """Windows that lie partly or wholly beyond the end, and many that meet; before the start, release 2.21 writes where it should not."""
    rng = np.random.default_rng(seed)
    dtype = str(rng.choice([*TYPES, "bool"]))
    rank = int(rng.integers(1, 4))
    shape = numbers(rng, 1, 6, rank)
    inserted = np.flatnonzero(rng.random(rank) < 0.3)
    window = [int(rng.integers(1, size + 1)) for axis, size in enumerate(shape) if axis not in inserted]
    starts = rng.permutation(rank)[: int(rng.integers(1, rank + 1))]
    batch = list(numbers(rng, 1, 4, int(rng.integers(0, 3))))
    vector_axis = int(rng.integers(0, len(batch) + 1))
    window_dims = np.sort(rng.permutation(len(batch) + len(window))[: len(window)])
    of_batch, of_window = iter(batch), iter(window)
    updates = [next(of_window if k in window_dims else of_batch) for k in range(len(batch) + len(window))]
    options = {
        "update_window_dims": window_dims,
        "inserted_window_dims": inserted,
        "scatter_dims_to_operand_dims": starts,
        "index_vector_dim": vector_axis,
    }
    indices = T(str(rng.choice(["int32", "int64"])), [*batch[:vector_axis], len(starts), *batch[vector_axis:]])
    model = one_operator("STABLEHLO_SCATTER", [T(dtype, shape), indices, T(dtype, updates)], [T(dtype, shape)], options)
    with_body(model, "update_computation_subgraph_index", *([body] if body else []), dtype=dtype)
    assert_same(model, random_inputs(model, rng, 0, 4))


REDUCTIONS = {"ADD": "ADD", "MUL": "MUL", "MAXIMUM": "MAXIMUM", "MINIMUM": "MINIMUM", "LOGICAL_AND": "ALL", "LOGICAL_OR": "ANY"}


@pytest.mark.parametrize("body", [*REDUCTIONS, "STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM"])
@pytest.mark.parametrize("seed", range(8))
def test_windows(seed: int, body: str) -> None:
    """Padding on either side, or less than nothing; what is added is reduced, so that init shows."""
    rng = np.random.default_rng(seed)
    dtype = TYPES[seed % len(TYPES)] if not body.startswith("LOGICAL") else str(rng.choice(["bool", "int32"]))
    rank = int(rng.integers(1, 5))
    shape, size, stride, dilation, base = (numbers(rng, *limits, rank) for limits in ((3, 7), (1, 3), (1, 4), (1, 3), (1, 3)))
    sizes: dict[str, Any] = {"window_dimensions": size, "window_strides": stride, "window_dilations": dilation}
    options = {name: np.array(values) for name, values in sizes.items()}
    options |= {"base_dilations": np.array(base), "padding": rng.integers(-1, 3, 2 * rank)}
    if seed % 4 == 0:
        options = {"window_dimensions": options["window_dimensions"]}
    output = T(dtype, (1,) * rank)
    model = one_operator("STABLEHLO_REDUCE_WINDOW", [T(dtype, shape), T(dtype, (), value=rng.integers(0, 3))], [output], options)
    with_body(model, "body_subgraph_index", body, dtype=dtype)
    assert_same(model, random_inputs(model, rng))
    if body in REDUCTIONS:
        inputs = [
            T(dtype, shape),
            T(dtype, (), value=rng.integers(0, 3)),
            *(T("int64", (rank,), value=values) for values in sizes.values()),
        ]
        model = one_operator("REDUCE_WINDOW", inputs, [output], {"reduce_function": REDUCTIONS[body]})
        assert_same(model, random_inputs(model, rng))

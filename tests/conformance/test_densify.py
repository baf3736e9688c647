"""DENSIFY and FULLY_CONNECTED with sparse filters against TensorFlow Lite's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator, random_inputs
from tests.kernels.sparse import make_sparse


def holes(rng: np.random.Generator, values: np.ndarray, width: int) -> np.ndarray:
    """Half of the blocks of so many columns set to zero."""
    rows, columns = values.shape
    return values * np.repeat(rng.random((rows, columns // width)) < 0.5, width, axis=1)


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_densify(dtype: str, width: int) -> None:
    rng = np.random.default_rng(0)
    matrix = T(dtype, (5, 8), value=holes(rng, rng.integers(1, 100, (5, 8)), width))
    assert_same(make_sparse(one_operator("DENSIFY", [matrix], [T(dtype, (5, 8))]), 0, width), [])


@pytest.mark.parametrize("width", [1, 4])
def test_sparse_filters_of_floats(width: int) -> None:
    rng = np.random.default_rng(0)
    filter, bias = T("float32", (6, 8), value=holes(rng, rng.normal(size=(6, 8)), width)), T("float32", (6,), value=rng.normal(size=6))
    model = one_operator("FULLY_CONNECTED", [T("float32", (3, 8)), filter, bias], [T("float32", (3, 6))])
    assert_same(make_sparse(model, 1, width), random_inputs(model, rng))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_sparse_filters_of_int8(seed: int, per_channel: bool) -> None:
    """Blocks of 16 columns are all that TensorFlow Lite has; several outputs of these differ from those of a dense filter."""
    rng = np.random.default_rng(seed)
    units, rows = 32, 100
    scale = np.float32(rng.uniform(0.01, 0.1))
    scales = rng.uniform(0.001, 0.01, units if per_channel else 1).astype(np.float32)
    inputs = [
        T("int8", (rows, 64), scale, int(rng.integers(-128, 128))),
        T("int8", (units, 64), scales, value=holes(rng, rng.integers(-127, 128, (units, 64)), 16)),
        T("int32", (units,), scale * scales, value=rng.integers(-1000, 1000, units)),
    ]
    model = one_operator("FULLY_CONNECTED", inputs, [T("int8", (rows, units), float(rng.uniform(0.3, 2)), int(rng.integers(-20, 20)))])
    assert_same(make_sparse(model, 1, 16), random_inputs(model, rng))


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("scale", [0.01, np.linspace(0.01, 0.1, 6)])
def test_sparse_filters_in_dynamic_range(scale: float, asymmetric: bool) -> None:
    rng = np.random.default_rng(0)
    filter = T("int8", (6, 32), scale, value=holes(rng, rng.integers(-127, 128, (6, 32)), 16))
    bias = T("float32", (6,), value=rng.normal(size=6))
    options = {"asymmetric_quantize_inputs": asymmetric}
    model = one_operator("FULLY_CONNECTED", [T("float32", (3, 32)), filter, bias], [T("float32", (3, 6))], options, version=9)
    assert_same(make_sparse(model, 1, 16), random_inputs(model, rng))

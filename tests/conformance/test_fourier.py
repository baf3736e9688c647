"""RFFT2D and parts of complex numbers against TensorFlow Lite; of transforms, all but those of width 1, whose result there is noise."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator, random_inputs


@pytest.mark.parametrize("size", [(1, 2), (1, 64), (2, 2), (2, 8), (8, 2), (16, 16), (64, 4)])
@pytest.mark.parametrize("shape", [(5, 6), (2, 3, 7, 9)])
def test_transforms(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    model = one_operator("RFFT2D", [T("float32", shape), T("int32", (2,), value=size)], [T("complex64", (1,) * len(shape))])
    assert_same(model, random_inputs(model, np.random.default_rng(0)))


@pytest.mark.parametrize(("dtype", "output"), [("complex64", "float32"), ("complex128", "float64")])
@pytest.mark.parametrize("operator", ["REAL", "IMAG", "COMPLEX_ABS"])
def test_parts(operator: str, dtype: str, output: str) -> None:
    rng = np.random.default_rng(0)
    model = one_operator(operator, [T(dtype, (4, 50))], [T(output, (4, 50))])
    assert_same(model, [(rng.normal(size=(4, 50)) + 1j * rng.normal(size=(4, 50))).astype(dtype)])

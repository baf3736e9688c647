"""REAL, IMAG and COMPLEX_ABS: parts and magnitudes of numbers that can be read off, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore


def run(operator: str, dtype: str, output: str, values: np.ndarray) -> np.ndarray:
    model = one_operator(operator, [T(dtype, values.shape)], [T(output, values.shape)])
    return run_qcore(model, [values.astype(dtype)])[0]


@pytest.mark.parametrize(("dtype", "output"), [("complex64", "float32"), ("complex128", "float64")])
@pytest.mark.parametrize(("operator", "wanted"), [("REAL", [3, -0.0, 5]), ("IMAG", [-4, 2, 12]), ("COMPLEX_ABS", [5, 2, 13])])
def test_parts_and_magnitudes(operator: str, wanted: list[float], dtype: str, output: str) -> None:
    for shape in ((3,), (1, 3, 1)):
        got = run(operator, dtype, output, np.array([3 - 4j, 2j, 5 + 12j]).reshape(shape))
        assert (got.dtype, got.shape, got.ravel().tolist()) == (output, shape, wanted)


def test_no_numbers_and_one() -> None:
    assert run("REAL", "complex64", "float32", np.zeros((2, 0))).shape == (2, 0)
    assert run("COMPLEX_ABS", "complex64", "float32", np.array(3 + 4j)).tolist() == 5


def test_magnitudes_neither_overflow_nor_vanish() -> None:
    got = run("COMPLEX_ABS", "complex64", "float32", np.array([3e38 + 1e38j, 3e-30 + 4e-30j, complex(np.inf, np.nan)]))
    np.testing.assert_allclose(got, [np.hypot(3e38, 1e38), 5e-30, np.inf], rtol=1e-6)


def test_refusals() -> None:
    with pytest.raises(QCoreError, match="is float32, qcore has complex64, complex128"):
        run("REAL", "float32", "float32", np.zeros(1))
    with pytest.raises(QCoreError, match="output is float64, expected float32 for complex64"):
        run("IMAG", "complex64", "float64", np.zeros(1))

"""RFFT2D: transforms of single points and waves, cut and padded matrices, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore


def run(x: np.ndarray, *length: int, constant: bool = True, output: str = "complex64") -> np.ndarray:
    length_tensor = T("int32", (len(length),), value=length if constant else None)
    model = one_operator("RFFT2D", [T("float32", x.shape), length_tensor], [T(output, (1,) * max(x.ndim, 2))])
    return run_qcore(model, [x.astype(np.float32), *([] if constant else [np.array(length, np.int32)])])[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (4, 8), (16, 2)])
@pytest.mark.parametrize("constant", [True, False])
def test_a_point_has_all_frequencies_and_a_constant_none(size: tuple[int, int], constant: bool) -> None:
    point = np.zeros(size)
    point[0, 0] = 3
    got = run(point, *size, constant=constant)
    assert (got.dtype, got.shape) == (np.complex64, (size[0], size[1] // 2 + 1))
    assert (got == 3).all()
    got = run(np.full((5, *size), 2), *size)
    assert (got[:, 0, 0] == 2 * size[0] * size[1]).all()
    assert np.count_nonzero(got) == 5


def test_a_wave_has_one_frequency() -> None:
    y, x = np.mgrid[:4, :8]
    got = run(np.cos(2 * np.pi * (y / 4 + 3 * x / 8)), 4, 8)
    wanted = np.zeros((4, 5))
    wanted[1, 3] = 16
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_matrices_are_cut_or_padded_at_their_ends() -> None:
    x = np.arange(1, 16).reshape(3, 5)
    padded = np.zeros((4, 8))
    padded[:3, :5] = x
    np.testing.assert_array_equal(run(x, 4, 8), run(padded, 4, 8))
    np.testing.assert_array_equal(run(x, 2, 4), run(x[:2, :4], 2, 4))
    np.testing.assert_array_equal(run(x, 1, 8), run(padded[:1], 1, 8))


def test_empty_matrices_count_as_zeros_and_no_matrices_give_none() -> None:
    assert run(np.zeros((2, 0, 3)), 4, 4).tolist() == np.zeros((2, 4, 3)).tolist()
    assert run(np.zeros((0, 2, 3)), 4, 4).shape == (0, 4, 3)


@pytest.mark.parametrize("length", [(0, 4), (4, -4), (3, 4), (4, 6)])
def test_only_powers_of_two(length: tuple[int, int]) -> None:
    with pytest.raises(QCoreError, match="expected powers of two"):
        run(np.zeros((4, 4)), *length)


def test_refusals() -> None:
    with pytest.raises(QCoreError, match="expected rank 2 or more"):
        run(np.zeros(4), 4, 4)
    with pytest.raises(QCoreError, match=r"have shape \[3\], expected \[2\]"):
        run(np.zeros((4, 4)), 1, 4, 4)
    with pytest.raises(QCoreError, match="output is float32, expected complex64"):
        run(np.zeros((4, 4)), 4, 4, output="float32")
    with pytest.raises(QCoreError, match="the memory limit is"):
        run(np.zeros((1, 1)), 2**26, 4)

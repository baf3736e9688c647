"""Resizing: positions, rounding by type, edges, and blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from qcore.kernels import resize
from tests.conformance.harness import T, one_operator, run_qcore

BILINEAR, NEAREST = "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"
OPTIONS = {"corners": {"align_corners": True}, "centres": {"half_pixel_centers": True}, "plain": {}}


def resized(name: str, x: Any, size: list[int], mode: str = "plain") -> Any:
    x = np.asarray(x)
    quantization: tuple[Any, int] = (None, 0) if x.dtype == np.float32 else (0.5, 0)
    ins = [T(x.dtype.name, x.shape, *quantization), T("int32", (len(size),), value=size)]
    return run_qcore(one_operator(name, ins, [T(x.dtype.name, (), *quantization)], OPTIONS[mode]), [x])[0]


def row(values: list[float], dtype: str) -> Any:
    return np.array(values, dtype).reshape(1, 1, -1, 1)


@pytest.mark.parametrize(
    ("mode", "want"),
    [("plain", [0, 2, 4, 6, 8, 8]), ("corners", [0, 1.6, 3.2, 4.8, 6.4, 8]), ("centres", [0, 1, 3, 5, 7, 8])],
)
def test_bilinear_float_in_each_mode(mode: str, want: list[float]) -> None:
    np.testing.assert_allclose(resized(BILINEAR, row([0, 4, 8], "float32"), [1, 6], mode).ravel(), want, rtol=1e-6)


@pytest.mark.parametrize(
    ("mode", "want"),
    [("plain", [0, 0, 4, 4, 8, 8]), ("corners", [0, 0, 4, 4, 8, 8]), ("centres", [0, 0, 4, 4, 8, 8])],
)
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_nearest_in_each_mode(mode: str, want: list[int], dtype: str) -> None:
    assert resized(NEAREST, row([0, 4, 8], dtype), [1, 6], mode).ravel().tolist() == want


def test_nearest_downwards_takes_other_pixels_in_each_mode() -> None:
    x = row([0, 1, 2, 3, 4], "int8")
    assert resized(NEAREST, x, [1, 2]).ravel().tolist() == [0, 2]
    assert resized(NEAREST, x, [1, 2], "corners").ravel().tolist() == [0, 4]
    assert resized(NEAREST, x, [1, 2], "centres").ravel().tolist() == [1, 3]


def test_integer_ties_go_away_from_zero_and_uint8_ties_up() -> None:
    assert resized(BILINEAR, row([1, 2], "uint8"), [1, 4]).ravel().tolist() == [1, 2, 2, 2]
    for dtype in ("int8", "int16"):
        assert resized(BILINEAR, row([1, 2], dtype), [1, 4]).ravel().tolist() == [1, 2, 2, 2]
        assert resized(BILINEAR, row([-1, -2], dtype), [1, 4]).ravel().tolist() == [-1, -2, -2, -2]


def test_signed_integers_interpolate_in_steps_of_1_1024() -> None:
    """A scale of 2/3 is rounded to 683/1024: two thirds of the way from 0 to 3000 comes to 2001, which floats make 2000."""
    assert resized(BILINEAR, row([0, 3000], "int16"), [1, 3]).ravel().tolist() == [0, 2001, 3000]
    np.testing.assert_allclose(resized(BILINEAR, row([0, 3000], "float32"), [1, 3]).ravel(), [0, 2000, 3000], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_rounded_scale_that_leads_past_the_edge_takes_the_last_pixel(dtype: str) -> None:
    """11/300 is 38/1024: output 299 would lie at 11.09, where there is no pixel."""
    ramp = np.arange(11, dtype=dtype).reshape(1, 1, 11, 1)
    got = resized(BILINEAR, ramp, [1, 300]).ravel()
    assert got[-1] == 10
    assert (np.diff(got.astype(int)) >= 0).all()


@pytest.mark.parametrize("mode", OPTIONS)
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_the_same_size_is_the_same_image(dtype: str, mode: str) -> None:
    x = np.random.default_rng(0).integers(0, 100, (2, 3, 4, 5)).astype(dtype)
    for name in (BILINEAR, NEAREST):
        np.testing.assert_array_equal(resized(name, x, [3, 4], mode), x)


@pytest.mark.parametrize("mode", OPTIONS)
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_extremes_do_not_overflow_and_constants_stay(dtype: str, mode: str) -> None:
    for value in (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype != "float32" else (-1e30, 1e30):
        x = np.full((1, 3, 5, 2), value, dtype)
        np.testing.assert_allclose(resized(BILINEAR, x, [7, 9], mode), np.full((1, 7, 9, 2), value, dtype), rtol=1e-6)


@pytest.mark.parametrize("name", [BILINEAR, NEAREST])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_blocks_of_rows_change_nothing(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).integers(0, 100, (2, 5, 6, 3)).astype(dtype)
    whole = resized(name, x, [13, 4], "centres")
    monkeypatch.setattr(resize, "BLOCK", 100)
    np.testing.assert_array_equal(resized(name, x, [13, 4], "centres"), whole)


def test_both_images_of_a_batch_are_resized_alike() -> None:
    x = np.random.default_rng(2).integers(-128, 128, (2, 5, 6, 3)).astype(np.int8)
    both = resized(BILINEAR, x, [3, 11])
    for i in range(2):
        np.testing.assert_array_equal(both[i : i + 1], resized(BILINEAR, x[i : i + 1], [3, 11]))


def test_empty_images() -> None:
    assert resized(BILINEAR, np.zeros((0, 2, 2, 3), np.int8), [4, 4]).shape == (0, 4, 4, 3)
    assert resized(NEAREST, np.zeros((1, 2, 2, 3), np.int8), [0, 4]).shape == (1, 0, 4, 3)


def test_the_size_may_come_at_run_time() -> None:
    model = one_operator(BILINEAR, [T("float32", (1, 1, 2, 1)), T("int32", (2,))], [T("float32", ())])
    got = run_qcore(model, [row([0, 2], "float32"), np.array([1, 4], np.int32)])[0]
    assert got.ravel().tolist() == [0, 1, 2, 2]


def test_refusals() -> None:
    x = np.zeros((1, 2, 2, 1), np.int8)
    for size in ([0, 2], [2, -1], [2]):
        with pytest.raises(ModelError, match="new height and width are .* expected two of at least 1"):
            resized(BILINEAR, x, size)
    with pytest.raises(ModelError, match="at least 0"):
        resized(NEAREST, x, [-1, 2])
    with pytest.raises(ModelError, match="no pixel"):
        resized(NEAREST, np.zeros((1, 0, 2, 1), np.int8), [2, 2])
    with pytest.raises(ModelError, match="rank 3"):
        resized(BILINEAR, x[0], [2, 2])
    with pytest.raises(UnsupportedError, match="int32"):
        resized(BILINEAR, x.astype(np.int32), [2, 2])
    with pytest.raises(ModelError, match="align_corners and half_pixel_centers"):
        ins = [T("int8", x.shape, 0.5), T("int32", (2,), value=[2, 2])]
        run_qcore(one_operator(BILINEAR, ins, [T("int8", (), 0.5)], {"align_corners": True, "half_pixel_centers": True}), [x])


def test_a_size_over_the_memory_limit_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(ModelError, match="memory limit"):
        resized(NEAREST, np.zeros((1, 1, 1, 1), np.int8), [2**31 - 1, 2**31 - 1])

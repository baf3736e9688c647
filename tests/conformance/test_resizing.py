"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR against TensorFlow Lite, on random sizes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, assert_same, one_operator, random_inputs

MODES = {"plain": {}, "corners": {"align_corners": True}, "centres": {"half_pixel_centers": True}}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
@pytest.mark.parametrize("name", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_random_sizes(name: str, dtype: str, mode: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(size) for size in rng.integers(1, 40, 2))
    size = [2 * height, 3 * width] if seed == 0 else [int(new) for new in rng.integers(1, 90, 2)]
    quantization = () if dtype == "float32" else (0.5, 0)
    known = seed % 2 == 0
    ins = [T(dtype, (2, height, width, 3), *quantization), T("int32", (2,), value=size if known else None)]
    model = one_operator(name, ins, [T(dtype, (), *quantization)], MODES[mode])
    assert_same(model, [random_inputs(model, rng)[0], *([] if known else [np.array(size, np.int32)])])


def test_nearest_takes_both_options_at_once() -> None:
    options = {"align_corners": True, "half_pixel_centers": True}
    ins = [T("float32", (1, 3, 4, 2)), T("int32", (2,), value=[7, 9])]
    model = one_operator("RESIZE_NEAREST_NEIGHBOR", ins, [T("float32", ())], options)
    assert_same(model, random_inputs(model, np.random.default_rng(0)))

"""RESIZE_BILINEAR of 8-bit codes and RESIZE_NEAREST_NEIGHBOR as native code: the reference's values on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast

OPTIONS = {"corners": (True, False), "centers": (False, True), "neither": (False, False)}


def model(operator, input, size, *, dtype="int8", options="neither"):
    align_corners, half_pixel_centers = OPTIONS[options]
    quantized = {"scale": 0.1, "zero_point": 3} if dtype != "float32" else {}
    tensors = [T(dtype, input, **quantized), T("int32", [2], value=size)]
    output = T(dtype, [input[0], *size, input[3]], **quantized)
    return one_operator(operator, tensors, [output], {"align_corners": align_corners, "half_pixel_centers": half_pixel_centers}, version=3)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_bilinear(tier, dtype, options, arithmetic):
    """Larger and smaller, more channels than a vector has and fewer, several images, one pixel."""
    rng = np.random.default_rng(1)
    for input, size in (([2, 5, 4, 80], [9, 11]), ([1, 9, 8, 3], [4, 5]), ([1, 1, 1, 64], [3, 2])):
        m = model("RESIZE_BILINEAR", input, size, dtype=dtype, options=options)
        assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_nearest(tier, dtype, options):
    for input, size in (([2, 5, 4, 7], [9, 11]), ([1, 9, 8, 3], [4, 5])):
        m = model("RESIZE_NEAREST_NEIGHBOR", input, size, dtype=dtype, options=options)
        assert_fast(m, random_inputs(m, np.random.default_rng(2)))


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_no_bit(threads):
    for operator in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        m = model(operator, [2, 5, 4, 80], [9, 11])
        assert_fast(m, random_inputs(m, np.random.default_rng(3)), threads=threads)

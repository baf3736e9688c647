"""RESHAPE, CONCATENATION and PAD as native code: every byte where the reference has it."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.runtime.plan import Settings
from qcore.runtime.stages import lowered
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast, run


@pytest.mark.parametrize("dtype", ["int8", "float32", "int64"])
def test_reshape(tier, dtype):
    m = one_operator("RESHAPE", [T(dtype, [2, 3, 5]), T("int32", [2], value=[6, 5])], [T(dtype, [6, 5])])
    assert_fast(m, random_inputs(m, np.random.default_rng(1)))


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concatenation(tier, axis, dtype):
    shapes = [[2, 3, 4] for _ in range(3)]
    for i, shape in enumerate(shapes):
        shape[axis] = (1, 5, 2)[i]
    output = [2, 3, 4]
    output[axis] = 8
    quantized = {"scale": 0.1, "zero_point": 3} if dtype == "int8" else {}
    m = one_operator(
        "CONCATENATION", [T(dtype, s, **quantized) for s in shapes], [T(dtype, output, **quantized)], {"axis": axis}, version=2
    )
    assert_fast(m, random_inputs(m, np.random.default_rng(2)))


@pytest.mark.parametrize("channels", [15, 16, 63, 64, 65, 200, 1500])
def test_concatenation_of_runs_about_a_vector(tier, channels):
    m = one_operator(
        "CONCATENATION", [T("int8", [9, channels], 0.1, 3)] * 2, [T("int8", [9, 2 * channels], 0.1, 3)], {"axis": 1}, version=2
    )
    assert_fast(m, random_inputs(m, np.random.default_rng(7)))


def test_concatenation_of_other_scales(tier):
    tensors = [T("uint8", [2, 3, 40], scale, 3) for scale in (0.1, 0.05, 0.3)]
    m = one_operator("CONCATENATION", tensors, [T("uint8", [2, 9, 40], 0.1, 3)], {"axis": 1}, version=2)
    assert_fast(m, random_inputs(m, np.random.default_rng(6)))


PADDINGS = {
    "images": ([2, 5, 3, 4], [[0, 0], [1, 2], [3, 0], [0, 0]]),
    "channels": ([1, 2, 3, 4], [[0, 0], [0, 0], [0, 0], [0, 3]]),
    "batch": ([2, 3], [[1, 0], [0, 0]]),
    "nothing": ([2, 3], [[0, 0], [0, 0]]),
}


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("case", PADDINGS, ids=str)
def test_pad(tier, case, dtype):
    shape, paddings = PADDINGS[case]
    output = [size + sum(p) for size, p in zip(shape, paddings, strict=True)]
    quantized = {"scale": 0.1, "zero_point": -7} if dtype == "int8" else {}
    tensors = [T(dtype, shape, **quantized), T("int32", [len(shape), 2], value=paddings)]
    m = one_operator("PAD", tensors, [T(dtype, output, **quantized)])
    assert_fast(m, random_inputs(m, np.random.default_rng(3)))
    if dtype == "int8":
        m = one_operator("PADV2", [*tensors, T(dtype, [], **quantized, value=9)], [T(dtype, output, **quantized)])
        assert_fast(m, random_inputs(m, np.random.default_rng(4)))


def test_padding_along_axes_that_lie_apart_is_left_to_numpy():
    tensors = [T("float32", [2, 3, 4]), T("int32", [3, 2], value=[[1, 0], [0, 0], [0, 1]])]
    m = one_operator("PAD", tensors, [T("float32", [3, 3, 5])])
    session, _ = run(m, random_inputs(m, np.random.default_rng(5)), Settings(engine="fast"))
    executor = session.executor()
    assert lowered(executor.allocated(), executor.values)[0].reason == "padding along axes [0, 2]"

"""int4 weights reach the kernels as int8: operators with them are native like others."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast
from tests.kernels.fast.test_convolution import CONV, DENSE
from tests.kernels.fast.test_hybrid import ARITHMETICS


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize(
    ("operator", "input", "filter", "output", "options"),
    [
        ("CONV_2D", [1, 5, 5, 8], [16, 3, 3, 8], [1, 5, 5, 16], CONV),
        ("FULLY_CONNECTED", [3, 64], [10, 64], [3, 10], DENSE),
    ],
    ids=["conv", "dense"],
)
def test_int4(operator, input, filter, output, options, dtype, arithmetic):
    rng = np.random.default_rng(1)
    scales = rng.uniform(0.01, 0.1, filter[0])
    weights = T("int4", filter, scales, 0, 0, rng.integers(-8, 8, filter))
    scale = () if dtype == "float32" else (0.05, 0)
    m = one_operator(operator, [T(dtype, input, *scale), weights], [T(dtype, output, *scale)], options, version=7)
    assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_int4_depthwise(arithmetic):
    rng = np.random.default_rng(2)
    weights = T("int4", [1, 3, 3, 8], rng.uniform(0.01, 0.1, 8), 0, 3, rng.integers(-8, 8, (1, 3, 3, 8)))
    options = CONV | {"depth_multiplier": 1}
    m = one_operator(
        "DEPTHWISE_CONV_2D", [T("int8", [1, 5, 5, 8], 0.05, 0), weights], [T("int8", [1, 5, 5, 8], 0.3, 0)], options, version=7
    )
    assert_fast(m, random_inputs(m, rng), arithmetic)

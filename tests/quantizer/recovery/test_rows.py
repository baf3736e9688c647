"""Operators as matrix products: rows times weights, and the bias, are what their kernels compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.quantizer.recovery.rows import FORMS
from qcore.runtime.interpreter import Interpreter
from tests.quantizer.builder import Builder

CASES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "conv same": ("CONV_2D", (1, 5, 6, 3), (4, 3, 2, 3), {"padding": "SAME", "stride_h": 2, "stride_w": 1}),
    "conv groups": ("CONV_2D", (1, 4, 4, 4), (6, 3, 3, 2), {"padding": "VALID", "stride_h": 1, "stride_w": 1}),
    "conv dilated": (
        "CONV_2D",
        (1, 7, 7, 2),
        (3, 3, 3, 2),
        {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 2, "dilation_w_factor": 3},
    ),
    "conv wider than its input": ("CONV_2D", (1, 2, 2, 2), (3, 7, 7, 2), {"padding": "SAME", "stride_h": 1, "stride_w": 1}),
    "depthwise": (
        "DEPTHWISE_CONV_2D",
        (1, 5, 4, 3),
        (1, 3, 3, 3),
        {"padding": "SAME", "stride_h": 1, "stride_w": 2, "depth_multiplier": 1},
    ),
    "depthwise multiplier": (
        "DEPTHWISE_CONV_2D",
        (1, 5, 4, 3),
        (1, 2, 3, 6),
        {"padding": "VALID", "stride_h": 1, "stride_w": 1, "depth_multiplier": 2},
    ),
    "dense": ("FULLY_CONNECTED", (3, 8), (5, 8), {}),
    "transposed same": ("TRANSPOSE_CONV", (2, 3, 4, 3), (5, 3, 2, 3), {"padding": "SAME", "stride_h": 2, "stride_w": 1}),
    "transposed valid": ("TRANSPOSE_CONV", (1, 3, 4, 2), (3, 2, 4, 2), {"padding": "VALID", "stride_h": 3, "stride_w": 2}),
}

TRANSPOSED = {"SAME": (6, 4), "VALID": (9, 11)}
"""Heights and widths that the transposed cases give; the rows and columns that no input reaches are the bias alone."""


@pytest.mark.parametrize("case", CASES)
def test_rows_times_weights_is_what_the_operator_computes(case: str) -> None:
    name, shape, filter_shape, options = CASES[case]
    rng = np.random.default_rng(0)
    b = Builder()
    x, filter = rng.normal(size=shape).astype(np.float32), rng.normal(size=filter_shape).astype(np.float32)
    channels = filter_shape[-1 if name == "DEPTHWISE_CONV_2D" else 0]
    input, weights = b.input("x", shape), b.constant("w", filter)
    output = b.tensor("y", (1,) * len(shape))
    bias = b.constant("b", np.zeros(channels))
    if name == "TRANSPOSE_CONV":
        sizes = TRANSPOSED[options["padding"]]
        b.op(name, [b.constant("shape", [shape[0], *sizes, channels], "int32"), weights, input, bias], output, **options)
    else:
        b.op(name, [input, weights, bias], output, **options)
    interpreter = Interpreter(model_content=b.model(output))
    (expected,) = interpreter.run(x).values()
    step = interpreter._session.executor().allocated().operators[0].step
    assert step is not None
    form = FORMS[name](step.params)
    assert form.places == expected[..., 0].size
    places = np.arange(form.places)[::-1]
    products = np.einsum("gnd,god->ngo", form.rows(x.astype(np.float64), places), form.matrix(filter).astype(np.float64))
    np.testing.assert_allclose(products.reshape(form.places, -1)[::-1], expected.reshape(form.places, -1), rtol=1e-4, atol=1e-5)
    copy = np.zeros_like(filter)
    form.put(copy, form.matrix(filter))
    np.testing.assert_array_equal(form.matrix(copy), form.matrix(filter))

"""Bounds of sums that wrap, as averages, means and products of two inputs reach them; the kernels and TensorFlow Lite agree."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.analysis.ranging.ranges import ranges
from tests.conformance.harness import T, one_operator, run_qcore, run_tflite


@pytest.mark.parametrize(
    ("height", "width", "code", "verdict", "average"),
    [
        (255, 257, 32767, "proven", 32767),
        (255, 257, -32768, "proven", -32768),
        (256, 256, -32768, "overflows", 32767),
        (198, 331, 32767, "overflows", -32766),
    ],
)
def test_half_the_count_that_an_average_adds_may_be_too_much(height: int, width: int, code: int, verdict: str, average: int) -> None:
    """The sums themselves fit int32 in all four; what is said is what TensorFlow Lite gives."""
    options = {"filter_height": height, "filter_width": width, "stride_h": 1, "stride_w": 1, "padding": "VALID"}
    model = one_operator("AVERAGE_POOL_2D", [T("int16", (1, height, width, 1), 0.1)], [T("int16", (1, 1, 1, 1), 0.1)], options)
    image = np.full((1, height, width, 1), code, np.int16)
    (row,) = ranges(model, [image]).operators
    assert row.verdict == verdict
    assert row.channels[0].observed == 2 * (height * width * code + height * width // 2 * (1 if code > 0 else -1),)
    assert run_qcore(model, [image])[0].item() == run_tflite(model, [image])[0].item() == average


def test_sums_that_wrap_are_observed_as_they_are() -> None:
    model = one_operator("MEAN", [T("int16", (300, 300), 0.1), T("int32", (2,), value=[0, 1])], [T("int16", (), 0.1)])
    (row,) = ranges(model, [np.full((300, 300), 32767, np.int16)]).operators
    assert (row.verdict, row.channels[0].observed) == ("overflows", (90000 * 32767, 90000 * 32767))


def test_products_of_two_factors_at_run_time_are_observed_and_overflow() -> None:
    """Products of codes fit int32, but not with the zero point taken off; the kernel keeps what int32 keeps."""
    x, y = T("int8", (1, 1, 100_000), 0.05, 127), T("int8", (1, 100_000, 2), 0.01, -10)
    model = one_operator("BATCH_MATMUL", [x, y], [T("int8", (1, 1, 2), 100.0)])
    samples = [[np.full((1, 1, 100_000), -128, np.int8), np.full((1, 100_000, 2), 5, np.int8)]]
    (row,) = ranges(model, samples).operators
    assert row.channels[0].observed == (-255 * 15 * 100_000, -255 * 15 * 100_000)
    assert row.channels[0].constant_on_samples
    assert row.overflow is not None
    assert row.overflow.accumulator == -255 * 137 * 100_000
    outputs = run_tflite(model, [row.overflow.inputs[0], row.overflow.inputs[1]])
    assert (outputs[0] == row.overflow.code).all()

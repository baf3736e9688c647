"""CONV_3D and CONV_3D_TRANSPOSE: expectations that can be worked out by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from tests.conformance.harness import T, one_operator, run_qcore

OPTIONS: dict[str, Any] = {"padding": "VALID", "stride_d": 1, "stride_h": 1, "stride_w": 1}
AXES = [("d", 1), ("h", 2), ("w", 3)]
Y = T("float32", (1,) * 5)


def line(axis: int, size: int) -> tuple[int, ...]:
    """Five dimensions, of which one is not 1."""
    return tuple(size if k == axis else 1 for k in range(5))


def run(operator: str, inputs: list[T | None], *values: Any, **options: Any) -> np.ndarray:
    """One operator; values of the inputs that are no constants, in order."""
    model = one_operator(operator, inputs, [Y], OPTIONS | options)
    tensors = [model.subgraphs[0].tensors[i] for i in model.subgraphs[0].inputs]
    return run_qcore(model, [np.asarray(v, t.dtype).reshape(t.shape) for v, t in zip(values, tensors, strict=True)])[0]


@pytest.mark.parametrize(("letter", "axis"), AXES)
@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "wanted"),
    [
        ("VALID", 1, 1, [123, 234, 345]),
        ("SAME", 1, 1, [12, 123, 234, 345, 450]),
        ("SAME", 2, 1, [12, 234, 450]),
        ("VALID", 2, 1, [123, 345]),
        ("SAME", 1, 2, [13, 24, 135, 240, 350]),
        ("VALID", 1, 2, [135]),
        ("SAME", 1, 2**31 - 1, [10, 20, 30, 40, 50]),
    ],
)
def test_windows_of_1_2_3_4_5(letter: str, axis: int, padding: str, stride: int, dilation: int, wanted: list[float]) -> None:
    """A filter of 100, 10, 1 along each axis in turn writes what it reads as digits."""
    filter = T("float32", line(axis - 1, 3), value=[100, 10, 1])
    options = {"padding": padding, f"stride_{letter}": stride, f"dilation_{letter}_factor": dilation}
    got = run("CONV_3D", [T("float32", line(axis, 5)), filter], [1, 2, 3, 4, 5], **options)
    assert got.shape == line(axis, len(wanted))
    assert got.ravel().tolist() == wanted


@pytest.mark.parametrize(("letter", "axis"), AXES)
@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "wanted"),
    [
        ("VALID", 1, 1, [100, 210, 21, 2]),
        ("SAME", 1, 1, [210, 21]),
        ("VALID", 2, 1, [100, 10, 201, 20, 2]),
        ("VALID", 2, 1, [100, 10, 201, 20, 2, 0]),
        ("SAME", 2, 1, [10, 201, 20]),
        ("VALID", 1, 2, [100, 200, 10, 20, 1, 2]),
    ],
)
def test_transposed_windows(letter: str, axis: int, padding: str, stride: int, dilation: int, wanted: list[float]) -> None:
    """1 and 2 write 100 10 1 and 200 20 2, and sums where they meet; the output's shape is known at run time, or before."""
    shape, filter = line(axis, len(wanted)), T("float32", line(axis - 1, 3), value=[100, 10, 1])
    options = {"padding": padding, f"stride_{letter}": stride, f"dilation_{letter}_factor": dilation}
    x = T("float32", line(axis, 2))
    got = run("CONV_3D_TRANSPOSE", [T("int32", (5,), value=shape), filter, x], [1, 2], **options)
    assert got.shape == shape
    assert got.ravel().tolist() == wanted
    assert run("CONV_3D_TRANSPOSE", [T("int32", (5,)), filter, x], shape, [1, 2], **options).ravel().tolist() == wanted


def test_channels_bias_and_activation() -> None:
    """Two channels to three; the transposed filter has its last axes the other way round."""
    w, bias = np.array([[1, 2, 3], [10, 20, 30]]), T("float32", (3,), value=[0, -100, 1])
    x, options = T("float32", line(4, 2)), {"fused_activation_function": "RELU6"}
    assert run("CONV_3D", [x, T("float32", (1, 1, 1, 2, 3), value=w), bias], [0.5, 0.25], **options).ravel().tolist() == [3, 0, 6]
    shape, filter = T("int32", (5,), value=line(4, 3)), T("float32", (1, 1, 1, 3, 2), value=w.T)
    assert run("CONV_3D_TRANSPOSE", [shape, filter, x, bias], [0.5, 0.25], **options).ravel().tolist() == [3, 0, 6]


@pytest.mark.parametrize("shape", [(0, 2, 2, 2, 1), (2, 0, 2, 2, 1), (2, 2, 2, 0, 1)])
def test_empty_inputs_give_empty_outputs(shape: tuple[int, ...]) -> None:
    filter = T("float32", (2, 1, 1, 1, 1), value=[1, 1])
    assert run("CONV_3D", [T("float32", shape), filter], np.zeros(shape), padding="SAME").shape == shape
    inputs = [T("int32", (5,), value=shape), filter, T("float32", shape)]
    assert run("CONV_3D_TRANSPOSE", inputs, np.zeros(shape), padding="SAME").shape == shape


X, W = T("float32", (1, 4, 4, 4, 2)), T("float32", (3, 3, 3, 2, 3), value=np.ones(162))
V = T("float32", (3, 3, 3, 3, 2), value=np.ones(162))
S = T("int32", (5,), value=[1, 6, 6, 6, 3])


@pytest.mark.parametrize(
    ("operator", "inputs", "options", "message"),
    [
        ("CONV_3D", [T("int8", (1, 4, 4, 4, 2), 1), W], {}, "is int8, qcore has float32"),
        ("CONV_3D", [T("float32", (1, 4, 4, 2)), W], {}, "rank 4"),
        ("CONV_3D", [X, T("int8", (3, 3, 3, 2, 3))], {}, "filter is int8"),
        ("CONV_3D", [X, V], {}, "input has 2 channels, filter 3"),
        ("CONV_3D", [X, W, T("float32", (2,), value=[0, 0])], {}, "expected 3 values"),
        ("CONV_3D", [X, W], {"stride_d": 0}, "stride along depth is 0"),
        ("CONV_3D", [X, W], {"dilation_h_factor": -1}, "dilation along height is -1"),
        ("CONV_3D", [X, W], {"dilation_w_factor": 3}, "width 4 is less than the filter's extent 7"),
        ("CONV_3D", [X, T("float32", (0, 3, 3, 2, 3))], {}, "filter depth is 0"),
        ("CONV_3D_TRANSPOSE", [S, W, X], {}, "input has 2 channels, filter 3"),
        ("CONV_3D_TRANSPOSE", [T("int32", (5,), value=[2, 6, 6, 6, 3]), V, X], {}, "expected 1, depth, height, width, 3"),
        ("CONV_3D_TRANSPOSE", [T("int32", (5,), value=[1, 6, 6, 6, 6]), V, X], {}, "expected 1, depth, height, width, 3"),
        ("CONV_3D_TRANSPOSE", [T("int32", (5,), value=[1, 6, 6, -6, 3]), V, X], {}, "expected 1, depth, height, width, 3"),
        ("CONV_3D_TRANSPOSE", [T("int32", (4,), value=[1, 6, 6, 3]), V, X], {}, "expected 1, depth, height, width, 3"),
        ("CONV_3D_TRANSPOSE", [T("int32", (5,), value=[1, 6, 5, 6, 3]), V, X], {}, r"an input of \[1, 4, 3, 4, 2\]"),
        ("CONV_3D_TRANSPOSE", [T("int64", (5,), value=[1, 6, 6, 6, 3]), V, X], {}, "is int64, qcore has int32"),
    ],
)
def test_refusals(operator: str, inputs: list[T | None], options: dict[str, Any], message: str) -> None:
    values = [np.zeros(t.shape) for t in inputs if t is not None and t.value is None]
    with pytest.raises(QCoreError, match=message):
        run(operator, inputs, *values, **options)

"""Convolution2DTransposeBias: the shape it infers, one case by hand, and refusals."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from qcore.errors import ModelError
from qcore.kernels.mediapipe import CONVOLUTION_2D_TRANSPOSE_BIAS, infer_shape
from qcore.kernels.opdef import Node, Operand


def node(options: bytes, filter: tuple[int, ...] = (1, 2, 2, 1)) -> Node:
    inputs = Operand("x", "float32", (1, 2, 2, 1)), Operand("filter", "float32", filter), Operand("bias", "float32", (1,))
    outputs = (Operand("y", "float32", (1,)),)
    return Node("Convolution2DTransposeBias", "Convolution2DTransposeBias (op 0)", inputs, outputs, custom_options=options)


@pytest.mark.parametrize(("padding", "shape"), [("SAME", (1, 10, 21, 4)), ("VALID", (1, 11, 22, 4))])
def test_shapes(padding: str, shape: tuple[int, ...]) -> None:
    assert infer_shape((1, 5, 7, 3), (4, 3, 4, 3), padding, 2, 3) == shape


def test_each_input_spreads_the_filter_and_the_bias_is_added() -> None:
    step = CONVOLUTION_2D_TRANSPOSE_BIAS.ready(node(struct.pack("<iii", 1, 2, 2)))
    x = np.array([[1, 2], [3, 4]], np.float32).reshape(1, 2, 2, 1)
    filter = np.array([[1, 10], [100, 1000]], np.float32).reshape(1, 2, 2, 1)
    y = step.kernel(step.params, x, filter, np.array([0.5], np.float32))
    assert step.shapes == ((1, 4, 4, 1),)
    assert (y[0, :, :, 0] - 0.5).tolist() == [[1, 10, 2, 20], [100, 1000, 200, 2000], [3, 30, 4, 40], [300, 3000, 400, 4000]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (b"\1\0\0\0", "has 4 bytes of options, expected 12"),
        (struct.pack("<iii", 0, 2, 2), "padding is 0, expected 1"),
        (struct.pack("<iii", 1, 0, 2), "strides are 2 and 0"),
    ],
)
def test_refusals(options: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        CONVOLUTION_2D_TRANSPOSE_BIAS.ready(node(options))

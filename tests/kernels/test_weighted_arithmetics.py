"""Where the three arithmetics part in operators with filters, by examples that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.kernels.opdef import Arithmetic
from tests.conformance.harness import T, one_operator, run_qcore

SUMS = [-12, -4, 3, 4]
"""-1.5, -0.5, 0.375 and 0.5 output steps."""

AWAY, UP, EVEN, EXACT = [-2, -1, 1, 1], [-1, 0, 1, 1], [-2, 0, 0, 0], [-2, -1, 0, 1]
"""Of these, by equations (15), (16), (19) and (20): the first two round 1.5 halves up to 2 before they round again."""

UNIT: dict[str, Any] = {"padding": "SAME", "stride_h": 1, "stride_w": 1}


def convolved(
    operator: str,
    kind: tuple[str, str, str],
    arithmetic: Arithmetic,
    channels: int = 1,
    groups: int = 1,
    constant: bool = True,
    sums: list[int] = SUMS,
) -> list[list[int]]:
    """The sums, of which there are four, requantized, for each channel; kind: types of input, filter and bias."""
    input_type, filter_type, bias_type = kind
    zero, filter_zero = (100, 50) if input_type == "uint8" else (0, 0)
    shape = (1, 1, 1, channels) if operator == "DEPTHWISE_CONV_2D" else (channels, 1, 1, 1)
    depth = channels if operator == "DEPTHWISE_CONV_2D" else groups
    ones = np.full(shape, 1 + filter_zero)
    x, w = T(input_type, (1, 1, 4, depth), 0.125, zero), T(filter_type, shape, 1, filter_zero, value=ones if constant else None)
    bias, y = T(bias_type, (channels,), 0.125, value=[0] * channels), T(input_type, (1, 1, 4, channels), 1, zero)
    options = UNIT | ({"depth_multiplier": 1} if operator == "DEPTHWISE_CONV_2D" else {})
    if input_type == "int16" and operator != "DEPTHWISE_CONV_2D":
        options["quantized_bias_type"] = bias_type
    inputs: list[T | None] = [x, w, bias]
    values = [np.repeat(np.array(sums) + zero, depth).reshape(x.shape).astype(input_type), ones.astype(filter_type)]
    if operator == "TRANSPOSE_CONV":
        inputs = [T("int32", (4,), value=y.shape), w, x, bias]
        values.reverse()
    model = one_operator(operator, inputs, [y], options)
    count = len(model.subgraphs[0].inputs)
    output = run_qcore(model, values[:count] if operator != "TRANSPOSE_CONV" else values[-count:], arithmetic=arithmetic)[0]
    return (output[0, 0].T.astype(int) - zero).tolist()


INT8, INT4, UINT8 = ("int8", "int8", "int32"), ("int8", "int4", "int32"), ("uint8", "uint8", "int32")
INT16, INT16_INT32 = ("int16", "int8", "int64"), ("int16", "int8", "int32")


@pytest.mark.parametrize(
    ("operator", "kind", "arithmetic", "wanted"),
    [
        ("CONV_2D", INT8, "reference", AWAY),
        ("CONV_2D", INT8, "builtin", UP),
        ("CONV_2D", INT8, "xnnpack", EVEN),
        ("CONV_2D", UINT8, "builtin", UP),
        ("CONV_2D", UINT8, "xnnpack", EVEN),
        ("CONV_2D", INT4, "xnnpack", UP),
        ("CONV_2D", INT16_INT32, "reference", AWAY),
        ("CONV_2D", INT16_INT32, "xnnpack", UP),
        ("CONV_2D", INT16, "reference", [-1, 0, 0, 1]),
        ("CONV_2D", INT16, "xnnpack", [-1, 0, 0, 1]),
        ("DEPTHWISE_CONV_2D", INT8, "builtin", AWAY),
        ("DEPTHWISE_CONV_2D", INT8, "xnnpack", EVEN),
        ("DEPTHWISE_CONV_2D", UINT8, "builtin", AWAY),
        ("DEPTHWISE_CONV_2D", UINT8, "xnnpack", EVEN),
        ("TRANSPOSE_CONV", INT8, "builtin", AWAY),
        ("TRANSPOSE_CONV", INT8, "xnnpack", EVEN),
        ("TRANSPOSE_CONV", INT16_INT32, "xnnpack", AWAY),
        ("TRANSPOSE_CONV", UINT8, "builtin", AWAY),
        ("TRANSPOSE_CONV", UINT8, "xnnpack", EVEN),
    ],
)
def test_one_channel(operator: str, kind: tuple[str, str, str], arithmetic: Arithmetic, wanted: list[int]) -> None:
    assert convolved(operator, kind, arithmetic) == [wanted]


@pytest.mark.parametrize("operator", ["DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
def test_the_builtin_kernels_for_int8_take_eight_channels_at_a_time(operator: str) -> None:
    assert convolved(operator, INT8, "builtin", channels=17) == [UP] * 16 + [AWAY]


def test_the_builtin_uint8_transpose_conv_takes_sixteen_outputs_at_a_time() -> None:
    """Of four times five outputs four are left over: at the last place, all channels but the first."""
    got = convolved("TRANSPOSE_CONV", UINT8, "builtin", channels=5, sums=[-4] * 4)
    assert got == [[0, 0, 0, 0]] + [[0, 0, 0, -1]] * 4


@pytest.mark.parametrize(("arithmetic", "wanted"), [("reference", AWAY), ("builtin", AWAY), ("xnnpack", EVEN)])
def test_the_builtin_kernels_leave_groups_to_the_reference_ones(arithmetic: Arithmetic, wanted: list[int]) -> None:
    assert convolved("CONV_2D", INT8, arithmetic, channels=2, groups=2) == [wanted] * 2


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
def test_xnnpack_leaves_filters_that_are_computed(operator: str) -> None:
    assert convolved(operator, INT8, "xnnpack", constant=False) == convolved(operator, INT8, "builtin") != [EVEN]


@pytest.mark.parametrize(
    ("kind", "bias", "arithmetic", "wanted"),
    [
        (("int8", "int8"), None, "reference", EXACT),
        (("int8", "int8"), "int32", "builtin", UP),
        (("int8", "int8"), None, "xnnpack", EVEN),
        (("int8", "int4"), None, "builtin", UP),
        (("int16", "int8"), "int64", "builtin", EXACT),
        (("int16", "int8"), "int32", "builtin", UP),
        (("int16", "int8"), None, "xnnpack", UP),
        (("int16", "int8"), None, "reference", EXACT),
    ],
)
def test_dense_layers(kind: tuple[str, str], bias: str | None, arithmetic: Arithmetic, wanted: list[int]) -> None:
    x, w, y = T(kind[0], (4, 2), 0.125), T(kind[1], (1, 2), 1, value=[1, 0]), T(kind[0], (4, 1), 1)
    operand = None if bias is None else T(bias, (1,), 0.125, value=[0])
    model = one_operator("FULLY_CONNECTED", [x, w, operand], [y])
    assert run_qcore(model, [np.array([[s, 9] for s in SUMS], kind[0])], arithmetic=arithmetic)[0].ravel().tolist() == wanted


@pytest.mark.parametrize(
    ("zero_point", "arithmetic", "wanted"), [(0, "reference", AWAY), (0, "builtin", AWAY), (0, "xnnpack", EVEN), (5, "xnnpack", AWAY)]
)
def test_matrix_products(zero_point: int, arithmetic: Arithmetic, wanted: list[int]) -> None:
    """XNNPACK would take a zero point of y for 0: it is computed as the other arithmetics do."""
    x, y, z = T("int8", (4, 1), 0.125), T("int8", (1, 1), 1, zero_point, value=[1 + zero_point]), T("int8", (4, 1), 1)
    model = one_operator("BATCH_MATMUL", [x, y], [z])
    assert run_qcore(model, [np.array(SUMS, np.int8).reshape(4, 1)], arithmetic=arithmetic)[0].ravel().tolist() == wanted


@pytest.mark.parametrize(("units", "scale", "depth", "wanted"), [(2, 1, 2, UP), (2, [1, 1], 2, EVEN), (2, [1, 1], 1, UP), (1, 1, 2, EVEN)])
def test_xnnpack_takes_int4_with_a_scale_for_each_unit_in_whole_bytes(units: int, scale: Any, depth: int, wanted: list[int]) -> None:
    w = T("int4", (units, depth), scale, value=[[1] + [0] * (depth - 1)] * units)
    model = one_operator("FULLY_CONNECTED", [T("int8", (4, depth), 0.125), w, None], [T("int8", (4, units), 1)])
    got = run_qcore(model, [np.array([[s] * depth for s in SUMS], np.int8)], arithmetic="xnnpack")[0]
    assert got.T.tolist() == [wanted] * units


@pytest.mark.parametrize(("arithmetic", "wanted"), [("reference", 2), ("builtin", 2), ("xnnpack", 254 / 255)])
def test_xnnpack_quantizes_dynamic_range_asymmetrically(arithmetic: Arithmetic, wanted: float) -> None:
    """Of 254 and 1, the latter: half of a symmetric step of 2, and rounded up; or one of the 255 asymmetric steps."""
    x, w, bias = T("float32", (1, 1, 1, 2)), T("int8", (1, 1, 1, 2), 1, value=[0, 1]), T("float32", (1,), value=[0])
    model = one_operator("CONV_2D", [x, w, bias], [T("float32", (1, 1, 1, 1))], UNIT)
    got = run_qcore(model, [np.array([254, 1], np.float32).reshape(1, 1, 1, 2)], arithmetic=arithmetic)[0]
    np.testing.assert_allclose(got.item(), wanted, rtol=1e-6)


@pytest.mark.parametrize(("arithmetic", "wanted"), [("builtin", [1000, 0]), ("xnnpack", [1000, 1])])
def test_xnnpack_quantizes_each_pixel_where_windows_are_pixels(arithmetic: Arithmetic, wanted: list[float]) -> None:
    """With one range for both pixels 1 would be a quarter of a step, and lost."""
    x, w, bias = T("float32", (1, 1, 2, 2)), T("int8", (1, 1, 1, 2), 1, value=[1, 0]), T("float32", (1,), value=[0])
    model = one_operator("CONV_2D", [x, w, bias], [T("float32", (1, 1, 2, 1))], UNIT)
    pixels = np.array([[1000, 0], [1, 0]], np.float32).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(run_qcore(model, [pixels], arithmetic=arithmetic)[0].ravel(), wanted, rtol=1e-6)


@pytest.mark.parametrize(("units", "arithmetic", "wanted"), [(4, "reference", 254 / 255), (4, "builtin", 2), (3, "builtin", 254 / 255)])
def test_the_builtin_kernel_of_tiles_quantizes_symmetrically(units: int, arithmetic: Arithmetic, wanted: float) -> None:
    """Four units or more of 32 or more int4, whatever asymmetric_quantize_inputs says."""
    w = T("int4", (units, 32), 1, value=[[0, 1] + [0] * 30] * units)
    model = one_operator(
        "FULLY_CONNECTED", [T("float32", (1, 32)), w, None], [T("float32", (1, units))], {"asymmetric_quantize_inputs": True}
    )
    x = np.array([[254, 1] + [0] * 30], np.float32)
    np.testing.assert_allclose(run_qcore(model, [x], arithmetic=arithmetic)[0], [[wanted] * units], rtol=1e-6)

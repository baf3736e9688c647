"""CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV: expectations that can be worked out by hand, sums against the oracle, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError
from qcore.kernels import conv, depthwise, transpose_conv
from tests.conformance.harness import T, one_operator, run_qcore
from tests.oracles.convolution import convolution, output_size, transposed
from tests.oracles.convolution import depthwise as depthwise_convolution
from tests.oracles.fixed_point import double_rounding, quantize_multiplier, reduced_multiplier, wrap32

OPTIONS: dict[str, Any] = {"padding": "VALID", "stride_h": 1, "stride_w": 1}


def run(operator: str, inputs: list[T | None], output: T, *values: Any, **options: Any) -> np.ndarray:
    """One operator; values of the inputs that are no constants, in order."""
    model = one_operator(operator, inputs, [output], OPTIONS | options)
    graph = model.subgraphs[0]
    tensors = [graph.tensors[i] for i in graph.inputs]
    return run_qcore(model, [np.asarray(v, t.dtype).reshape(t.shape) for v, t in zip(values, tensors, strict=True)])[0]


def line(dtype: str, *values: float, scale: Any = None, zero_point: Any = 0) -> T:
    """A constant [1, 1, n, 1]."""
    return T(dtype, (1, 1, len(values), 1), scale, zero_point, value=values)


X5, Y, ZERO = T("float32", (1, 1, 5, 1)), T("float32", (1, 1, 1, 1)), T("float32", (1,), value=[0])


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [123, 234, 345]),
        ({"padding": "SAME"}, [12, 123, 234, 345, 450]),
        ({"stride_w": 2}, [123, 345]),
        ({"padding": "SAME", "stride_w": 2}, [12, 234, 450]),
        ({"padding": "SAME", "stride_w": 3}, [123, 450]),
        ({"dilation_w_factor": 2}, [135]),
        ({"padding": "SAME", "dilation_w_factor": 2}, [13, 24, 135, 240, 350]),
        ({"padding": "SAME", "dilation_w_factor": 5}, [10, 20, 30, 40, 50]),
    ],
)
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_windows_of_1_2_3_4_5(operator: str, options: dict[str, Any], wanted: list[float]) -> None:
    """A filter of 100, 10, 1 writes what it reads as digits."""
    assert run(operator, [X5, line("float32", 100, 10, 1), ZERO], Y, [1, 2, 3, 4, 5], **options).ravel().tolist() == wanted


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_a_filter_that_only_ever_meets_padding_leaves_the_bias(operator: str) -> None:
    """Two taps, 100 apart, the input between them; also at the greatest dilation that there is."""
    bias = T("float32", (1,), value=[7])
    for dilation in (100, 2**31 - 1):
        got = run(operator, [X5, line("float32", 1, 1), bias], Y, [1, 2, 3, 4, 5], padding="SAME", dilation_w_factor=dilation)
        assert got.ravel().tolist() == [7] * 5


def test_padding_stands_for_real_zero() -> None:
    """Codes are 3 above their values; so padding is code 3."""
    x, w, y = T("int8", (1, 1, 3, 1), 1, 3), line("int8", 1, 1, 1, scale=1), T("int8", (1, 1, 3, 1), 1, -1)
    assert run("CONV_2D", [x, w, T("int32", (1,), value=[0])], y, [4, 5, 6], padding="SAME").ravel().tolist() == [2, 5, 4]


def test_groups_take_channels_in_order() -> None:
    x, w = T("float32", (1, 1, 1, 4)), T("float32", (4, 1, 1, 2), value=[[1, 10], [2, 20], [3, 30], [4, 40]])
    assert run("CONV_2D", [x, w, T("float32", (4,), value=[0] * 4)], Y, [1, 2, 3, 4]).ravel().tolist() == [21, 42, 129, 172]


def test_depth_multiplier_keeps_a_channels_outputs_together() -> None:
    x, w = T("float32", (1, 1, 1, 2)), T("float32", (1, 1, 1, 6), value=[1, 2, 3, 4, 5, 6])
    assert run("DEPTHWISE_CONV_2D", [x, w], Y, [1, 10], depth_multiplier=3).ravel().tolist() == [1, 2, 3, 40, 50, 60]


@pytest.mark.parametrize(
    ("padding", "stride", "size", "wanted"),
    [
        ("VALID", 1, 4, [100, 210, 21, 2]),
        ("SAME", 1, 2, [210, 21]),
        ("VALID", 2, 5, [100, 10, 201, 20, 2]),
        ("VALID", 2, 6, [100, 10, 201, 20, 2, 0]),
        ("SAME", 2, 4, [100, 10, 201, 20]),
        ("SAME", 2, 3, [10, 201, 20]),
    ],
)
def test_transposed_windows(padding: str, stride: int, size: int, wanted: list[float]) -> None:
    """1 and 2 write 100 10 1 and 200 20 2, side by side or two apart, and sums where they meet."""
    shape, x = T("int32", (4,), value=[1, 1, size, 1]), T("float32", (1, 1, 2, 1))
    got = run("TRANSPOSE_CONV", [shape, line("float32", 100, 10, 1), x], Y, [1, 2], padding=padding, stride_w=stride)
    assert got.ravel().tolist() == wanted


def test_transposed_onto_a_shape_that_is_known_at_run_time() -> None:
    got = run("TRANSPOSE_CONV", [T("int32", (4,)), line("float32", 1, 1), T("float32", (1, 1, 2, 1))], Y, [1, 1, 3, 1], [1, 2])
    assert got.ravel().tolist() == [1, 3, 2]


@pytest.mark.parametrize(
    ("activation", "wanted"), [("NONE", [-20, 5, 9]), ("RELU", [0, 5, 9]), ("RELU6", [0, 5, 6]), ("RELU_N1_TO_1", [-1, 1, 1])]
)
def test_activations(activation: str, wanted: list[float]) -> None:
    w, options = T("float32", (3, 1, 1, 1), value=[-20, 5, 9]), {"fused_activation_function": activation}
    x, zeros, shape = T("float32", (1, 1, 1, 1)), T("float32", (3,), value=[0] * 3), T("int32", (4,), value=[1, 1, 1, 3])
    assert run("CONV_2D", [x, w, zeros], Y, 1, **options).ravel().tolist() == wanted
    assert run("TRANSPOSE_CONV", [shape, w, x], Y, 1, **options).ravel().tolist() == wanted
    w = T("float32", (1, 1, 1, 3), value=[-20, 5, 9])
    assert run("DEPTHWISE_CONV_2D", [x, w], Y, 1, depth_multiplier=3, **options).ravel().tolist() == wanted


def test_a_missing_bias_is_zero() -> None:
    assert run("CONV_2D", [X5, line("float32", 1), None], Y, [1, 2, 3, 4, 5]).ravel().tolist() == [1, 2, 3, 4, 5]


def random_codes(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    limits = np.iinfo(dtype) if dtype != "int4" else np.iinfo("int8")
    return rng.integers(*(-8, 8) if dtype == "int4" else (limits.min, limits.max + 1), shape)


KINDS = [
    ("int8", "int8", "int32"),
    ("int8", "int4", "int32"),
    ("uint8", "uint8", "int32"),
    ("int16", "int8", "int64"),
    ("int16", "int8", "int32"),
]
LAYERS = [
    (operator, *kind)
    for operator in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
    for kind in KINDS
    if (operator, kind[1]) != ("TRANSPOSE_CONV", "int4")
]


@pytest.mark.parametrize("layer", LAYERS, ids="-".join)
@pytest.mark.parametrize("seed", range(6))
def test_random_layers_to_the_unit(layer: tuple[str, str, str, str], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums from the oracle, requantized by the oracle; tiles of all sizes; filters constant or not."""
    operator, input_type, filter_type, bias_type = layer
    rng = np.random.default_rng([seed, *"".join(layer).encode()])
    for module in (conv, depthwise, transpose_conv):
        monkeypatch.setattr(module, "TILE", int(rng.choice([1, 30, 200, 10**6])))
    height, width, rows, columns = (int(n) for n in rng.integers((3, 3, 1, 1), (7, 7, 4, 4)))
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    dilation = (1, 1) if operator == "TRANSPOSE_CONV" else tuple(int(n) for n in rng.integers(1, 3, 2))
    padding = (
        "SAME" if max((rows - 1) * dilation[0] >= height, (columns - 1) * dilation[1] >= width) else str(rng.choice(["SAME", "VALID"]))
    )
    groups, depth, outputs = int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    x = random_codes(rng, input_type, (2, height, width, depth * (groups if operator == "CONV_2D" else 1)))
    zero_x, zero_w, zero_y = (int(random_codes(rng, input_type, ())) for _ in range(3)) if input_type != "int16" else (0, 0, 0)
    zero_w = zero_w if filter_type == "uint8" else 0
    options: dict[str, Any] = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
    if operator == "TRANSPOSE_CONV":
        w = random_codes(rng, filter_type, (outputs, rows, columns, depth))
        sizes = [(n - 1) * s + (k if padding == "VALID" else 1) for n, s, k in zip((height, width), stride, (rows, columns), strict=True)]
        sums = transposed(x - zero_x, w - zero_w, (sizes[0], sizes[1]), stride, padding)
    else:
        options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
        shape = (outputs * groups, rows, columns, depth) if operator == "CONV_2D" else (1, rows, columns, depth * outputs)
        w = random_codes(rng, filter_type, shape)
        sums = (convolution if operator == "CONV_2D" else depthwise_convolution)(x - zero_x, w - zero_w, stride, dilation, padding)
    channels = sums.shape[3]
    wide = input_type == "int16" and (operator == "DEPTHWISE_CONV_2D" or bias_type == "int64")
    bias_type = "int64" if wide else "int32"
    bias = rng.integers(-(2**13), 2**13, channels)
    per_channel = filter_type != "uint8" and bool(rng.integers(2))
    scales = rng.uniform(0.01, 0.1, channels if per_channel else 1).astype(np.float32)
    x_scale, y_scale = np.float32(0.05), np.float32(10 ** rng.uniform(-1, 1.5) * (50 if input_type == "int16" else 1))
    product = scales.astype(np.float64) * np.float64(x_scale) if input_type != "uint8" else (scales * x_scale).astype(np.float64)
    low, high = np.iinfo(input_type).min, np.iinfo(input_type).max
    wanted = np.empty(sums.shape, input_type)
    for place in np.ndindex(sums.shape):
        c = place[3]
        total = sums[place] + int(bias[c])
        factor = quantize_multiplier(float(product[c % len(product)] / np.float64(y_scale)))
        step = reduced_multiplier(total, *factor) if wide else double_rounding(wrap32(total), *factor)
        wanted[place] = min(max(step + zero_y, low), high)
    constant = filter_type == "int4" or bool(rng.integers(2))
    filter = T(filter_type, w.shape, scales, zero_w, axis=3 if operator == "DEPTHWISE_CONV_2D" else 0, value=w if constant else None)
    inputs: list[T | None] = [T(input_type, x.shape, x_scale, zero_x), filter]
    values = [x] if constant else [x, w]
    if operator == "TRANSPOSE_CONV":
        inputs = [T("int32", (4,), value=wanted.shape), *inputs[::-1]]
        values.reverse()
    if operator != "DEPTHWISE_CONV_2D" and input_type == "int16":
        options["quantized_bias_type"] = bias_type
    inputs.append(T(bias_type, (channels,), product[0], value=bias))
    got = run(operator, inputs, T(input_type, wanted.shape, y_scale, zero_y), *values, **options)
    np.testing.assert_array_equal(got, wanted)


def test_the_oracle_knows_sizes() -> None:
    assert output_size(5, 3, 2, 1, "SAME") == (3, 1)
    assert output_size(5, 3, 1, 2, "VALID") == (1, 0)


@pytest.mark.parametrize(("bias_type", "wanted"), [("int64", 32767), ("int32", -32768)])
def test_int16_sums_wrap_where_the_bias_is_declared_int32(bias_type: str, wanted: int) -> None:
    depth = 520
    assert 2**31 < 32767 * 127 * depth < 2**32
    x, w = T("int16", (1, 1, 1, depth), 1), T("int8", (1, 1, 1, depth), 1, value=[127] * depth)
    bias, y = T(bias_type, (1,), 1, value=[0]), T("int16", (1, 1, 1, 1), 4)
    assert run("CONV_2D", [x, w, bias], y, [32767] * depth, quantized_bias_type=bias_type).tolist() == [[[[wanted]]]]


def test_int8_sums_wrap_to_int32() -> None:
    bias, y = T("int32", (1,), 1, value=[2**31 - 1]), T("int8", (1, 1, 1, 1), 2**25)
    assert run("CONV_2D", [T("int8", (1, 1, 1, 1), 1), line("int8", 1, scale=1), bias], y, 1).tolist() == [[[[-64]]]]


def test_uint8_takes_the_product_of_scales_in_float32() -> None:
    """In float32 it is 1 + 2**-11, the factor one half, and -1 halved goes up to 0; in float64 it is a little more, and goes to -1."""
    scale, y = 1 + 2**-12, T("uint8", (1, 1, 1, 1), 2 + 2**-10, 10)
    bias = T("int32", (1,), scale * scale, value=[-1])
    assert run("CONV_2D", [T("uint8", (1, 1, 1, 1), scale), line("uint8", 0, scale=scale), bias], y, 0).item() == 10
    x, w, y = T("int8", (1, 1, 1, 1), scale), line("int8", 0, scale=scale), T("int8", (1, 1, 1, 1), 2 + 2**-10, 10)
    assert run("CONV_2D", [x, w, bias], y, 0).item() == 9


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_an_int16_filter_is_read_as_its_leading_bytes(operator: str) -> None:
    """So TensorFlow Lite does: 0x0201 and 0x0403 are codes 1 and 2."""
    x, w = T("int16", (1, 1, 2, 1), 1), T("int16", (1, 1, 2, 1), 1)
    bias = T("int64", (1,), 1, value=[0])
    assert run(operator, [x, w, bias], T("int16", (1, 1, 1, 1), 1), [10, 100], [0x0201, 0x0403]).item() == 210


@pytest.mark.parametrize(("scales", "wanted"), [(0.5, [1, 1]), ([0.5, 0.5], [1, 1]), ([0.5, 1], [0.5 * 254 / 255, 254 / 255])])
def test_dynamic_range_is_asymmetric_where_channels_differ_in_scale(scales: Any, wanted: list[float]) -> None:
    """Of 254 and 1, the latter: half of a symmetric step of 2, and rounded up; one of the 255 asymmetric steps."""
    x, w = T("float32", (1, 1, 1, 2)), T("int8", (2, 1, 1, 2), scales, value=[[0, 1], [0, 1]])
    got = run("CONV_2D", [x, w, T("float32", (2,), value=[0, 0])], Y, [254, 1]).ravel()
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_images_are_quantized_each_by_its_own_range() -> None:
    x, w = T("float32", (2, 1, 1, 1)), line("int8", 1, scale=1)
    for operator in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        got = run(operator, [x, w, ZERO], T("float32", (2, 1, 1, 1)), [1000, 1]).ravel()
        np.testing.assert_allclose(got, [1000, 1], rtol=1e-6)
    shape = T("int32", (4,), value=[2, 1, 1, 1])
    np.testing.assert_allclose(run("TRANSPOSE_CONV", [shape, w, x], Y, [1000, 1]).ravel(), [1000, 1], rtol=1e-6)


@pytest.mark.parametrize("filter", [line("float32", 1, 1), line("int8", 1, 1, scale=1)])
@pytest.mark.parametrize("shape", [(0, 2, 2, 1), (2, 0, 2, 1), (2, 2, 0, 1), (2**31 - 1, 0, 2, 1), (1, 2**31 - 1, 0, 1)])
def test_empty_inputs_give_empty_outputs(shape: tuple[int, ...], filter: T) -> None:
    for operator in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        assert run(operator, [T("float32", shape), filter, ZERO], Y, np.zeros(shape), padding="SAME").shape == shape


X, W, B, Q = (
    T("int8", (1, 4, 4, 2), 1),
    T("int8", (3, 3, 3, 2), 1, value=np.ones((3, 3, 3, 2))),
    T("int32", (3,), value=[0] * 3),
    T("int8", (1,) * 4, 1),
)
U, V = T("uint8", (1, 4, 4, 2), 1), T("uint8", (3, 3, 3, 2), 1, value=np.ones((3, 3, 3, 2)))
D = T("int8", (1, 3, 3, 2), 1, value=np.ones((1, 3, 3, 2)))


@pytest.mark.parametrize(
    ("operator", "inputs", "output", "options", "message"),
    [
        ("CONV_2D", [T("int8", (4, 4, 2), 1), W, B], Q, {}, r"has rank 3 \[4, 4, 2\], expected 4"),
        ("CONV_2D", [T("int8", (1, 4, 4, 3), 1), W, B], Q, {}, "input has 3 channels, expected a multiple of the filter's 2"),
        ("CONV_2D", [T("int8", (1, 4, 4, 4), 1), W, B], Q, {}, "filter has 3 outputs, expected a multiple of the 2 groups"),
        ("CONV_2D", [X, W, T("int32", (2,), value=[0, 0])], Q, {}, r"bias has shape \[2\], expected 3 values"),
        ("CONV_2D", [X, W, T("int64", (3,), value=[0] * 3)], Q, {}, "bias is int64, expected int32 for int8 inputs"),
        ("CONV_2D", [X, W, T("int32", (3,), 1, 4, value=[0] * 3)], Q, {}, "bias has a zero point other than 0"),
        ("CONV_2D", [X, V, B], Q, {}, "filter is uint8, expected int8 or int4 for int8 inputs"),
        ("CONV_2D", [X, W, B], T("uint8", (1,) * 4, 1), {}, "expected one type"),
        ("CONV_2D", [X, W, B], T("int8", (1,) * 4), {}, "has 0 scales, expected one"),
        ("CONV_2D", [X, T("int8", (3, 3, 3, 2)), B], Q, {}, "has 0 scales, expected one, or one for each of 3 output channels"),
        ("CONV_2D", [X, T("int8", (3, 3, 3, 2), 1, 5), B], Q, {}, "filter is int8 with a zero point other than 0"),
        ("CONV_2D", [X, W, B], T("int8", (1,) * 4, 0.0), {}, "output has scale 0.0, expected one above 0"),
        ("CONV_2D", [X, W, B], Q, {"stride_h": 0}, "stride along height is 0, expected at least 1"),
        ("CONV_2D", [X, W, B], Q, {"dilation_w_factor": -1}, "dilation along width is -1, expected at least 1"),
        ("CONV_2D", [X, W, B], Q, {"dilation_h_factor": 4}, "height 4 is less than the filter's extent 9"),
        ("CONV_2D", [X, W, B], Q, {"fused_activation_function": "GELU"}, "fused activation GELU"),
        ("CONV_2D", [U, V, T("int32", (3,), 5, value=[0] * 3)], T("uint8", (1,) * 4, 1), {}, "bias has scale 5.0, input times filter 1.0"),
        ("CONV_2D", [U, T("uint8", (3, 3, 3, 2), [1, 2, 3]), None], T("uint8", (1,) * 4, 1), {}, "filter is uint8 with 3 scales"),
        (
            "CONV_2D",
            [T("int16", (1, 4, 4, 2), 1, 0), W, B],
            T("int16", (1,) * 4, 1),
            {"quantized_bias_type": "int64"},
            "bias is int32, quantized_bias_type is int64",
        ),
        ("CONV_2D", [T("float32", (1, 4, 4, 4)), T("int8", (2, 3, 3, 2), 1), None], Y, {}, "a filter of one scale with groups"),
        (
            "DEPTHWISE_CONV_2D",
            [T("int16", (1, 4, 4, 2), 1), D, T("int32", (2,), value=[0, 0])],
            T("int16", (1,) * 4, 1),
            {},
            "bias is int32, expected int64 for int16 inputs",
        ),
        ("DEPTHWISE_CONV_2D", [X, W, B], Q, {}, r"filter has shape \[3, 3, 3, 2\], expected 1 in the first place"),
        ("DEPTHWISE_CONV_2D", [T("int8", (1, 4, 4, 3), 1), D], Q, {}, "filter has 2 channels, expected a multiple of the input's 3"),
        (
            "DEPTHWISE_CONV_2D",
            [T("float32", (1, 4, 4, 2)), T("int4", (1, 3, 3, 2), 1, value=np.ones((1, 3, 3, 2)))],
            Y,
            {},
            "filter is int4",
        ),
        ("TRANSPOSE_CONV", [T("int32", (3,), value=[1, 6, 6]), W, X], Q, {}, r"output shape is \[1, 6, 6\], expected 1, height, width, 3"),
        ("TRANSPOSE_CONV", [T("int32", (4,), value=[1, 6, -6, 3]), W, X], Q, {}, r"is \[1, 6, -6, 3\], expected 1, height, width, 3"),
        ("TRANSPOSE_CONV", [T("int32", (4,), value=[1, 5, 6, 3]), W, X], Q, {}, "comes from inputs of 3x4, the input is 4x4"),
        ("TRANSPOSE_CONV", [T("int64", (4,), value=[1, 6, 6, 3]), W, X], Q, {}, "is int64, qcore has int32"),
        ("TRANSPOSE_CONV", [T("int32", (4,), value=[1, 6, 6, 3]), W, T("int8", (1, 4, 4, 3), 1)], Q, {}, "input has 3 channels, filter 2"),
    ],
)
def test_refusals(operator: str, inputs: list[T | None], output: T, options: dict[str, Any], message: str) -> None:
    values = [np.zeros(t.shape) for t in inputs if t is not None and t.value is None]
    with pytest.raises(QCoreError, match=message):
        run(operator, inputs, output, *values, **options)


def test_an_output_over_the_memory_limit_is_refused_before_it_is_computed() -> None:
    shape = T("int32", (4,), value=[1, 2**29, 4, 1])
    with pytest.raises(QCoreError, match="the memory limit is"):
        run("TRANSPOSE_CONV", [shape, line("float32", 1), T("float32", (1, 4, 4, 1))], Y, np.zeros((1, 4, 4, 1)), stride_h=2**27)

"""CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV against TensorFlow Lite, on random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.kernels.opdef import Arithmetic
from qcore.model import Model
from tests.conformance.harness import T, assert_same, one_operator, random_inputs

FILTERS = {
    "float32": ("float32", "float32"),
    "int8": ("int8", "int8"),
    "int8 by int4": ("int8", "int4"),
    "uint8": ("uint8", "uint8"),
    "int16": ("int16", "int8"),
    "int16 with int32 bias": ("int16", "int8"),
    "dynamic range": ("float32", "int8"),
    "dynamic range by int4": ("float32", "int4"),
}
"""Types of input and filter, by kind."""

KINDS = {
    "CONV_2D": tuple(FILTERS),
    "DEPTHWISE_CONV_2D": ("float32", "int8", "int8 by int4", "uint8", "int16", "dynamic range"),
    "TRANSPOSE_CONV": ("float32", "int8", "uint8", "int16", "int16 with int32 bias", "dynamic range"),
}
CASES = [(operator, kind) for operator, kinds in KINDS.items() for kind in kinds]
QUANTIZED_CASES = [(operator, kind) for operator, kind in CASES if FILTERS[kind][0] != "float32"]

other_arithmetics = pytest.mark.parametrize("arithmetic", ["builtin", "xnnpack"])


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def random_codes(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights: all codes, but -128 of int8, which the x86 dynamic-range kernels multiply by a negative code wrongly."""
    low, high = {"int8": (-127, 127), "int4": (-8, 7), "uint8": (0, 255)}[dtype]
    return pick(rng, rng.integers(low, high + 1, shape), rng.choice([low, high], shape))


def zero_point(rng: np.random.Generator, dtype: str) -> int:
    return int(pick(rng, *{"int8": (-128, 127, 5), "uint8": (0, 255, 120)}.get(dtype, (0,))))


def random_geometry(rng: np.random.Generator, operator: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, int], dict[str, Any]]:
    """Shapes of input and filter, height and width of a transposed output, and options."""
    batch, height, width, kh, kw, sh, sw = (int(n) for n in rng.integers((1, 1, 1, 1, 1, 1, 1), (4, 9, 9, 5, 5, 4, 4)))
    padding = pick(rng, "SAME", "VALID")
    options: dict[str, Any] = {"padding": padding, "stride_h": sh, "stride_w": sw}
    options["fused_activation_function"] = pick(rng, "NONE", "RELU", "RELU_N1_TO_1", "RELU6")
    channels, outputs, groups = (int(n) for n in rng.integers((1, 1, 1), (6, 4, 4)))
    if operator == "TRANSPOSE_CONV":
        extra = int(rng.integers(sh)), int(rng.integers(sw))
        sizes = [
            n * s - e if padding == "SAME" else (n - 1) * s + k + e
            for n, s, k, e in zip((height, width), (sh, sw), (kh, kw), extra, strict=True)
        ]
        return (batch, height, width, channels), (outputs, kh, kw, channels), (sizes[0], sizes[1]), options
    dh, dw = (int(n) for n in pick(rng, (1, 1), rng.integers(1, 4, 2)))
    options |= {"dilation_h_factor": dh, "dilation_w_factor": dw}
    if padding == "VALID":
        height, width = height + (kh - 1) * dh, width + (kw - 1) * dw
    if operator == "DEPTHWISE_CONV_2D":
        return (batch, height, width, channels), (1, kh, kw, channels * outputs), (0, 0), options | {"depth_multiplier": outputs}
    return (batch, height, width, channels * groups), (outputs * groups, kh, kw, channels), (0, 0), options


def random_layer(rng: np.random.Generator, operator: str, kind: str, plain: bool = False) -> Model:
    """A model of one operator; constant filter or not, bias or not where TensorFlow Lite lets it out.

    plain: what every arithmetic survives. The builtin DEPTHWISE_CONV_2D aborts without a bias; XNNPACK computes nonsense where a stride
    is larger than the filter and padding is SAME.
    """
    input_type, filter_type = FILTERS[kind]
    x_shape, w_shape, size, options = random_geometry(rng, operator)
    while plain and options["padding"] == "SAME" and (options["stride_h"] > w_shape[1] or options["stride_w"] > w_shape[2]):
        x_shape, w_shape, size, options = random_geometry(rng, operator)
    axis = 3 if operator == "DEPTHWISE_CONV_2D" else 0
    channels, real = w_shape[axis], input_type == "float32"
    per_channel = filter_type in ("int8", "int4") and bool(rng.integers(2))
    if real and filter_type != "float32" and (operator == "DEPTHWISE_CONV_2D" or x_shape[3] != w_shape[3]):
        per_channel = True  # one scale there reads past the end of the scales, or is refused
    scale = np.float32(10 ** rng.uniform(-3, -1, channels if per_channel else 1))
    spread = float(scale.mean()) * np.prod(w_shape) ** 0.5 * {"int16": 15000.0}.get(input_type, 70.0)
    constant = filter_type == "int4" or bool(rng.integers(4))
    value = rng.uniform(-1, 1, w_shape) if filter_type == "float32" else random_codes(rng, filter_type, w_shape)
    filter = T(
        filter_type,
        w_shape,
        None if filter_type == "float32" else scale,
        zero_point(rng, "uint8") if filter_type == "uint8" else 0,
        axis,
        value if constant else None,
    )
    bias = T("float32", (channels,), value=rng.uniform(-1, 1, channels))
    if not real:
        bias_type = "int64" if kind == "int16" else "int32"
        limit = pick(rng, 1000, 100_000, 2**31 - 1)
        bias = T(bias_type, (channels,), np.float32(0.02) * scale, value=rng.integers(-limit, limit, channels))
        if input_type == "int16" and operator != "DEPTHWISE_CONV_2D":
            options["quantized_bias_type"] = bias_type
    x = T(input_type, x_shape, None if real else 0.02, zero_point(rng, input_type))
    y = T(input_type, (1, 1, 1, channels), None if real else spread * 10 ** rng.uniform(-3, 1), zero_point(rng, input_type))
    inputs: list[T | None] = [x, filter]
    if operator == "TRANSPOSE_CONV":
        y.shape = (x_shape[0], *size, channels)
        inputs = [T("int32", (4,), value=y.shape), filter, x]
    if operator == "CONV_2D" or (plain and operator == "DEPTHWISE_CONV_2D") or rng.integers(4):
        inputs.append(bias)
    return one_operator(operator, inputs, [y], options)


def layer_of_ties(rng: np.random.Generator, operator: str, kind: str, channels: int, groups: int = 1) -> Model:
    """A model of one operator whose sums are small and whose factors are powers of two or nearby, so that every rounding rule shows."""
    input_type, filter_type = FILTERS[kind]
    depth, size = 3, int(pick(rng, 1, 2))
    per_channel = filter_type != "uint8" and bool(rng.integers(2))
    scale = np.float32(2.0 ** -rng.integers(1, 6, channels if per_channel else 1) * pick(rng, 1, rng.uniform(1, 2)))
    zero_points = {"int8": (-3, 7), "uint8": (120, 130), "int16": (0, 0)}[input_type]
    filter_zero_point = 100 if filter_type == "uint8" else 0
    depthwise = operator == "DEPTHWISE_CONV_2D"
    w_shape = (1, size, size, channels) if depthwise else (channels, size, size, depth)
    weights = rng.integers(-3, 4, w_shape) + filter_zero_point
    axis = 3 if depthwise and per_channel else 0
    x = T(input_type, (1, 5, 5, channels if depthwise else depth * groups), 1, zero_points[0])
    w = T(filter_type, w_shape, scale, filter_zero_point, axis, weights)
    bias = T("int64" if kind == "int16" else "int32", (channels,), scale, value=rng.integers(-20, 21, channels))
    y = T(input_type, (1, 5, 5, channels), 1, zero_points[1])
    options: dict[str, Any] = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    if input_type == "int16" and not depthwise:
        options["quantized_bias_type"] = bias.dtype
    if depthwise:
        options["depth_multiplier"] = 1
    if operator == "TRANSPOSE_CONV":
        return one_operator(operator, [T("int32", (4,), value=y.shape), w, x, bias], [y], options)
    return one_operator(operator, [x, w, bias], [y], options)


def small_inputs(model: Model, rng: np.random.Generator) -> list[np.ndarray]:
    """Codes near the zero point."""
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    assert tensor.quantization is not None
    zero = int(tensor.quantization.zero_point[0])
    return [rng.integers(zero - 9, zero + 10, tensor.shape).astype(tensor.dtype)]


@pytest.mark.parametrize(("operator", "kind"), CASES)
@pytest.mark.parametrize("seed", range(8))
def test_random_layers(operator: str, kind: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *operator.encode(), *kind.encode()])
    model = random_layer(rng, operator, kind)
    # sums in another order may differ by more than 1e-6 of a clamped output; transposed dynamic range adds real values one by one there
    assert_same(model, random_inputs(model, rng), atol=1e-5 if FILTERS[kind][0] == "float32" else 1e-6)


@other_arithmetics
@pytest.mark.parametrize(("operator", "kind"), CASES)
@pytest.mark.parametrize("seed", range(5))
def test_random_layers_in_the_other_arithmetics(operator: str, kind: str, seed: int, arithmetic: Arithmetic) -> None:
    rng = np.random.default_rng([seed, *operator.encode(), *kind.encode()])
    model = random_layer(rng, operator, kind, plain=True)
    assert_same(model, random_inputs(model, rng), atol=1e-5 if FILTERS[kind][0] == "float32" else 1e-6, arithmetic=arithmetic)


@other_arithmetics
@pytest.mark.parametrize(("operator", "kind"), QUANTIZED_CASES)
@pytest.mark.parametrize("channels", [3, 8, 17])
def test_ties_in_the_other_arithmetics(operator: str, kind: str, channels: int, arithmetic: Arithmetic) -> None:
    """Whole vectors of channels and channels left over, of which the builtin kernels round ties differently."""
    for seed in range(3):
        rng = np.random.default_rng([seed, channels, *operator.encode(), *kind.encode()])
        model = layer_of_ties(rng, operator, kind, channels)
        assert_same(model, small_inputs(model, rng), arithmetic=arithmetic)


@other_arithmetics
@pytest.mark.parametrize("kind", ["int8", "uint8", "int16 with int32 bias"])
def test_ties_of_groups(kind: str, arithmetic: Arithmetic) -> None:
    """The builtin kernels leave them to the reference ones."""
    rng = np.random.default_rng(3)
    model = layer_of_ties(rng, "CONV_2D", kind, 6, groups=2)
    assert_same(model, small_inputs(model, rng), arithmetic=arithmetic)


@other_arithmetics
@pytest.mark.parametrize("zero_point", [1, 2])
@pytest.mark.parametrize(("activation", "scale"), [("RELU6", 4), ("RELU6", 2.4), ("RELU_N1_TO_1", 0.4)])
def test_bounds_of_activations_that_are_ties(activation: str, scale: float, zero_point: int, arithmetic: Arithmetic) -> None:
    x, w, bias = T("int8", (1, 1, 9, 1), 1), T("int8", (2, 1, 1, 1), 1, value=[1, 2]), T("int32", (2,), 1, value=[0, 0])
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "fused_activation_function": activation}
    model = one_operator("CONV_2D", [x, w, bias], [T("int8", (1, 1, 9, 2), scale, zero_point)], options)
    assert_same(model, random_inputs(model, np.random.default_rng(0)), arithmetic=arithmetic)


@pytest.mark.parametrize(
    ("filter", "bias"),
    [
        (T("int8", (2, 1, 1, 1), [0.5, 0], value=[1, 2]), T("int32", (2,), [0.5, 0.5], value=[1, 1])),
        (T("int8", (2, 1, 1, 1), 0.5), T("int32", (2,), 0.5, value=[1, 1])),
        (T("int8", (2, 1, 1, 1), 0.5, value=[1, 2]), T("int32", (2,), 0.5)),
        (T("int8", (2, 1, 1, 1), 0.5, value=[1, 2]), T("int32", (2,), value=[1, 1])),
        (T("int8", (2, 1, 1, 1), 0.5, value=[1, 2]), T("int32", (1, 2), 0.5, value=[1, 1])),
        (T("int8", (2, 1, 1, 1), 0.5, axis=3, value=[1, 2]), T("int32", (2,), 0.5, value=[1, 1])),
    ],
    ids=["scale of 0", "computed filter", "computed bias", "bias without scale", "bias of rank 2", "axis of one scale"],
)
def test_what_xnnpack_leaves_alone(filter: T, bias: T) -> None:
    """All but the last are, so that -1/2 goes up there."""
    model = one_operator(
        "CONV_2D",
        [T("int8", (1, 1, 9, 1), 1), filter, bias],
        [T("int8", (1, 1, 9, 2), 1)],
        {"padding": "SAME", "stride_h": 1, "stride_w": 1},
    )
    inputs = [np.arange(-4, 5, dtype=np.int8).reshape(1, 1, 9, 1)]
    more = {"input1": np.array([1, 2], np.int8).reshape(2, 1, 1, 1), "input2": np.array([1, 1], np.int32)}
    graph = model.subgraphs[0]
    inputs += [more[graph.tensors[i].name] for i in graph.inputs[1:]]
    assert_same(model, inputs, arithmetic="xnnpack")


@other_arithmetics
@pytest.mark.parametrize("shape", [(2, 5, 4, 8), (1, 3, 1, 1)])
@pytest.mark.parametrize(("filters", "stride"), [(6, 1), (6, 2), (1, 1)])
def test_dynamic_range_of_pixels(shape: tuple[int, ...], filters: int, stride: int, arithmetic: Arithmetic) -> None:
    """XNNPACK makes a dense layer of windows that are pixels, and quantizes each by itself."""
    rng = np.random.default_rng(0)
    w = T("int8", (filters, 1, 1, shape[3]), 0.02, value=rng.integers(-127, 128, filters * shape[3]))
    bias, y = T("float32", (filters,), value=rng.uniform(-1, 1, filters)), T("float32", (1, 1, 1, filters))
    options = {"padding": "SAME", "stride_h": stride, "stride_w": stride}
    model = one_operator("CONV_2D", [T("float32", shape), w, bias], [y], options)
    assert_same(model, random_inputs(model, rng), rtol=0, atol=0, arithmetic=arithmetic)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_dynamic_range_to_the_bit(operator: str, arithmetic: Arithmetic) -> None:
    """A last bit would become another code in the layer after."""
    rng = np.random.default_rng(1)
    x, channels = T("float32", (2, 5, 5, 7)), 7
    w_shape, axis = ((7, 3, 3, 7), 0) if operator == "CONV_2D" else ((1, 3, 3, 7), 3)
    w = T("int8", w_shape, rng.uniform(0.001, 0.1, channels), axis=axis, value=rng.integers(-127, 128, w_shape))
    bias = T("float32", (channels,), value=rng.uniform(-1, 1, channels))
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1} | ({"depth_multiplier": 1} if axis else {})
    model = one_operator(operator, [x, w, bias], [T("float32", (2, 5, 5, 7))], options)
    assert_same(model, random_inputs(model, rng), rtol=0, atol=0, arithmetic=arithmetic)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("activation", ["TANH", "SIGN_BIT"])
def test_activations_that_do_not_clamp_are_not_applied(activation: str, arithmetic: Arithmetic) -> None:
    x, w, bias = T("int8", (1, 1, 9, 1), 0.1), T("int8", (1, 1, 1, 1), 1, value=[-3]), T("int32", (1,), 0.1, value=[0])
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "fused_activation_function": activation}
    model = one_operator("CONV_2D", [x, w, bias], [T("int8", (1, 1, 9, 1), 0.3)], options)
    assert_same(model, random_inputs(model, np.random.default_rng(0)), arithmetic=arithmetic)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (5, 3), (5, 4), (6, 4)])
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_filters_longer_than_the_input(operator: str, size: int, stride: int) -> None:
    """Short by less than a stride, there are no outputs. (XNNPACK and the builtin DEPTHWISE_CONV_2D crash on these.)"""
    x, w, bias = T("int8", (1, 2, 9, 1), 1), T("int8", (1, size, 2, 1), 1, value=np.ones(2 * size)), T("int32", (1,), 1, value=[0])
    model = one_operator(operator, [x, w, bias], [T("int8", (1, 1, 1, 1), 1)], {"padding": "VALID", "stride_h": stride, "stride_w": 1})
    assert_same(model, random_inputs(model, np.random.default_rng(0)))


@pytest.mark.parametrize("shift", range(18, 31, 3))
def test_factors_that_shift_left_wrap_in_32_bits(shift: int) -> None:
    x, w, bias = T("int8", (1, 1, 9, 1), 1), T("int8", (1, 1, 1, 1), 2.0**shift, value=[77]), T("int32", (1,), value=[5])
    model = one_operator("CONV_2D", [x, w, bias], [T("int8", (1, 1, 9, 1), 1)], {"padding": "SAME", "stride_h": 1, "stride_w": 1})
    assert_same(model, random_inputs(model, np.random.default_rng(shift)))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_ties_are_rounded_twice(dtype: str) -> None:
    """Halves and quarters of small sums; first up, then away from zero."""
    x, y = T(dtype, (1, 1, 41, 1), 0.25), T(dtype, (1, 1, 41, 1), 1)
    w, options = T("int8", (1, 1, 1, 1), 1, value=[1]), {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    if dtype == "int16":
        options["quantized_bias_type"] = "int32"
    model = one_operator("CONV_2D", [x, w, T("int32", (1,), 0.25, value=[0])], [y], options)
    assert_same(model, [np.arange(-20, 21, dtype=dtype).reshape(x.shape)])


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_an_int16_filter_is_read_as_its_leading_bytes(operator: str) -> None:
    x, w = T("int16", (1, 4, 4, 2), 1), T("int16", (2, 2, 2, 2) if operator == "CONV_2D" else (1, 2, 2, 2), 1)
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "depth_multiplier": 1}
    if operator == "CONV_2D":
        del options["depth_multiplier"]
    model = one_operator(operator, [x, w, T("int64", (2,), value=[1, 2])], [T("int16", (1, 4, 4, 2), 300)], options)
    assert_same(model, random_inputs(model, np.random.default_rng(0)))

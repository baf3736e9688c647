"""Float32 sums of the builtin kernels, to the last bit: TensorFlow Lite with the four threads that its converter calibrates with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.model import Model
from tests.conformance.harness import T, one_operator, random_inputs, run, run_qcore

tf = pytest.importorskip("tensorflow", reason="needs tensorflow")

THREADS = 4
SEEDS = range(10)
ACTIVATIONS = ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]


def assert_same_bits(model: Model, rng: np.random.Generator, low: float = -2, high: float = 2) -> None:
    """NumPy's and the generated code's outputs are TensorFlow Lite's."""
    inputs = random_inputs(model, rng, low, high)
    kind = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    theirs = tf.lite.Interpreter(model_content=model.to_bytes(), num_threads=THREADS, experimental_op_resolver_type=kind)
    (want,) = run(theirs, inputs)
    for engine in ("reference", "fast"):
        (got,) = run_qcore(model, inputs, arithmetic="builtin", engine=engine)
        np.testing.assert_array_equal(got, want, err_msg=engine)


def outputs(size: int, filter: int, stride: int, dilation: int, padding: str) -> int:
    return -(-size // stride) if padding == "SAME" else (size - (filter - 1) * dilation - 1) // stride + 1


def windows(
    name: str,
    rng: np.random.Generator,
    filter: tuple[int, ...],
    image: tuple[int, ...],
    constant: bool = True,
    dilated: bool = False,
    **options: Any,
) -> Model:
    """A convolution of random strides and padding."""
    _, height, width, _ = filter
    padding = str(rng.choice(["SAME", "VALID"]))
    dilations = [int(d) for d in rng.choice([1, 2, 3, 9], 2)] if dilated else [1, 1]
    strides = [1, 1] if dilated else [int(s) for s in rng.choice([1, 1, 2, 3], 2)]
    batch, *sizes, channels = image
    if padding == "VALID":
        sizes = [max(size, (f - 1) * d + 1) for size, f, d in zip(sizes, (height, width), dilations, strict=True)]
    shape = [outputs(*along, padding) for along in zip(sizes, (height, width), strides, dilations, strict=True)]
    count = filter[3] if name == "DEPTHWISE_CONV_2D" else filter[0]
    weights = T("float32", filter, value=rng.normal(0, 1, filter) if constant else None)
    bias = T("float32", (count,), value=rng.normal(0, 1, count))
    options |= {
        "stride_h": strides[0],
        "stride_w": strides[1],
        "dilation_h_factor": dilations[0],
        "dilation_w_factor": dilations[1],
        "padding": padding,
        "fused_activation_function": str(rng.choice(ACTIVATIONS)),
    }
    return one_operator(name, [T("float32", (batch, *sizes, channels)), weights, bias], [T("float32", (batch, *shape, count))], options, 3)


def pick(rng: np.random.Generator, *choices: int) -> int:
    return int(rng.choice(choices))


@pytest.mark.parametrize("seed", SEEDS)
def test_pixels_times_a_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = pick(rng, 3, 16, 33, 96, 320, 960, 1300)
    image = (pick(rng, 1, 2), pick(rng, 1, 3, 7, 14), pick(rng, 1, 3, 7, 14), channels)
    assert_same_bits(windows("CONV_2D", rng, (pick(rng, 1, 3, 10, 24, 40, 160, 323), 1, 1, channels), image), rng)


@pytest.mark.parametrize("seed", SEEDS)
def test_convolutions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = pick(rng, 1, 3, 16, 33, 96)
    image = (pick(rng, 1, 2), pick(rng, 1, 3, 7, 20), pick(rng, 1, 3, 7, 20), channels)
    filter = pick(rng, 1, 5, 12, 24, 40, 130), pick(rng, 1, 2, 3, 5), pick(rng, 1, 3, 4), channels
    assert_same_bits(windows("CONV_2D", rng, filter, image), rng)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("constant", [True, False])
def test_convolutions_with_dilation_or_a_filter_computed_at_run_time(constant: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = pick(rng, 1, 3, 16, 33)
    image = (pick(rng, 1, 2), pick(rng, 1, 3, 9), pick(rng, 1, 5, 9), channels)
    filter = pick(rng, 1, 5, 12, 24, 40), pick(rng, 1, 2, 3), pick(rng, 1, 3, 4), channels
    assert_same_bits(windows("CONV_2D", rng, filter, image, constant, dilated=True), rng)


@pytest.mark.parametrize("seed", SEEDS)
def test_convolutions_in_groups(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, depth = pick(rng, 2, 3, 5), pick(rng, 1, 4, 9)
    filter = groups * pick(rng, 1, 3, 8), pick(rng, 1, 3), pick(rng, 1, 3), depth
    assert_same_bits(windows("CONV_2D", rng, filter, (pick(rng, 1, 2), 7, pick(rng, 1, 8), groups * depth)), rng)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dilated", [True, False])
def test_depthwise_convolutions(dilated: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, multiplier = pick(rng, 1, 2, 3, 8, 16, 33, 144), pick(rng, 1, 1, 2, 3, 8)
    filter = 1, pick(rng, 1, 3, 5), pick(rng, 1, 3, 4), channels * multiplier
    image = (pick(rng, 1, 2), pick(rng, 1, 7, 20), pick(rng, 1, 8), channels)
    assert_same_bits(windows("DEPTHWISE_CONV_2D", rng, filter, image, dilated=dilated, depth_multiplier=multiplier), rng)


@pytest.mark.parametrize("seed", range(30))
def test_dense_layers(seed: int) -> None:
    """One row or one unit, few of everything, and matrices."""
    rng = np.random.default_rng(seed)
    rows, units = pick(rng, 1, 1, 2, 3, 4, 7, 50), pick(rng, 1, 1, 2, 3, 10, 33, 100)
    depth = pick(rng, 1, 3, 7, 8, 12, 15, 17, 33, 44, 100, 1280)
    weights, bias = (
        T("float32", (units, depth), value=rng.normal(0, 1, (units, depth))),
        T("float32", (units,), value=rng.normal(0, 1, units)),
    )
    options = {"fused_activation_function": str(rng.choice(ACTIVATIONS))}
    model = one_operator("FULLY_CONNECTED", [T("float32", (rows, depth)), weights, bias], [T("float32", (rows, units))], options)
    assert_same_bits(model, rng)


@pytest.mark.parametrize("size", [1, 3, 8, 17, 400])
@pytest.mark.parametrize("name", ["LOGISTIC", "TANH", "HARD_SWISH"])
def test_curves(name: str, size: int) -> None:
    shape = (3, size)
    for spread in (1, 20, 200):
        assert_same_bits(one_operator(name, [T("float32", shape)], [T("float32", shape)]), np.random.default_rng(size), -spread, spread)


@pytest.mark.parametrize("others", [(2, 5, 7, 33), (33,), (1, 1, 1, 33), (2, 5, 7, 1), (1, 5, 7, 33)])
@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("swapped", [True, False])
def test_elementwise(name: str, swapped: bool, others: tuple[int, ...]) -> None:
    shape = (2, 5, 7, 33)
    inputs = [T("float32", shape), T("float32", others)]
    model = one_operator(name, inputs[::-1] if swapped else inputs, [T("float32", shape)], {"fused_activation_function": "RELU6"})
    assert_same_bits(model, np.random.default_rng(0))


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 1), (7, 2)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_averages(size: int, stride: int, padding: str) -> None:
    shape = [outputs(n, size, stride, 1, padding) for n in (9, 8)]
    options = {"padding": padding, "stride_h": stride, "stride_w": stride, "filter_height": size, "filter_width": size}
    assert_same_bits(
        one_operator("AVERAGE_POOL_2D", [T("float32", (2, 9, 8, 33))], [T("float32", (2, *shape, 33))], options), np.random.default_rng(0)
    )


@pytest.mark.parametrize("shape", [(2, 9, 7), (1, 33), (3, 100), (2, 3, 1, 257), (1, 5, 768), (4, 1)])
@pytest.mark.parametrize("name", ["MEAN", "SUM"])
def test_reductions(name: str, shape: tuple[int, ...]) -> None:
    """Over every run of axes."""
    for first in range(len(shape)):
        for last in range(first + 1, len(shape) + 1):
            axes = range(first, last)
            kept = [size for axis, size in enumerate(shape) if axis not in axes]
            inputs = [T("float32", shape), T("int32", (len(axes),), value=list(axes))]
            assert_same_bits(one_operator(name, inputs, [T("float32", kept)], {"keep_dims": False}), np.random.default_rng(0))


@pytest.mark.parametrize("adj_x", [True, False])
@pytest.mark.parametrize("adj_y", [True, False])
@pytest.mark.parametrize("batches", [((), ()), ((3,), (3,)), ((2, 1), (1, 3))])
def test_products_of_batches(batches: tuple[tuple[int, ...], tuple[int, ...]], adj_y: bool, adj_x: bool) -> None:
    rows, depth, columns = 5, 70, 9
    x = (*batches[0], depth, rows) if adj_x else (*batches[0], rows, depth)
    y = (*batches[1], columns, depth) if adj_y else (*batches[1], depth, columns)
    output = (*np.broadcast_shapes(*batches), rows, columns)
    options = {"adj_x": adj_x, "adj_y": adj_y}
    assert_same_bits(
        one_operator("BATCH_MATMUL", [T("float32", x), T("float32", y)], [T("float32", output)], options), np.random.default_rng(0)
    )

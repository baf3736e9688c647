"""FULLY_CONNECTED: expectations that can be worked out by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import QCoreError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore
from tests.kernels.blockwise import with_blocks


def run(input: T, filter: T, bias: T | None, output: T, *values: Any, **options: Any) -> np.ndarray:
    """One FULLY_CONNECTED; values of the inputs that are no constants, in order."""
    model = one_operator("FULLY_CONNECTED", [input, filter, bias], [output], options)
    graph = model.subgraphs[0]
    types = [graph.tensors[i].dtype for i in graph.inputs]
    arrays = [np.asarray(v, dtype).reshape(graph.tensors[i].shape) for v, dtype, i in zip(values, types, graph.inputs, strict=True)]
    return run_qcore(model, arrays)[0]


FILTER = T("float32", (3, 2), value=[[1, 2], [0, -1], [10, 0]])


def test_rows_times_units_plus_bias() -> None:
    bias = T("float32", (3,), value=[0, 100, 0])
    assert run(T("float32", (2, 2)), FILTER, bias, T("float32", (2, 3)), [[1, 2], [3, 4]]).tolist() == [[5, 98, 10], [11, 96, 30]]


def test_inputs_of_any_shape_are_rows_of_the_filters_depth() -> None:
    for shape in ((4,), (2, 2), (1, 4), (4, 1), (1, 2, 2)):
        assert run(T("float32", shape), FILTER, None, T("float32", (2, 3)), [1, 2, 3, 4]).tolist() == [[5, -2, 10], [11, -4, 30]]


def test_keep_num_dims_keeps_the_other_axes() -> None:
    output = run(T("float32", (1, 2, 2)), FILTER, None, T("float32", (1, 2, 3)), [1, 2, 3, 4], keep_num_dims=True)
    assert output.tolist() == [[[5, -2, 10], [11, -4, 30]]]


def test_a_scalar_is_a_row_of_one() -> None:
    assert run(T("float32", ()), T("float32", (2, 1), value=[[1], [2]]), None, T("float32", (1, 2)), 5).tolist() == [[5, 10]]


@pytest.mark.parametrize(
    ("activation", "wanted"), [("NONE", [-20, 5, 9]), ("RELU", [0, 5, 9]), ("RELU6", [0, 5, 6]), ("RELU_N1_TO_1", [-1, 1, 1])]
)
def test_activations(activation: str, wanted: list[float]) -> None:
    filter = T("float32", (3, 1), value=[[-20], [5], [9]])
    assert run(T("float32", (1, 1)), filter, None, T("float32", (1, 3)), 1, fused_activation_function=activation).tolist() == [wanted]


def test_a_filter_computed_at_run_time() -> None:
    x, w, y = T("int8", (1, 2), 1, 3), T("int8", (2, 2), 0.5), T("int8", (1, 2), 0.5, -1)
    assert run(x, w, None, y, [4, 5], [[1, 2], [3, -4]]).tolist() == [[1 + 4 - 1, 3 - 8 - 1]]
    assert run(T("float32", (1, 2)), T("int8", (1, 2), 0.5), None, T("float32", (1, 1)), [127, -127], [2, 1]).tolist() == [[63.5]]


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_one_rounding_with_ties_away_from_zero(dtype: str) -> None:
    """Half of odd numbers. Single rounding in integers would give 0 for -1/2, double rounding too."""
    values = [[-1], [1], [-3], [3], [5], [-5]]
    got = run(T(dtype, (6, 1), 0.5), T("int8", (1, 1), 1, value=[1]), None, T(dtype, (6, 1), 1), values)
    assert got.ravel().tolist() == [-1, 1, -2, 2, 3, -3]


@pytest.mark.parametrize("output", ["uint8", "int16"])
def test_uint8_filters_have_a_zero_point(output: str) -> None:
    zero_point = 100 if output == "uint8" else 0
    x, w = T("uint8", (1, 2), 0.5, 128), T("uint8", (2, 2), 1, 7, value=[[8, 9], [7, 0]])
    bias = T("int32", (2,), 0.5, value=[4, 0])
    got = run(x, w, bias, T(output, (1, 2), 0.5, zero_point), [129, 131])
    assert got.tolist() == [[1 * 1 + 3 * 2 + 4 + zero_point, 3 * -7 + zero_point]]


def test_units_have_their_own_scales_and_no_zero_point() -> None:
    w = T("int8", (2, 2), [0.5, 2], [3, 4], value=[[4, 0], [0, 1]])
    assert run(T("int8", (1, 2), 1), w, None, T("int8", (1, 2), 1), [5, 7]).tolist() == [[10, 14]]


def test_int4_filters() -> None:
    w = T("int4", (3, 3), 1, value=[[-8, 7, 0], [1, 1, 1], [0, 0, -1]])
    assert run(T("int16", (1, 3), 1), w, None, T("int16", (1, 3), 1), [100, 10, 1]).tolist() == [[-730, 111, -1]]


def test_what_int32_cannot_hold_after_scaling_becomes_its_least_value() -> None:
    """10000 * 1e6 does not fit, and the conversion gives -2**31; a zero point below 0 then wraps it to the greatest output."""
    for zero_point, wanted in ((0, -128), (-5, 127)):
        w, y = T("int8", (1, 1), 1, value=[100]), T("int8", (1, 1), 1, zero_point)
        assert run(T("int8", (1, 1), 1e6), w, None, y, 100).tolist() == [[wanted]]


@pytest.mark.parametrize(("bias_type", "wanted"), [("int64", 32767), ("int32", -32768)])
def test_int16_sums_wrap_where_the_bias_is_declared_int32(bias_type: str, wanted: int) -> None:
    depth = 520
    assert 2**31 < 32767 * 127 * depth < 2**32
    w = T("int8", (1, depth), 1, value=np.full(depth, 127))
    bias = T(bias_type, (1,), 1, value=[0])
    got = run(T("int16", (1, depth), 1), w, bias, T("int16", (1, 1), 4), np.full(depth, 32767), quantized_bias_type=bias_type)
    assert got.tolist() == [[wanted]]


def test_int8_sums_wrap_to_int32() -> None:
    bias = T("int32", (1,), 1, value=[2**31 - 1])
    assert run(T("int8", (1, 1), 1), T("int8", (1, 1), 1, value=[1]), bias, T("int8", (1, 1), 2**25), 1).tolist() == [[-64]]


@pytest.mark.parametrize(("asymmetric", "wanted"), [(False, 127 * 2 + -127 * 1), (True, 255 * 2)])
def test_dynamic_range_follows_asymmetric_quantize_inputs(asymmetric: bool, wanted: float) -> None:
    values = [255, 0] if asymmetric else [127, -127]
    x, w = T("float32", (1, 2)), T("int8", (1, 2), 0.5, value=[2, 1])
    bias = T("float32", (1,), value=[1])
    assert run(x, w, bias, T("float32", (1, 1)), values, asymmetric_quantize_inputs=asymmetric).tolist() == [[wanted / 2 + 1]]


def test_dynamic_range_of_a_uint8_filter_reads_int8_codes() -> None:
    w = T("uint8", (1, 2), 0.5, 128, value=[2, 255])
    assert run(T("float32", (1, 2)), w, None, T("float32", (1, 1)), [127, 1]).tolist() == [[(254 - 1) / 2]]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_rows_of_no_elements_give_zeros_without_bias(dtype: str) -> None:
    q: dict[str, Any] = {} if dtype == "float32" else {"scale": 1, "zero_point": 3}
    bias = T("float32" if dtype == "float32" else "int32", (3,), value=[1, 2, 3], scale=None if dtype == "float32" else 1)
    filter = T(dtype, (3, 0), value=np.zeros((3, 0)), scale=q.get("scale"))
    assert run(T(dtype, (2, 0), **q), filter, bias, T(dtype, (2, 3), **q), np.zeros((2, 0))).tolist() == [[0, 0, 0]] * 2


def test_no_rows_give_no_output() -> None:
    assert run(T("float32", (0, 2)), FILTER, None, T("float32", (0, 3)), []).shape == (0, 3)


def test_blockwise_filters_have_a_scale_for_each_block_and_quantize_inputs_asymmetrically() -> None:
    x, w = T("float32", (1, 4)), T("int4", (2, 4), value=[[1, 2, 3, 4], [-8, 7, 0, 1]])
    model = one_operator("FULLY_CONNECTED", [x, w, T("float32", (2,), value=[1, 0])], [T("float32", (1, 2))])
    with_blocks(model, 1, 2, [[1, 10], [0.5, 100]])
    values = np.array([[255, 0, 1, 2]], np.float32)
    assert run_qcore(model, [values])[0].tolist() == [[255 * 1 + 10 * (3 + 8) + 1, 255 * -8 * 0.5 + 100 * 2]]


@pytest.mark.parametrize(
    ("size", "scale", "zero_point", "message"),
    [
        (3, [[1], [1]], None, "rows of 4 weights do not divide into blocks of 3"),
        (0, [[1], [1]], None, "blocks of 0"),
        (8, [[1], [1]], None, "blocks of 8"),
        (2, [[1], [1]], None, "2 blockwise scales, expected 2 by 2"),
        (2, [[1, 1], [1, 1]], [[0, 0], [0, 0]], "has blockwise zero points"),
    ],
)
def test_blocks_that_do_not_fit(size: int, scale: Any, zero_point: Any, message: str) -> None:
    w = T("int4", (2, 4), value=np.ones((2, 4)))
    model = one_operator("FULLY_CONNECTED", [T("float32", (1, 4)), w, None], [T("float32", (1, 2))])
    with_blocks(model, 1, size, scale, zero_point)
    with pytest.raises(QCoreError, match=r"^FULLY_CONNECTED \(op 0.*" + message):
        run_qcore(model, [np.zeros((1, 4), np.float32)])


X, W, Y = T("int8", (1, 2), 1), T("int8", (3, 2), 1, value=np.ones((3, 2))), T("int8", (1, 3), 1)


@pytest.mark.parametrize(
    ("input", "filter", "bias", "output", "options", "message"),
    [
        (T("float32", (1, 3)), FILTER, None, T("float32", (1, 3)), {}, r"input of shape \[1, 3\] does not divide into rows of 2"),
        (T("float32", (1, 4)), FILTER, None, T("float32", (1, 3)), {"keep_num_dims": True}, r"has shape \[1, 4\], expected 2 in the last"),
        (T("float32", (1, 2)), T("float32", (3, 2, 1), value=np.ones(6)), None, T("float32", (1, 3)), {}, "has rank 3"),
        (T("float32", (1, 2)), FILTER, T("float32", (2,), value=[0, 0]), T("float32", (1, 3)), {}, r"bias has shape \[2\]"),
        (T("float32", (1, 2)), FILTER, T("int32", (3,), value=[0, 0, 0]), T("float32", (1, 3)), {}, "bias is int32, expected float32"),
        (X, FILTER, None, Y, {}, "filter is float32, expected int8 or int4 or int2 for int8 inputs"),
        (X, W, None, T("int16", (1, 3), 1), {}, "output is int16, expected int8 for int8 inputs"),
        (X, W, T("int64", (3,), 1, value=[0, 0, 0]), Y, {}, "bias is int64, expected int32"),
        (X, W, T("int32", (3,), 2, value=[0, 0, 0]), Y, {}, r"bias has scale 2.0, input times filter 1.0"),
        (X, W, None, T("int8", (1, 3), 0), {}, "output has scale 0.0"),
        (X, T("int8", (3, 2), value=np.ones((3, 2))), None, Y, {}, "has 0 scales"),
        (X, T("int8", (3, 2), [1, 1], axis=1, value=np.ones((3, 2))), None, Y, {}, "has 2 scales"),
        (
            X,
            T("int8", (2, 2), [1, 1], axis=1, value=np.ones((2, 2))),
            None,
            T("int8", (1, 2), 1),
            {},
            "scales along axis 1, expected axis 0",
        ),
        (X, T("int4", (3, 2), 1, 1, value=np.ones((3, 2))), None, Y, {}, "filter is int4 with zero points other than 0"),
        (T("int16", (1, 2), 1, 5), W, None, T("int16", (1, 3), 1), {}, "is int16 with zero point 5"),
        (T("int16", (1, 2), 1), W, None, T("int16", (1, 3), 1), {"quantized_bias_type": "int8"}, "quantized_bias_type is int8"),
        (X, W, None, Y, {"fused_activation_function": "TANH"}, "TANH"),
        (X, W, None, Y, {"weights_format": "SHUFFLED4x16INT8"}, "weights_format SHUFFLED4x16INT8, qcore has DEFAULT"),
    ],
)
def test_refusals(input: T, filter: T, bias: T | None, output: T, options: dict[str, Any], message: str) -> None:
    with pytest.raises(QCoreError, match=r"^FULLY_CONNECTED \(op 0.*" + message):
        run(input, filter, bias, output, np.zeros(input.shape), **options)


def test_a_filter_of_int16_is_not_supported() -> None:
    with pytest.raises(QCoreError, match="filter is int16"):
        run(T("int16", (1, 2), 1), T("int16", (3, 2), 1, value=np.ones((3, 2))), None, T("int16", (1, 3), 1), [0, 0])
    with pytest.raises(UnsupportedError, match="input 0 is float64, qcore has"):
        run(T("float64", (1, 2)), FILTER, None, T("float64", (1, 3)), [0, 0])

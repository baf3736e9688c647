"""Bounds of accumulators: none is passed, each is reached, and what is said to overflow does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.analysis.ranging.bounds import bounds, headroom, reaching
from qcore.analysis.ranging.overflow import as_elements
from qcore.analysis.ranging.ranges import prepared, ranges, watch
from qcore.analysis.ranging.recording import Recorder, recorded
from qcore.analysis.ranging.terms import output_of
from qcore.analysis.sides import Side
from qcore.cli.main import main
from qcore.errors import InputError
from qcore.model import Model
from qcore.runtime.plan import Settings, run_step
from tests.conformance.harness import RESOLVERS, T, one_operator, random_inputs, run_qcore, run_tflite

SHARED = Path(__file__).parents[3] / "shared" / "models"
BUNDLED = Path(qcore.__file__).parent / "data"
Shape = Sequence[int]


def weighted(
    rng: np.random.Generator, name: str, input: Shape, filter: Shape, output: Shape, dtype: str = "int8", **options: object
) -> Model:
    """A weighted operator of random weights, with a bias."""
    channels = filter[3] if name == "DEPTHWISE_CONV_2D" else filter[0]
    unsigned = dtype == "uint8"
    scale = 0.02 if unsigned or name == "BATCH_MATMUL" else rng.uniform(0.01, 0.05, channels)
    filter_type = "uint8" if unsigned else "int8"
    weights = rng.integers(0, 256, filter) if unsigned else rng.integers(-127, 128, filter)
    x = T(dtype, input, 0.05, 0 if dtype == "int16" else 121 if unsigned else -7)
    w = T(filter_type, filter, scale, 131 if unsigned else 0, 3 if name == "DEPTHWISE_CONV_2D" else 0, value=weights)
    bias_type = "int64" if dtype == "int16" else "int32"
    b = T(bias_type, (channels,), 0.001, value=rng.integers(-5000, 5000, channels))
    shape = T("int32", (4,), value=output)
    inputs = {"TRANSPOSE_CONV": [shape, w, x, b], "BATCH_MATMUL": [x, w]}.get(name, [x, w, b])
    return one_operator(name, inputs, [T(dtype, output, 40.0 if dtype == "int16" else 4.0, 0)], options)


CASES = {
    "same padding": ("CONV_2D", (1, 5, 4, 3), (6, 3, 3, 3), (1, 5, 4, 6), "int8", {"padding": "SAME", "stride_h": 1, "stride_w": 1}),
    "stride": ("CONV_2D", (2, 6, 7, 2), (4, 3, 2, 2), (2, 2, 3, 4), "int8", {"padding": "VALID", "stride_h": 2, "stride_w": 2}),
    "groups": ("CONV_2D", (1, 4, 4, 6), (4, 2, 2, 3), (1, 3, 3, 4), "int8", {"padding": "VALID", "stride_h": 1, "stride_w": 1}),
    "no window fits": ("CONV_2D", (1, 2, 3, 2), (3, 5, 4, 2), (1, 2, 3, 3), "int8", {"padding": "SAME", "stride_h": 1, "stride_w": 1}),
    "dilation": (
        *("CONV_2D", (1, 5, 3, 2), (3, 3, 3, 2), (1, 5, 3, 3), "int8"),
        {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 3, "dilation_w_factor": 2},
    ),
    "uint8": ("CONV_2D", (1, 4, 4, 3), (2, 3, 3, 3), (1, 4, 4, 2), "uint8", {"padding": "SAME", "stride_h": 1, "stride_w": 1}),
    "int16": ("CONV_2D", (1, 4, 4, 3), (2, 3, 3, 3), (1, 4, 4, 2), "int16", {"padding": "SAME", "stride_h": 1, "stride_w": 1}),
    "depthwise": (
        *("DEPTHWISE_CONV_2D", (1, 3, 4, 2), (1, 3, 3, 6), (1, 3, 4, 6), "int8"),
        {"padding": "SAME", "stride_h": 1, "stride_w": 1, "depth_multiplier": 3},
    ),
    "transposed": ("TRANSPOSE_CONV", (1, 3, 2, 4), (3, 3, 3, 4), (1, 6, 4, 3), "int8", {"padding": "SAME", "stride_h": 2, "stride_w": 2}),
    "gaps": ("TRANSPOSE_CONV", (1, 3, 2, 4), (3, 2, 1, 4), (1, 8, 5, 3), "int8", {"padding": "VALID", "stride_h": 3, "stride_w": 4}),
    "dense": ("FULLY_CONNECTED", (3, 9), (5, 9), (3, 5), "int8", {}),
    "matmul": ("BATCH_MATMUL", (2, 1, 4, 7), (3, 7, 5), (2, 3, 4, 5), "int8", {}),
    "matmul swapped": ("BATCH_MATMUL", (2, 7, 4), (2, 5, 7), (2, 4, 5), "int8", {"adj_x": True, "adj_y": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_no_input_passes_the_bounds_and_one_reaches_each(case: str) -> None:
    rng = np.random.default_rng(sum(case.encode()))
    name, input, filter, output, dtype, options = CASES[case]
    model = weighted(rng, name, input, filter, output, dtype, **options)
    side = Side(model, 0, Settings())
    side.executor.allocate()
    one = watch(side, 0, *prepared(side)[0])
    assert one is not None
    found = bounds(one.terms)

    def accumulators(elements: np.ndarray) -> Recorder:
        recorder = Recorder(output_of(one.step.params))
        inputs = list(one.operands.values)
        inputs[one.terms.slot] = elements
        run_step(one.planned, recorded(one.step, recorder), inputs)
        return recorder

    for _ in range(20):
        seen = accumulators(random_inputs(model, rng)[0])
        assert (seen.least >= found.least).all()
        assert (seen.greatest <= found.greatest).all()
    for channel in range(len(found.least)):
        for greatest, at in ((True, found.greatest_at), (False, found.least_at)):
            (codes,) = reaching(one.terms, channel, tuple(at[channel]), greatest).values()
            seen = accumulators(as_elements(codes, one.terms, one.operands, one.terms.slot))
            if greatest:
                assert seen.greatest[channel] == found.greatest[channel]
            else:
                assert seen.least[channel] == found.least[channel]


@pytest.mark.parametrize("case", CASES)
def test_sums_on_the_way_keep_the_partial_bounds_in_any_order(case: str) -> None:
    """Terms in random order, the bias first, last or between, zero points taken off at once or one by one."""
    rng = np.random.default_rng(3)
    name, input, filter, output, dtype, options = CASES[case]
    side = Side(weighted(rng, name, input, filter, output, dtype, **options), 0, Settings())
    side.executor.allocate()
    terms = watch(side, 0, *prepared(side)[0]).terms
    found = bounds(terms)
    for channel, weights in enumerate(terms.weights):
        w = weights.reshape(-1).astype(np.int64)
        for _ in range(10):
            (zero_point,), bias = terms.zero_points, int(terms.bias[channel])
            codes = rng.choice(np.array([*terms.codes, 0, zero_point]), w.size)
            for products, offset in ((w * (codes - zero_point), bias), (w * codes, bias - zero_point * int(w.sum()))):
                sums = np.cumsum(rng.permutation([*products.tolist(), offset]))
                assert sums.min() >= found.partial_least[channel]
                assert sums.max() <= found.partial_greatest[channel]


def test_two_factors_at_run_time_reach_the_bound() -> None:
    model = one_operator(
        "BATCH_MATMUL", [T("int8", (1, 2, 9), 0.1, 3), T("int8", (1, 9, 4), 0.1, -5)], [T("int8", (1, 2, 4), 1.0)], {"adj_x": False}
    )
    (row,) = ranges(model).operators
    (channel,) = row.channels
    assert (channel.least, channel.greatest) == (9 * (-128 - 3) * (127 + 5), 9 * (127 - 3) * (127 + 5))


@pytest.mark.parametrize("asymmetric", [False, True])
def test_dynamic_range_reaches_the_bounds_that_any_zero_point_leaves(asymmetric: bool) -> None:
    weights = np.array([[3, -5, 7], [1, 2, -100]])
    model = one_operator(
        "FULLY_CONNECTED",
        [T("float32", (2, 3)), T("int8", (2, 3), [1.0, 1.0], value=weights)],
        [T("float32", (2, 2))],
        {"asymmetric_quantize_inputs": asymmetric},
    )
    # Rows whose codes are the ends: scale 1, zero point -128 or 127; or 0 and no zero point.
    ends = (255, 0) if asymmetric else (127, -127)
    rows = [np.where(np.sign(weights[c]) == sign, *ends) for c in (0, 1) for sign in (1, -1)]
    rows += [np.where(np.sign(weights[c]) == sign, ends[1], -ends[0]) for c in (0, 1) for sign in (1, -1)]
    (row,) = ranges(model, [np.float32(rows[k : k + 2]) for k in range(0, len(rows), 2)]).operators
    positive, negative = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    bound = np.maximum(255 * positive, -255 * negative) if asymmetric else 127 * (positive - negative)
    assert [(c.least, c.greatest) for c in row.channels] == [(-b, b) for b in bound]
    assert [c.observed for c in row.channels] == [(-b, b) for b in bound]


@pytest.mark.parametrize("name", ["MEAN", "SUM", "AVERAGE_POOL_2D"])
def test_sums_without_weights(name: str) -> None:
    x, axes = T("uint8", (1, 3, 4, 2), 0.1, 100), T("int32", (2,), value=[1, 2])
    if name == "AVERAGE_POOL_2D":
        options = {"filter_height": 3, "filter_width": 2, "stride_h": 1, "stride_w": 1, "padding": "SAME"}
        model = one_operator(name, [x], [T("uint8", (1, 3, 4, 2), 0.1, 100)], options)
        expected = (-3, 6 * 255 + 3)  # with half the count, which rounding adds
    else:
        model = one_operator(name, [x, axes], [T("uint8", (1, 2), 0.1, 100)])
        expected = (-12 * 100, 12 * 155)
    samples = [np.full((1, 3, 4, 2), code, np.uint8) for code in (0, 255)]
    (row,) = ranges(model, samples).operators
    (channel,) = row.channels
    assert (channel.least, channel.greatest) == expected
    assert channel.observed == expected
    assert row.verdict == "proven"


def int16_dense(depth: int = 600) -> Model:
    """A dense layer of int16 with an int32 bias, whose sums may pass int32."""
    weights = np.where(np.arange(2 * depth).reshape(2, depth) % 3, 127, -127)
    weights[1] //= 64
    x, w = T("int16", (1, depth), 2**-15), T("int8", (2, depth), [0.01, 0.02], value=weights)
    b = T("int32", (2,), 0.01 * 2**-15, value=[5, -5])
    return one_operator("FULLY_CONNECTED", [x, w, b], [T("int16", (1, 2), 0.01)], {"quantized_bias_type": "int32"})


def test_a_bias_that_tensorflow_lite_misreads_is_found() -> None:
    for declared, kinds in (("int32", []), ("float32", ["bias-type"])):
        model = int16_dense(4)
        options = model.subgraphs[0].operators[0].options
        assert options is not None
        options.fields["quantized_bias_type"] = declared
        (row,) = ranges(model).operators
        assert [finding.kind for finding in row.findings if finding.kind.startswith("bias-t")] == kinds


def test_an_input_that_overflows_is_made_and_confirmed_by_running_it() -> None:
    model = int16_dense()
    found = ranges(model)
    (row,) = found.operators
    assert (row.verdict, found.proven, row.accumulator) == ("overflows", False, "int32")
    assert [c.headroom < 0 for c in row.channels] == [True, False]
    overflow = row.overflow
    assert overflow is not None
    x = overflow.inputs[0]
    weights = model.subgraphs[0].tensors[1].buffer.data.view(np.int8).reshape(2, -1).astype(np.int64)
    exact = int(weights[0] @ x[0].astype(np.int64)) + 5
    assert overflow.accumulator == exact == row.channels[0].least
    assert overflow.wrapped == exact + 2**32
    assert np.sign(overflow.code) == -np.sign(overflow.exact_code)
    (output,) = run_qcore(model, [x])
    assert int(output[0, 0]) == overflow.code


def full_bias() -> Model:
    """A convolution whose bias leaves room for eight of nine terms."""
    weights = np.ones((1, 3, 3, 1))
    return one_operator(
        "CONV_2D",
        [
            T("int8", (1, 5, 5, 1), 1.0, -128),
            T("int8", (1, 3, 3, 1), [1.0], value=weights),
            T("int32", (1,), 1.0, value=[2**31 - 1 - 8 * 255]),
        ],
        [T("int8", (1, 5, 5, 1), 1e8, 0)],
        {"padding": "SAME", "stride_h": 1, "stride_w": 1},
    )


@pytest.mark.parametrize("model", [int16_dense(), full_bias()], ids=["int16", "bias"])
@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
def test_tensorflow_lite_overflows_on_the_same_input(model: Model, arithmetic: str) -> None:
    (row,) = ranges(model, arithmetic=arithmetic).operators
    overflow = row.overflow
    (output,) = run_tflite(model, [overflow.inputs[0]], RESOLVERS[arithmetic])
    place = (0, overflow.row, overflow.column, overflow.channel) if output.ndim == 4 else (0, overflow.channel)
    assert int(output[place]) == overflow.code


def test_a_bias_that_leaves_no_room_overflows_a_convolution_in_the_middle() -> None:
    model = full_bias()
    (row,) = ranges(model).operators
    overflow = row.overflow
    assert overflow.accumulator == 2**31 - 1 + 255
    assert 1 <= overflow.row <= 3
    assert 1 <= overflow.column <= 3
    assert (overflow.code, overflow.exact_code) == (-21, 21)
    (output,) = run_qcore(model, [overflow.inputs[0]])
    assert output[0, overflow.row, overflow.column, 0] == -21


def test_a_mean_of_too_many_numbers_overflows() -> None:
    x, axes = T("int16", (1, 2**16 + 2), 0.5), T("int32", (1,), value=[1])
    (row,) = ranges(one_operator("MEAN", [x, axes], [T("int16", (1,), 0.5)])).operators
    assert row.verdict == "overflows"
    assert row.overflow.accumulator == -(2**15) * (2**16 + 2)
    assert row.overflow.exact_code == -(2**15)
    assert row.overflow.code > 0


def test_sums_that_pass_int32_on_the_way_alone() -> None:
    """The bias brings back what the products alone would pass; nothing is wrong where integers wrap."""
    depth = 2**16 + 1000
    model = one_operator(
        "FULLY_CONNECTED",
        [
            T("int8", (1, depth), 1.0, -128),
            T("int8", (1, depth), 1.0, value=np.full((1, depth), 127)),
            T("int32", (1,), 1.0, value=[-(2**30)]),
        ],
        [T("int8", (1, 1), 1e8, 0)],
    )
    (row,) = ranges(model).operators
    assert row.verdict == "wraps between"
    assert row.channels[0].headroom > 0 > row.channels[0].partial_headroom
    assert row.overflow is None


def test_headroom_is_none_exactly_at_the_end_of_the_type() -> None:
    assert headroom(-(2**31), 2**31 - 1, 32) == 0
    assert headroom(0, 2**31, 32) < 0
    assert headroom(-5, 2**15 - 1, 32) == 16
    assert headroom(0, 0, 32) == 31


def test_observing_counts_what_is_cut_off_and_by_what() -> None:
    """Sums are the codes themselves; RELU6 ends at 60 of 127, the type cuts nothing off before."""
    identity = np.eye(3, dtype=np.int8)
    model = one_operator(
        "FULLY_CONNECTED",
        [T("int8", (1, 3), 0.1), T("int8", (3, 3), 1.0, value=identity), T("int32", (3,), 0.1, value=[0, 0, 0])],
        [T("int8", (1, 3), 0.1)],
        {"fused_activation_function": "RELU6"},
    )
    (row,) = ranges(model, [np.int8([[-1, 60, 61]]), np.int8([[-128, 127, 0]])]).operators
    s = row.saturation
    assert (s.elements, s.below, s.above, s.lower, s.upper) == (6, 2, 2, "RELU6", "RELU6")
    assert [c.observed for c in row.channels] == [(-128, -1), (60, 127), (0, 61)]
    assert [c.constant_on_samples for c in row.channels] == [True, True, False]
    assert row.constant == []


def test_a_range_that_ends_below_the_activation_is_cut_off_by_the_type() -> None:
    model = one_operator(
        "FULLY_CONNECTED",
        [T("int8", (1, 1), 0.1), T("int8", (1, 1), 1.0, value=[[1]]), T("int32", (1,), 0.1, value=[0])],
        [T("int8", (1, 1), 0.02, -128)],
        {"fused_activation_function": "RELU6"},
    )
    (row,) = ranges(model, [np.int8([[127]]), np.int8([[-3]])]).operators
    assert (row.saturation.lower, row.saturation.upper) == ("RELU6", "int8")
    assert (row.saturation.below, row.saturation.above) == (1, 1)


def test_what_looks_wrong_is_found_by_channel() -> None:
    weights = [[1, 2], [0, 0], [100, 100], [127, 127], [5, 5], [3, 3]]
    scale = np.float32([1.0, 1.0, 1e-9, 1.0, 1e-11, 1.0])
    bias = [0, 7, 0, 2**31 - 1, 0, -1000]
    said = np.float32([1.0, 1.0, 1e-9, 1.0, 1e-11, 1.5])
    model = one_operator(
        "FULLY_CONNECTED",
        [T("int8", (1, 2), 1.0, -128), T("int8", (6, 2), scale, value=weights), T("int32", (6,), said, value=bias)],
        [T("int8", (1, 6), 1.0, 127)],
    )
    (row,) = ranges(model).operators
    assert {f.kind: f.channels for f in row.findings} == {
        "zero-point": (),
        "no-weights": (1,),
        "constant": (0, 2, 4),
        "vanishing": (4,),
        "magnifying": (0, 1, 3, 5),
        "near-zero": (2, 4),
        "bias-clipped": (3,),
        "bias-scale": (5,),
    }
    assert row.verdict == "overflows"


def test_observing_changes_no_bit(rng_seed: int = 5) -> None:
    rng = np.random.default_rng(rng_seed)
    model = weighted(rng, "CONV_2D", (1, 5, 4, 3), (6, 3, 3, 3), (1, 5, 4, 6), padding="SAME", stride_h=1, stride_w=1)
    (x,) = random_inputs(model, rng)
    before = run_qcore(model, [x])[0]
    (row,) = ranges(model, [x]).operators
    np.testing.assert_array_equal(run_qcore(model, [x])[0], before)
    assert row.saturation.at_least == np.count_nonzero(before == -128)
    assert row.saturation.at_greatest == np.count_nonzero(before == 127)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
def test_the_bundled_model_cannot_overflow_and_keeps_its_bounds(arithmetic: str) -> None:
    with np.load(BUNDLED / "digits.npz") as data:
        samples = data["images"][:4, ..., np.newaxis] / np.float32(16)
    found = ranges(str(BUNDLED / "digits_int8.tflite"), samples, arithmetic=arithmetic)
    assert found.proven
    for row in found.operators:
        for channel in row.channels:
            assert channel.partial_least <= channel.least <= channel.observed[0]
            assert channel.observed[1] <= channel.greatest <= channel.partial_greatest


@pytest.mark.parametrize("name", ["kws_ref_model", "pretrainedResnet_quant", "pretrainedResnet_large_int8", "model_ToyCar_quant"])
def test_the_models_of_mlperf_tiny_cannot_overflow(name: str) -> None:
    file = SHARED / f"mlperf_tiny__{name}.tflite"
    if not file.exists():
        pytest.skip(f"needs {file.name}, which is not part of the project")
    found = ranges(str(file))
    assert found.proven
    assert any(row.channels for row in found.operators)


def test_no_samples_at_all_are_refused() -> None:
    with pytest.raises(InputError, match="there is none"):
        ranges(str(BUNDLED / "digits_int8.tflite"), [])


def test_the_command_shows_rows_and_channels_and_the_same_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "m.tflite"
    qcore.save(int16_dense(), file)
    assert main(["ranges", str(file)]) == 0
    out = capsys.readouterr().out
    assert "1 operators with integer accumulators, each by its worst channel: 0 proven not to overflow" in out
    assert "overflows: channel 0 at row 0, column 0: the sum is -249" in out
    assert main(["ranges", str(file), "--op", "0"]) == 0
    assert "2 channels, least headroom first: overflows" in capsys.readouterr().out
    assert main(["ranges", str(file), "--op", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(ranges(file).as_dict(0), default=lambda a: a.tolist()))
    assert main(["ranges", str(file), "--op", "1"]) == 2
    assert "operator 1 has no quantized output" in capsys.readouterr().err


def test_operators_without_outputs_have_no_accumulators() -> None:
    rng = np.random.default_rng(0)
    model = weighted(rng, "CONV_2D", (0, 4, 4, 2), (3, 3, 3, 2), (0, 4, 4, 3), padding="SAME", stride_h=1, stride_w=1)
    (row,) = ranges(model).operators
    assert row.channels == ()
    assert row.worst is None


def test_a_bias_at_the_end_of_int64_is_bounded_without_overflow_here() -> None:
    x, w = T("int16", (1, 2), 1.0), T("int8", (1, 2), [1.0], value=[[1, 1]])
    model = one_operator("FULLY_CONNECTED", [x, w, T("int64", (1,), 1.0, value=[2**63 - 1])], [T("int16", (1, 1), 1.0)])
    (row,) = ranges(model).operators
    assert row.accumulator == "int64"
    assert row.channels[0].greatest == 2**63 - 1 + 2 * (2**15 - 1)
    assert row.overflow.wrapped == row.overflow.accumulator - 2**64

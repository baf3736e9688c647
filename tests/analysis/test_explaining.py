"""``explain``: what it says of chosen elements, and that it says what kernels compute, whatever the operator, type and arithmetic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import qcore
from qcore.analysis.explaining import Explanation, explain, explain_traced
from qcore.analysis.explaining import element as explaining
from qcore.analysis.explaining.case import Case, Derivation
from qcore.analysis.explaining.explainers import BY_KERNEL
from qcore.analysis.tracing import trace
from qcore.errors import InputError, InternalError, QCoreError
from qcore.kernels.opdef import Arithmetic
from qcore.model import Model
from qcore.numerics.derivation import Line
from qcore.numerics.dtypes import element_type
from qcore.runtime.real_values import random_elements
from tests.conformance.harness import RESOLVERS, T, one_operator, run_tflite
from tests.kernels.blockwise import with_blocks

ARITHMETICS = get_args(Arithmetic)
MODELS = Path(__file__).parents[3] / "shared" / "models"
DIGITS = Path(qcore.__file__).parent / "data" / "digits_int8.tflite"


def convolution(scales: tuple[float, float, float], zero_points: tuple[int, int], weight: int, bias: int) -> Model:
    """CONV_2D of one channel and one pixel, whose accumulator is ``(q1 - Z1) * weight + bias``."""
    s1, s2, s3 = map(np.float32, scales)
    inputs = [
        T("int8", (1, 1, 1, 1), s1, zero_points[0]),
        T("int8", (1, 1, 1, 1), [s2], 0, value=[weight]),
        T("int32", (1,), [s1 * s2], 0, value=[bias]),
    ]
    return one_operator(
        "CONV_2D", inputs, [T("int8", (1, 1, 1, 1), s3, zero_points[1])], {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    )


def values(found: Explanation) -> dict[str, int]:
    return {name: int(chain.value) for name, chain in found.chains.items()}


def lines(found: Explanation, arithmetic: Arithmetic = "reference") -> dict[str, Line]:
    return {line.symbol: line for line in found.chains[arithmetic].lines}


EFFICIENTNET = convolution((0.05296124517917633, 0.024093778803944588, 0.11484327912330627), (-124, -126), 45, 0)


def test_the_accumulator_585_is_a_tie_in_float32_alone() -> None:
    """The public puzzle of the accumulator 585: XNNPACK's product is 6.5 to the last bit of float32, and goes to the even 6."""
    found = explain(EFFICIENTNET, np.full((1, 1, 1, 1), -111, np.int8), op=0, element=(0, 0, 0, 0))
    assert values(found) == {"reference": -119, "builtin": -119, "xnnpack": -120}
    reference, xnnpack = lines(found), lines(found, "xnnpack")
    assert (reference["x"].value, reference["m"].value, reference["s"].value) == (585, 1527099593, -6)
    assert (reference["H"].value, reference["R"].value, reference["R"].before) == (416, 7, Fraction(13, 2))
    assert (float(xnnpack["p"].value), xnnpack["R"].value, xnnpack["R"].ties) == (6.5, 6, "to even")
    assert xnnpack["p"].before != Fraction(13, 2)
    assert [line.value for line in found.exact][-2:] == [7, -119]
    assert "R meets 6.5, which lies halfway and goes to even, to 6" in found.parting


@pytest.mark.parametrize(
    ("code", "weight", "accumulator", "expected", "exact"),
    [
        (4, -106, -14771, {"reference": -52, "builtin": -51, "xnnpack": -52}, -52),
        (70, 30, 5025, {"reference": 14, "builtin": 14, "xnnpack": 13}, 13),
        (-6, -77, -10202, {"reference": -37, "builtin": -36, "xnnpack": -36}, -36),
    ],
)
def test_false_ties_part_the_arithmetics(code: int, weight: int, accumulator: int, expected: dict[str, int], exact: int) -> None:
    """The public puzzle that neither one rounding nor two explain: the builtin kernels' are two, whose ties go up."""
    model = convolution((0.15857075154781342, 0.010584672912955284, 0.5111709833145142), (-127, -3), weight, -885)
    found = explain(model, np.full((1, 1, 1, 1), code, np.int8), op=0, element=(0, 0, 0, 0))
    assert values(found) == expected
    assert found.exact[-1].value == exact
    reference, builtin = lines(found), lines(found, "builtin")
    assert (reference["x"].value, reference["m"].value, reference["s"].value) == (accumulator, 1805112046, -8)
    assert reference["H"] == builtin["H"]
    assert reference["R"].is_tie
    assert (reference["R"].ties, builtin["R"].ties) == ("away from zero", "up")
    assert not lines(found, "xnnpack")["R"].is_tie


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize(("code", "weight"), [(4, -106), (70, 30), (-6, -77)])
def test_tensorflow_lite_parts_as_explained(code: int, weight: int, arithmetic: Arithmetic) -> None:
    model = convolution((0.15857075154781342, 0.010584672912955284, 0.5111709833145142), (-127, -3), weight, -885)
    x = np.full((1, 1, 1, 1), code, np.int8)
    (given,) = run_tflite(model, [x], RESOLVERS[arithmetic])
    assert values(explain(model, x, op=0, element=(0, 0, 0, 0)))[arithmetic] == given.item()


def test_shared_lines_come_first_and_ways_are_grouped() -> None:
    found = explain(EFFICIENTNET, np.full((1, 1, 1, 1), -111, np.int8), op=0, element=(0, 0, 0, 0))
    assert [line.symbol for line in found.shared] == ["n", "P+", "P-", "A", "B", "b", "x"]
    assert [names for names, _ in found.groups] == [("reference",), ("builtin",), ("xnnpack",)]
    agreeing = explain(EFFICIENTNET, np.full((1, 1, 1, 1), -124, np.int8), op=0, element=(0, 0, 0, 0))
    assert agreeing.agree
    assert agreeing.parting == "every arithmetic gives -126, as exact numbers do"


def test_products_are_summed_and_padding_adds_none() -> None:
    rng = np.random.default_rng(0)
    filter, x = rng.integers(-127, 128, (2, 3, 3, 4)), rng.integers(-128, 128, (1, 5, 5, 4)).astype(np.int8)
    inputs = [T("int8", (1, 5, 5, 4), 0.02, -5), T("int8", (2, 3, 3, 4), [0.01, 0.02], 0, value=filter)]
    model = one_operator("CONV_2D", inputs, [T("int8", (1, 5, 5, 2), 0.5, 3)], {"padding": "SAME", "stride_h": 1, "stride_w": 1})
    found = explain(model, x, op=0, element=(0, 0, 4, 1))
    assert found.products is not None
    window, weights = x[0, 0:2, 3:5].astype(int), filter[1, 1:3, 0:2]
    assert found.products.values.tolist() == ((window + 5) * weights).reshape(-1).tolist()
    assert found.products.input[0].tolist() == [0, 0, 3, 0]
    assert found.products.filter[0].tolist() == [1, 1, 0, 0]
    chain = lines(found)
    assert chain["n"].value == 16
    assert "20 of them in padding" in chain["n"].formula
    assert int(chain["P+"].value) + int(chain["P-"].value) == int(chain["A"].value) + int(chain["B"].value) == chain["x"].value
    assert found.tensors[1].scale == np.float32(0.02)


def test_exact_numbers_round_once() -> None:
    """The element in rationals: real products over the output's scale, its zero point, and the activation's real bounds."""
    scale = [np.float32(s) for s in (0.1, 0.3, 0.05)]
    model = one_operator(
        "MUL",
        [T("int8", (1,), scale[0], 2), T("int8", (1,), scale[1], -1)],
        [T("int8", (1,), scale[2], -100)],
        {"fused_activation_function": "RELU6"},
    )
    found = explain(model, np.array([22], np.int8), np.array([19], np.int8), op=0, element=(0,))
    assert [line.symbol for line in found.exact] == ["r", "r'", "R", "q"]
    assert found.exact[0].value == Fraction(float(scale[0])) * Fraction(float(scale[1])) * 400
    assert [line.value for line in found.exact[1:]] == [6, 120, 20]


def test_exact_numbers_keep_to_an_activation_without_an_end() -> None:
    ends = [T("int8", (1,), 0.1, 0), T("int8", (1,), 0.1, 0)], [T("int8", (1,), 0.2, 5)]
    found = explain(
        one_operator("ADD", *ends, {"fused_activation_function": "RELU"}),
        np.array([-90], np.int8),
        np.array([10], np.int8),
        op=0,
        element=(0,),
    )
    assert [line.value for line in found.exact[1:]] == [0, 0, 5]
    assert found.agree


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_an_operator_within_a_model_has_the_inputs_of_the_run(arithmetic: Arithmetic) -> None:
    x = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8)
    run = trace(DIGITS, x, arithmetic=arithmetic)
    for op, operator in enumerate(run.operators):
        elements = run.at(operator.outputs[0]).elements
        place = tuple(size // 2 for size in elements.shape)
        found = explain_traced(run, op, place)
        assert found.run == arithmetic
        assert found.chains[arithmetic].value == elements[place]


def test_moved_elements_have_an_origin() -> None:
    x = np.random.default_rng(0).integers(-128, 128, (40, 50)).astype(np.int8)
    place = [T("int8", (40, 50), 0.1, 5), T("int32", (2, 2), value=[[3, 1], [0, 2]])]
    model = one_operator("PAD", place, [T("int8", (44, 52), 0.1, 5)])
    assert lines(explain(model, x, op=0, element=(20, 31)))["q1"].formula == "element [17, 31] of input 0, 'input0'"
    assert explain(model, x, op=0, element=(2, 31)).chains["reference"].lines[0].formula == "padding: no input's element"
    joined = one_operator("CONCATENATION", [T("int32", (200,)), T("int32", (300,))], [T("int32", (500,))])
    ones = np.ones(200, np.int32), np.ones(300, np.int32)
    assert lines(explain(joined, *ones, op=0, element=(499,)))["q2"].formula == "element [299] of input 1, 'input1'"
    words = one_operator("GATHER", [T("string", (3,)), T("int32", (1,), value=[2])], [T("string", (1,))])
    assert (
        lines(explain(words, np.array([b"a", b"b", b"a"], object), op=0, element=(0,)))["q1"].formula == "element [2] of input 0, 'input0'"
    )


def test_float_sums_are_compared_with_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    inputs = [T("float32", (1, 300)), T("float32", (4, 300), value=rng.normal(size=(4, 300)))]
    x = rng.normal(size=(1, 300)).astype(np.float32)
    found = explain(one_operator("FULLY_CONNECTED", inputs, [T("float32", (1, 4))]), x, op=0, element=(0, 2))
    assert found.products is not None
    assert lines(found)["y"].value == pytest.approx(float(found.products.values.sum()), rel=1e-12)
    assert lines(found)["r"].value == found.chains["reference"].value


def test_json_holds_what_the_table_shows() -> None:
    found = explain(EFFICIENTNET, np.full((1, 1, 1, 1), -111, np.int8), op=0, element=(0, 0, 0, 0))
    document, text = json.loads(found.to_json(full=True)), str(found)
    assert document["parting"] == found.parting
    assert [tensor["number"] for tensor in document["tensors"]] == ["1", "2", "b", "3"]
    for name, chain in document["arithmetics"].items():
        assert chain["value"] == chain["lines"][-1]["value"] == values(found)[name]
        assert all(line["text"] in text for line in chain["lines"])
    assert document["exact"][-2]["before_exact"] == str(found.exact[-2].before)
    assert document["products"] == [{"input": [0, 0, 0, 0], "filter": [0, 0, 0, 0], "values": [13, 45], "product": 585}]
    assert max(map(len, text.splitlines())) <= 100


def test_what_is_not_there_is_refused() -> None:
    x = np.zeros((1, 1, 1, 1), np.int8)
    for element in ((0, 0, 0), (0, 0, 0, 1), (0, 0, 0, -1)):
        with pytest.raises(InputError, match=r"there is no element .* in output .* of shape \[1, 1, 1, 1\]"):
            explain(EFFICIENTNET, x, op=0, element=element)
    with pytest.raises(InputError, match="the model has 1 operators"):
        explain(EFFICIENTNET, x, op=1, element=(0, 0, 0, 0))
    with pytest.raises(InputError, match="there is no output 1, it has 1"):
        explain(EFFICIENTNET, x, op=0, element=(0, 0, 0, 0), output=1)


def test_lines_that_do_not_end_in_the_kernels_value_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(case: Case) -> Derivation:
        return Derivation([Line("q", "made up", int(case.value) + 1)], ())

    monkeypatch.setattr(explaining, "explainer", lambda case: wrong)
    with pytest.raises(InternalError, match=r"is explained as -125, but kernels.conv.convolve_quantized gave -126"):
        explain(EFFICIENTNET, np.full((1, 1, 1, 1), -124, np.int8), op=0, element=(0, 0, 0, 0))


def test_an_operator_that_remembers_is_explained_as_it_ran() -> None:
    found = explain(one_operator("RANDOM_UNIFORM", [T("int32", (1,), value=[3])], [T("float32", (3,))], {"seed": 1}), op=0, element=(1,))
    assert list(found.chains) == ["reference"]
    assert found.parting.startswith("reference gives 0.")


def models() -> list[Any]:
    """One-operator models of every operator that has lines, by type."""
    eight = ("int8", "uint8")
    every = (*eight, "int16")
    found: list[tuple[str, Model]] = []

    def add(name: str, inputs: list[T | None], outputs: list[T], options: dict[str, Any] | None = None, version: int = 1) -> None:
        first = next(t for t in inputs if t is not None and (t.dtype != "int32" or t.value is None))
        found.append((f"{name}-{first.dtype}-{len(found)}", one_operator(name, inputs, outputs, options, version)))

    def q(dtype: str, shape: Sequence[int], scale: float = 0.05, zero_point: int = 3) -> T:
        return T(dtype, shape, None if dtype == "float32" else scale, 0 if dtype in ("int16", "float32") else zero_point)

    rng = np.random.default_rng(1)

    def weights(dtype: str, shape: tuple[int, ...], channels: int, axis: int) -> T:
        limits = (0, 256) if dtype == "uint8" else (-127, 128)
        scale = 0.02 if dtype == "uint8" else rng.uniform(0.01, 0.03, channels)
        value = rng.uniform(-1, 1, shape) if dtype == "float32" else rng.integers(*limits, shape)
        return T(dtype, shape, None if dtype == "float32" else scale, 100 if dtype == "uint8" else 0, axis, value=value)

    def bias(dtype: str, channels: int, filter: T) -> T:
        if dtype == "float32":
            return T("float32", (channels,), value=rng.uniform(-1, 1, channels))
        scale = np.float32(0.05) * np.asarray(filter.scale, np.float32)
        return T("int64" if dtype == "int16" else "int32", (channels,), scale, 0, value=rng.integers(-2000, 2000, channels))

    kinds = [("int8", "int8"), ("uint8", "uint8"), ("int16", "int8"), ("float32", "int8"), ("float32", "float32")]
    window = {"padding": "SAME", "stride_h": 2, "stride_w": 1}
    for dtype, of_filter in kinds:
        w = weights(of_filter, (9, 3, 2, 4), 9, 0)
        output = q(dtype, (2, 3, 6, 9), 0.3)
        add("CONV_2D", [q(dtype, (2, 6, 6, 4)), w, bias(dtype, 9, w)], [output], {**window, "fused_activation_function": "RELU"})
        w = weights(of_filter, (1, 3, 3, 10), 10, 3)
        output = q(dtype, (2, 3, 6, 10), 0.2)
        add("DEPTHWISE_CONV_2D", [q(dtype, (2, 6, 6, 5)), w, bias(dtype, 10, w)], [output], {**window, "depth_multiplier": 2})
        w = weights(of_filter, (10, 3, 2, 4), 10, 0)
        shape = T("int32", (4,), value=[1, 6, 5, 10])
        add("TRANSPOSE_CONV", [shape, w, q(dtype, (1, 3, 5, 4)), bias(dtype, 10, w)], [q(dtype, (1, 6, 5, 10), 0.3)], window)
        w = weights(of_filter, (5, 16), 5, 0)
        add("FULLY_CONNECTED", [q(dtype, (2, 4, 16)), w, bias(dtype, 5, w)], [q(dtype, (8, 5), 0.3)])
    for dtype, other in (("int8", "int8"), ("int16", "int16"), ("float32", "int8"), ("float32", "float32")):
        y = q(other, (1, 5, 6), 0.02) if other != "int8" or dtype == "int8" else weights("int8", (1, 5, 6), 1, 0)
        y.scale, y.zero_point = (None if other == "float32" else 0.02), 0
        add("BATCH_MATMUL", [q(dtype, (2, 5, 4)), y], [q(dtype, (2, 4, 6), 0.3)], {"adj_x": True, "asymmetric_quantize_inputs": True})
    pool = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "filter_height": 3, "filter_width": 2}
    for dtype in (*every, "float32"):
        same = q(dtype, (2, 4, 4, 20))
        add("AVERAGE_POOL_2D", [same], [same], pool)
        add("MAX_POOL_2D", [same], [same], {**pool, "fused_activation_function": "RELU6"})
        for name in ("MEAN", "SUM"):
            add(
                name,
                [same, T("int32", (2,), value=[1, 2])],
                [q(dtype, (2, 1, 1, 20), 0.04, -7 if dtype == "int8" else 9)],
                {"keep_dims": True},
            )
            add(name, [same, T("int32", (1,), value=[3])], [q(dtype, (2, 4, 4), 0.3)])
        for name in ("REDUCE_MAX", "REDUCE_MIN"):
            add(name, [same, T("int32", (1,), value=[-1])], [q(dtype, (2, 4, 4))])
        add("LEAKY_RELU", [same], [q(dtype, same.shape, 0.04)], {"alpha": 0.2})
        for name in ("RELU", "RELU6"):
            add(name, [same], [q(dtype, same.shape, 0.04)])
        for name in ("ADD", "SUB"):
            options = {"fused_activation_function": "RELU"} | ({"pot_scale_int16": False} if dtype == "int16" else {})
            add(name, [q(dtype, (3, 20)), q(dtype, (3, 20), 0.07, 50)], [q(dtype, (3, 20), 0.09)], options)
            add(name, [q(dtype, (3, 20)), q(dtype, (20,), 0.07, 50)], [q(dtype, (3, 20), 0.09)], options)
        add("MUL", [q(dtype, (3, 20)), q(dtype, (20,), 0.03, 50)], [q(dtype, (3, 20), 0.06)])
        add("MAXIMUM", [q(dtype, (3, 20)), q(dtype, (20,))], [q(dtype, (3, 20))])
    for dtype in every:
        add("QUANTIZE", [q("float32", (3, 11))], [q(dtype, (3, 11), 0.01)])
        add("DEQUANTIZE", [q(dtype, (3, 11))], [q("float32", (3, 11))])
        add("QUANTIZE", [q(dtype, (3, 21))], [q(dtype, (3, 21), 0.06, 7)])
    for dtype in eight:
        lowest = int(element_type(dtype).quantized_min)
        add("LOGISTIC", [q(dtype, (2, 30))], [q(dtype, (2, 30), 1 / 256, lowest)])
        add("SOFTMAX", [q(dtype, (2, 30))], [q(dtype, (2, 30), 1 / 256, lowest)], {"beta": 1.0})
        for name in ("TANH", "GELU", "HARD_SWISH", *(["ELU"] if dtype == "int8" else [])):
            add(name, [q(dtype, (2, 30))], [q(dtype, (2, 30), 0.02)])
        add("PRELU", [q(dtype, (2, 30)), q(dtype, (30,), 0.01, 100)], [q(dtype, (2, 30), 0.04)])
    for name in ("LOGISTIC", "TANH"):
        add(name, [q("int16", (2, 30), 0.0003)], [q("int16", (2, 30), 1 / 32768)])
        add(name, [q("int16", (2, 30), 1 / 4096)], [q("int16", (2, 30), 1 / 32768)])
    for dtype in ("int8", "int16"):
        for name in ("EXP", "ABS", "LOG"):
            add(name, [q(dtype, (2, 30), 0.0001 if dtype == "int16" else 0.05)], [q(dtype, (2, 30), 0.001 if dtype == "int16" else 0.1)])
    w = weights("int8", (9, 1, 1, 4), 9, 0)
    add("CONV_2D", [q("float32", (2, 3, 3, 4)), w, bias("float32", 9, w)], [q("float32", (2, 3, 3, 9))], {"stride_h": 1, "stride_w": 1})
    add("MEAN", [T("int32", (3, 5)), T("int32", (1,), value=[1])], [T("int32", (3,))])
    for name in ("SQRT", "RSQRT"):
        add(name, [q("int8", (2, 30), 0.05, -128)], [q("int8", (2, 30), 0.03)])
    add("SQUARED_DIFFERENCE", [q("int8", (3, 20)), q("int8", (20,), 0.07, 50)], [q("int8", (3, 20), 0.3)])
    for dtype in (*every, "float32", "int32", "bool"):
        plain = T(dtype, (2, 6)) if dtype in ("int32", "bool") else q(dtype, (2, 6))
        add("TRANSPOSE", [plain, T("int32", (2,), value=[1, 0])], [T(dtype, (6, 2), plain.scale, plain.zero_point)])
        add("CONCATENATION", [plain, plain], [T(dtype, (4, 6), plain.scale, plain.zero_point)], {"axis": 0})
        add("PAD", [plain, T("int32", (2, 2), value=[1, 1, 0, 2])], [T(dtype, (4, 8), plain.scale, plain.zero_point)])
    add("CONCATENATION", [q("uint8", (2, 6)), q("uint8", (2, 6), 0.07, 9)], [q("uint8", (2, 12))], {"axis": 1})
    for dtype in (*every, "float32"):
        for half in (False, True):
            size = T("int32", (2,), value=[5, 7])
            add("RESIZE_BILINEAR", [q(dtype, (1, 3, 4, 2)), size], [q(dtype, (1, 5, 7, 2))], {"half_pixel_centers": half})
        if dtype in eight:
            add("DIV", [q(dtype, (3, 20)), q(dtype, (20,), 0.07, 50)], [q(dtype, (3, 20), 0.09)], {"fused_activation_function": "RELU"})
            add("LESS", [q(dtype, (3, 20)), q(dtype, (20,), 0.07, 50)], [T("bool", (3, 20))])
    ids = T("int32", (3,), value=[4, 0, 3])
    for dtype, scale in (("int8", [0.1, 0.2, 0.3, 0.4, 0.5]), ("int4", 0.1)):
        add("EMBEDDING_LOOKUP", [ids, T(dtype, (5, 6), scale, value=rng.integers(-7, 8, (5, 6)))], [T("float32", (3, 6))])
    add("L2_POOL_2D", [T("float32", (1, 4, 4, 3))], [T("float32", (1, 4, 4, 3))], pool)
    strides = {"stride_d": 1, "stride_h": 1, "stride_w": 1}
    add("CONV_3D", [T("float32", (1, 3, 4, 5, 2)), T("float32", (2, 3, 2, 2, 4))], [T("float32", (1, 3, 4, 5, 4))], strides)
    deep = [T("int32", (5,), value=[1, 4, 8, 5, 3]), T("float32", (2, 3, 2, 3, 4)), T("float32", (1, 3, 3, 4, 4))]
    add("CONV_3D_TRANSPOSE", deep, [T("float32", (1, 4, 8, 5, 3))], {**strides, "padding": "VALID", "stride_h": 2})
    w = T("int4", (5, 64), value=rng.integers(-7, 8, (5, 64)))
    blocks = one_operator("FULLY_CONNECTED", [q("float32", (2, 64)), w, bias("float32", 5, T("float32", ()))], [T("float32", (2, 5))])
    found.append(("FULLY_CONNECTED-blockwise", with_blocks(blocks, 1, 32, rng.uniform(0.01, 0.1, (5, 2)))))
    return [pytest.param(model, id=name) for name, model in found]


@pytest.mark.parametrize("model", models())
def test_every_explained_element_is_the_kernels(model: Model) -> None:
    """Each explanation checks itself: its lines must end in what the kernel gave, in every arithmetic."""
    rng, graph = np.random.default_rng(7), model.subgraphs[0]
    inputs = [random_elements(graph.tensors[i], graph.tensors[i].shape, rng) for i in graph.inputs]
    run = trace(model, *inputs)
    elements = run.at(graph.outputs[0]).elements
    for _ in range(6):
        place = tuple(int(rng.integers(size)) for size in elements.shape)
        found = explain_traced(run, 0, place)
        assert list(found.chains) == list(ARITHMETICS)
        assert all("explain has no lines" not in chain.lines[-1].formula for chain in found.chains.values())
        assert found.chains["reference"].value == elements[place]
        assert str(found)
        assert json.loads(found.to_json())["parting"] == found.parting


def test_every_kernel_that_has_lines_is_among_these_models() -> None:
    met = set()
    for parameter in models():
        (model,) = parameter.values
        rng, graph = np.random.default_rng(7), model.subgraphs[0]
        run = trace(model, *(random_elements(graph.tensors[i], graph.tensors[i].shape, rng) for i in graph.inputs))
        place = tuple(size - 1 for size in run.at(graph.outputs[0]).elements.shape)
        for at in (place, (0,) * len(place)):
            met |= {explaining.single(run, 0, arithmetic, 0, at).kernel for arithmetic in ARITHMETICS}
    assert set(BY_KERNEL) <= met, [kernel for kernel in BY_KERNEL if kernel not in met]


@pytest.mark.parametrize("name", ["mlperf_tiny__kws_ref_model", "tflm__hello_world_int8", "litert_quantbin__fc", "tflm__seanet_conv11"])
def test_elements_of_real_models(name: str) -> None:
    file = MODELS / f"{name}.tflite"
    if not file.exists():
        pytest.skip(f"needs {file.name} of shared/models")
    model = qcore.load(file)
    rng, graph = np.random.default_rng(0), model.subgraphs[0]
    run = trace(model, *(random_elements(graph.tensors[i], graph.tensors[i].shape, rng) for i in graph.inputs), arithmetic="xnnpack")
    for op, operator in enumerate(run.operators):
        elements = run.at(operator.outputs[0]).elements
        place = tuple(int(rng.integers(size)) for size in elements.shape)
        assert explain_traced(run, op, place).chains["xnnpack"].value == elements[place]


def test_a_model_that_cannot_run_is_refused_as_running_it_is() -> None:
    with pytest.raises(QCoreError):
        explain(EFFICIENTNET, op=0, element=(0, 0, 0, 0))

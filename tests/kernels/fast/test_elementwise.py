"""Functions of one 8-bit code and of two as native code: the reference's integers on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels import addition, multiplication
from qcore.kernels.fast.stand_ins import Sum, as_float32, as_linear, as_tables
from qcore.numerics.fixed_point import DoubleRounding, quantize_multiplier
from qcore.runtime.plan import Settings
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast, run

ARITHMETICS = ["reference", "builtin", "xnnpack"]
COMPARISONS = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]


def pair(
    operator, shape1, shape2, *, scales=(0.05, 0.031, 0.07), zero_points=(3, -5, 7), dtype="int8", activation="NONE", values=(None, None)
):
    shape = list(np.broadcast_shapes(tuple(shape1), tuple(shape2)))
    tensors = [T(dtype, s, scales[i], zero_points[i], value=values[i]) for i, s in enumerate((shape1, shape2))]
    output = T("bool", shape) if operator in COMPARISONS else T(dtype, shape, scales[2], zero_points[2])
    options = {"fused_activation_function": activation} if operator in ("ADD", "SUB", "MUL") else None
    return one_operator(operator, tensors, [output], options, version=2)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("shape", [[1], [7], [64], [3, 5, 33], [1, 4200]], ids=str)
def test_operands_of_one_shape(tier, operator, shape, arithmetic):
    m = pair(operator, shape, shape)
    assert_fast(m, random_inputs(m, np.random.default_rng(1)), arithmetic)


@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("shapes", [([2, 5, 7, 80], [1, 1, 1, 80]), ([6], [2, 9, 6]), ([1, 3, 4], [5, 3, 4]), ([4, 1500], [1500])], ids=str)
def test_an_operand_that_repeats(tier, operator, shapes):
    m = pair(operator, *shapes)
    assert_fast(m, random_inputs(m, np.random.default_rng(2)))


@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("size", [1, 40])
def test_an_operand_that_is_constant(operator, which, size):
    rng = np.random.default_rng(3)
    shapes, values = [[3, 40], [3, 40]], [None, None]
    shapes[which], values[which] = [size], rng.integers(-128, 128, size)
    m = pair(operator, *shapes, values=values)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
def test_every_pair_of_codes(operator, arithmetic):
    """Zero points at the ends, scales that make ties and saturate, bounds of activations, and uint8."""
    codes = np.arange(-128, 128)
    every = [np.broadcast_to(c, (256, 256)).copy() for c in (codes[:, np.newaxis], codes)]
    rng = np.random.default_rng(4)
    for case in range(24):
        scales = (
            [float(s) for s in 2.0 ** rng.uniform(-6, -1, 3)] if case % 4 else [0.0625, 0.0625, [0.125, 0.0625, 0.03125][case // 4 % 3]]
        )
        zero_points = rng.choice([-128, 127, 0, 55], 3)
        dtype, offset = ("uint8", 128) if case % 3 == 2 else ("int8", 0)
        activation = ["NONE", "RELU", "RELU6"][case % 5 % 3]
        m = pair(operator, [256, 256], [256, 256], scales=scales, zero_points=zero_points + offset, dtype=dtype, activation=activation)
        assert_fast(m, [(x + offset).astype(dtype) for x in every], arithmetic)


def test_the_output_of_a_sum_may_be_far_coarser_or_finer_than_its_operands(tier):
    for scale in (1e-4, 30.0):
        m = pair("ADD", [300], [300], scales=(0.05, 0.03, scale))
        assert_fast(m, random_inputs(m, np.random.default_rng(5)))


@pytest.mark.parametrize("tables", [True, False])
def test_where_nothing_cheaper_is_exact_a_sum_is_requantized_as_the_reference_does(tier, monkeypatch, tables):
    monkeypatch.setattr("qcore.kernels.fast.elementwise_lowering.as_linear", lambda _: None)
    if not tables:
        monkeypatch.setattr("qcore.kernels.fast.elementwise_lowering.as_tables", lambda _: None)
    for operator in ("ADD", "SUB"):
        m = pair(operator, [3, 100], [3, 100])
        assert_fast(m, random_inputs(m, np.random.default_rng(6)))


def test_where_float32_is_not_exact_the_product_is_requantized_as_the_reference_does(tier):
    """A power of two makes ties, which two roundings take to either side."""
    p = multiplication.Params(3, -5, DoubleRounding(*quantize_multiplier(2.0**-7)), 0, -128, 127)
    assert as_float32(p, np.dtype(np.int8)) is None
    m = pair("MUL", [300], [300], scales=(0.125, 0.125, 2.0))
    assert_fast(m, random_inputs(m, np.random.default_rng(7)))


def test_stand_ins_are_found_for_most_scales():
    rng, sums, products = np.random.default_rng(8), 0, 0
    for _ in range(20):
        scales = 2.0 ** rng.uniform(-6, -1, 3)
        session, _ = run(pair("ADD", [4], [4], scales=scales), [np.zeros(4, np.int8)] * 2, Settings())
        (planned,) = session.executor().allocated().operators
        assert isinstance(planned.step.params, addition.Params)
        sums += as_linear(Sum.of(planned.step.params, np.dtype(np.int8))) is not None
        requantize = DoubleRounding(*quantize_multiplier(scales[0] * scales[1] / scales[2]))
        products += as_float32(multiplication.Params(3, -5, requantize, 7, -128, 127), np.dtype(np.int8)) is not None
    assert sums >= 18
    assert products >= 18


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads):
    for operator in ("ADD", "MUL"):
        m = pair(operator, [1, 9000], [1, 9000])
        assert_fast(m, random_inputs(m, np.random.default_rng(9)), threads=threads)


TIES = [(0.02, 0.03, 0.04), (0.05, 0.06, 0.02), (0.06, 0.04, 0.04), (0.125, 0.25, 0.25), (0.0625, 0.125, 0.03125)]


@pytest.mark.parametrize("operator", ["ADD", "SUB"])
@pytest.mark.parametrize("scales", TIES, ids=str)
def test_sums_of_which_many_are_ties(tier, operator, scales):
    codes = np.arange(-128, 128).astype(np.int8)
    every = [np.broadcast_to(c, (256, 256)).copy() for c in (codes[:, np.newaxis], codes)]
    for dtype, zero_points in (("int8", (3, -5, 7)), ("uint8", (0, 255, 128))):
        m = pair(operator, [256, 256], [256, 256], scales=scales, zero_points=zero_points, dtype=dtype)
        assert_fast(m, [x.view(dtype) for x in every])


def test_ties_have_stand_ins_too():
    found = []
    for scales in TIES:
        session, _ = run(pair("ADD", [4], [4], scales=scales), [np.zeros(4, np.int8)] * 2, Settings())
        wanted = Sum.of(session.executor().allocated().operators[0].step.params, np.dtype(np.int8))
        found.append((as_linear(wanted) is not None, as_tables(wanted) is not None))
    assert found[:3] == [(False, True), (False, True), (False, True)]
    assert all(linear for linear, _ in found[3:])


@pytest.mark.parametrize("operator", ["ADD", "MUL", "LESS"])
@pytest.mark.parametrize("shapes", [([2, 3, 4], [2, 3, 1]), ([5, 1, 70], [1, 4, 70]), ([3, 1], [1, 90]), ([1, 2, 200], [3, 2, 1])], ids=str)
def test_operands_that_repeat_along_any_axes(tier, operator, shapes):
    m = pair(operator, *shapes)
    assert_fast(m, random_inputs(m, np.random.default_rng(10)))


@pytest.mark.parametrize("operator", [*COMPARISONS, "SQUARED_DIFFERENCE"])
@pytest.mark.parametrize("shapes", [([3, 100], [3, 100]), ([7], [7]), ([2, 65], [65]), ([70], [1])], ids=str)
def test_comparisons_and_squared_differences(tier, operator, shapes):
    m = pair(operator, *shapes)
    assert_fast(m, random_inputs(m, np.random.default_rng(14)))


@pytest.mark.parametrize("operator", [*COMPARISONS, "SQUARED_DIFFERENCE"])
def test_every_pair_of_codes_is_compared(operator):
    """Scales that are equal, above 1, and so small that many values are one; zero points at both ends, next to one another, and uint8."""
    codes = np.arange(-128, 128).astype(np.int8)
    every = [np.broadcast_to(c, (256, 256)).copy() for c in (codes[:, np.newaxis], codes)]
    for scales in ((0.05, 0.05, 0.3), (0.05, 0.03, 0.1), (1.5, 0.3, 90.0), (0.0001, 0.0002, 0.0001)):
        for dtype, zero_points in (("int8", (-128, 127, -128)), ("int8", (3, 4, 127)), ("uint8", (0, 255, 0)), ("uint8", (9, 9, 255))):
            if dtype == "int8" or operator != "SQUARED_DIFFERENCE":
                m = pair(operator, [256, 256], [256, 256], scales=scales, zero_points=zero_points, dtype=dtype)
                assert_fast(m, [x.view(dtype) for x in every])


FUNCTIONS = {
    "LOGISTIC": ((1 / 256, -128), {}),
    "TANH": ((1 / 128, 0), {}),
    "HARD_SWISH": ((0.03, -100), {}),
    "LEAKY_RELU": ((0.03, 5), {"alpha": 0.2}),
    "RELU6": ((0.03, -128), {}),
    "ABS": ((0.05, 3), {}),
    "EXP": ((0.3, 3), {}),
    "QUANTIZE": ((0.02, -7), {}),
}


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("operator", FUNCTIONS)
def test_functions_of_one_code(operator, arithmetic):
    (scale, zero_point), options = FUNCTIONS[operator]
    m = one_operator(operator, [T("int8", [3, 171], 0.05, 3)], [T("int8", [3, 171], scale, zero_point)], options, version=2)
    assert_fast(m, random_inputs(m, np.random.default_rng(11)), arithmetic)


@pytest.mark.parametrize("shape", [[1], [63], [64], [5, 257]], ids=str)
def test_tables_of_codes_and_of_real_numbers(tier, shape):
    rng = np.random.default_rng(12)
    for m in (
        one_operator("LOGISTIC", [T("int8", shape, 0.05, 3)], [T("int8", shape, 1 / 256, -128)]),
        one_operator("DEQUANTIZE", [T("uint8", shape, 0.05, 3)], [T("float32", shape)]),
    ):
        for arithmetic in ARITHMETICS:
            assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize(("input", "output"), [("int16", "int16"), ("int8", "int16"), ("int16", "int8")])
def test_codes_and_entries_of_sixteen_bits(tier, input, output):
    """Tables of 16-bit codes are for tensors with more elements than those."""
    shape = [3, 23000]
    m = one_operator("QUANTIZE", [T(input, shape, 0.05, 0)], [T(output, shape, 0.02, 0)], version=2)
    assert_fast(m, random_inputs(m, np.random.default_rng(13)))

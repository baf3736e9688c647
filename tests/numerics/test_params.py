"""Quantization parameters: what they refuse, what shapes they fit, and how they follow from a range."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.errors import InputError, QCoreError, QuantizationError
from qcore.numerics import QuantParams, choose_params, element_type
from tests.oracles import fixed_point as oracle

CODES = ["int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "int32"]
REALS = st.floats(-(2.0**100), 2.0**100, width=32)


def test_scale_and_zero_point_are_arrays_of_one_shape() -> None:
    params = QuantParams(0.5, 3)
    assert (params.scale.dtype, params.zero_point.dtype) == (np.float32, np.int64)
    assert params.scale.shape == params.zero_point.shape == (1,)
    assert params.single() == (0.5, 3)
    several = QuantParams(np.ones(4), np.zeros(1, np.int32), quantized_dimension=1)
    assert several.zero_point.tolist() == [0, 0, 0, 0]
    with pytest.raises(QuantizationError, match="4 scales"):
        several.single()


def test_range_of_codes() -> None:
    assert (QuantParams(np.ones(1), np.zeros(1, int)).quantized_min, QuantParams(np.ones(1), np.zeros(1, int)).quantized_max) == (-128, 127)
    assert QuantParams(np.ones(1), np.zeros(1, int), narrow_range=True).quantized_min == -127
    assert QuantParams(np.ones(1), np.zeros(1, int), "int4", narrow_range=True).quantized_min == -7
    assert QuantParams(np.ones(1), np.ones(1, int), "uint4").quantized_max == 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": np.float32([-1]), "zero_point": 0}, "scale"),
        ({"scale": np.float32([np.nan]), "zero_point": 0}, "scale"),
        ({"scale": np.float32([np.inf]), "zero_point": 0}, "scale"),
        ({"scale": 1e300, "zero_point": 0}, "scale"),
        ({"scale": np.zeros(0), "zero_point": np.zeros(0, int), "quantized_dimension": 0}, "scale"),
        ({"scale": "one", "zero_point": 0}, "real numbers"),
        ({"scale": 1.0, "zero_point": 0.5}, "zero_point"),
        ({"scale": 1.0, "zero_point": 128}, "zero_point"),
        ({"scale": 1.0, "zero_point": -1, "dtype": "uint8"}, "zero_point"),
        ({"scale": 1.0, "zero_point": 1, "dtype": "int64"}, "zero_point"),
        ({"scale": np.ones(3), "zero_point": np.zeros(2, int), "quantized_dimension": 0}, "zero_point"),
        ({"scale": np.ones(3), "zero_point": np.zeros(3, int)}, "quantized_dimension"),
        ({"scale": 1.0, "zero_point": 0, "block_size": 4}, "quantized_dimension"),
        ({"scale": np.ones(3), "zero_point": 0, "quantized_dimension": -1}, "quantized_dimension"),
        ({"scale": np.ones(3), "zero_point": 0, "quantized_dimension": 0, "block_size": -1}, "block_size"),
        ({"scale": np.ones((3, 2)), "zero_point": 0, "quantized_dimension": 0}, "one dimension"),
        ({"scale": 1.0, "zero_point": 0, "dtype": "float32"}, "float32"),
        ({"scale": 1.0, "zero_point": 0, "dtype": "int7"}, "int7"),
    ],
)
def test_parameters_that_no_tensor_could_have_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(QCoreError, match=message):
        QuantParams(**arguments)


def test_broadcast_puts_scales_on_their_axis() -> None:
    params = QuantParams(np.arange(1, 4), np.arange(3), quantized_dimension=1)
    scale, zero_point = params.broadcast((2, 3, 4, 5))
    assert scale.shape == zero_point.shape == (3, 1, 1)
    assert QuantParams(np.ones(1), np.zeros(1, int)).broadcast(()).__getitem__(0).shape == ()


def test_broadcast_repeats_the_scales_of_blocks() -> None:
    params = QuantParams(np.arange(1, 7).reshape(2, 3), np.zeros(1, int), quantized_dimension=1, block_size=2)
    scale, _ = params.broadcast((2, 6))
    assert scale.tolist() == [[1, 1, 2, 2, 3, 3], [4, 4, 5, 5, 6, 6]]


@pytest.mark.parametrize("shape", [(), (3,), (2, 4), (2, 4, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    per_channel = QuantParams(np.ones(3), np.zeros(1, int), quantized_dimension=1)
    blockwise = QuantParams(np.ones((2, 3)), np.zeros(1, int), quantized_dimension=1, block_size=2)
    for params in (per_channel, blockwise):
        with pytest.raises(QuantizationError, match="tensor of shape"):
            params.broadcast(shape)
    with pytest.raises(QuantizationError, match="blocks of 2"):
        blockwise.broadcast((2, 7))


def test_the_example_of_the_documentation() -> None:
    params = choose_params(-1.2, 3.4, dtype="int8")
    assert params.single() == (float(np.float32(0.018039215)), -61)
    assert (params.dtype, params.quantized_dimension, params.narrow_range) == ("int8", None, False)


@pytest.mark.parametrize("dtype", CODES)
@given(low=REALS, high=REALS)
def test_the_nudged_range_is_half_a_step_from_the_range_asked_for(dtype: str, low: float, high: float) -> None:
    """Real 0 is a code, the scale is the float32 nearest to the widened range by the codes, and both ends are nearly kept."""
    low, high = sorted((low, high))
    params = choose_params(low, high, dtype)
    scale, zero_point = params.single()
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-6:
        low, high = min(low, -5e-7), max(high, 5e-7)
    steps = params.quantized_max - params.quantized_min
    assert scale == np.float32((high - low) / steps)
    slack = 0.5 + steps * 2.0**-23
    assert abs((params.quantized_min - zero_point) - low / scale) <= slack
    assert abs((params.quantized_max - zero_point) - high / scale) <= slack


@given(low=REALS, high=REALS)
def test_float32_precision_in_exact_arithmetic(low: float, high: float) -> None:
    low, high = sorted((min(low, 0.0), max(high, 0.0)))
    if high - low <= 1e-6:
        return
    scale, zero_point = choose_params(low, high, precision="float32").single()
    spread = oracle.to_float(Fraction(high) - Fraction(low), 24)
    exact_scale = oracle.to_float(spread / 255, 24)
    assert scale == float(exact_scale)
    quotient = oracle.to_float(Fraction(low) / exact_scale, 53)
    offset = oracle.to_float(oracle.to_float(-128 - quotient, 53), 24)
    assert zero_point == min(max(oracle.half_away(offset), -128), 127)


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("narrow", [False, True])
def test_symmetric_ranges_have_the_middle_code(dtype: str, narrow: bool) -> None:
    kind = element_type(dtype)
    for low, high in ((-3.0, 1.0), (0.0, 3.0), (-3.0, -3.0)):
        params = choose_params(low, high, dtype, symmetric=True, narrow_range=narrow)
        middle = 0 if kind.signed else 2 ** (kind.bits - 1)
        assert params.single() == (np.float32(3.0 / (kind.quantized_max - middle)), middle)
        assert params.quantized_min == kind.quantized_min + narrow


def test_all_zero_weights_have_the_converters_least_scale() -> None:
    assert choose_params(0, 0, symmetric=True, narrow_range=True).scale[0] == np.float32(3.9370081e-09)
    assert choose_params(0, 0).scale[0] == np.float32(1e-6 / 255)
    assert choose_params(0, 1e-6).scale[0] == np.float32(1.5e-6 / 255)
    assert choose_params(0, 1.01e-6).scale[0] == np.float32(1.01e-6 / 255)


def test_arrays_of_ranges_give_per_channel_parameters() -> None:
    low, high = np.array([-1.0, -2.0, 0.0]), np.array([1.5, 0.0, 0.0])
    params = choose_params(low, high, "uint8", axis=3)
    assert params.quantized_dimension == 3
    each = [choose_params(a, b, "uint8").single() for a, b in zip(low, high, strict=True)]
    assert list(zip(params.scale.tolist(), params.zero_point.tolist(), strict=True)) == each
    assert choose_params([-1.0], [1.0]).quantized_dimension == 0
    assert choose_params(-1.0, [1.0, 2.0]).scale.size == 2


@pytest.mark.parametrize(("low", "high"), [(math.nan, 1), (-math.inf, 0), (0, math.inf), (1, -1), ([0, 2], [1, 1])])
def test_ranges_that_are_none_are_refused(low: Any, high: Any) -> None:
    with pytest.raises(QuantizationError, match="choose_params: got range"):
        choose_params(low, high)


@pytest.mark.parametrize(
    ("low", "high", "dtype"), [("a", 1, "int8"), (np.zeros((2, 2)), 1, "int8"), (0, 1, "float32"), (0, 1, "int3"), (0, 1, None)]
)
def test_arguments_that_make_no_sense_are_refused(low: Any, high: Any, dtype: Any) -> None:
    with pytest.raises(InputError):
        choose_params(low, high, dtype)

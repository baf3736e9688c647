"""Where TensorFlow's quantizer writes what TensorFlow Lite fails on: the same with a warning, or with ``runnable`` files that run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from qcore.errors import InputError, QuantizationError
from qcore.model import Model, Tensor
from qcore.quantizer import quantize_model
from qcore.quantizer.graph import params_of
from qcore.schema.check import check
from tests.conformance.harness import run_qcore
from tests.quantizer.builder import Builder, find, names, run_time_filter, tensor_of

LEAST = float(np.finfo(np.float32).min)


@dataclass
class Ranges:
    """Ranges of a model with one subgraph, by the names of its tensors; [-1, 1] for all others."""

    model: Model
    known: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        return self.known.get(self.model.subgraphs[subgraph].tensors[tensor].name, (-1.0, 1.0))


def binary(name: str) -> Model:
    b = Builder()
    x, z, y = b.input("x", (1, 4)), b.input("z", (1, 4)), b.tensor("y", (1, 4))
    b.op(name, [x, z], y)
    return b.model(y)


def with_constant(name: str, values: Any) -> Model:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op(name, [x, b.constant("c", values)], y)
    return b.model(y)


def softmax() -> Model:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op("SOFTMAX", [x], y, beta=1.0)
    return b.model(y)


def reverse_sequence() -> Model:
    b = Builder()
    x, y = b.input("x", (2, 4)), b.tensor("y", (2, 4))
    b.op("REVERSE_SEQUENCE", [x, b.constant("lengths", [3, 4], "int32")], y, seq_dim=1, batch_dim=0)
    return b.model(y)


def scatter_nd() -> Model:
    b = Builder()
    x, y = b.input("x", (2,)), b.tensor("y", (4,))
    b.op("SCATTER_ND", [b.constant("indices", [[0], [2]], "int32"), x, b.constant("shape", [4], "int32")], y)
    return b.model(y)


def lookup() -> Model:
    b = Builder()
    ids, y = b.input("ids", (2,), "int32"), b.tensor("y", (2, 4))
    b.op("EMBEDDING_LOOKUP", [ids, b.constant("table", np.arange(12).reshape(3, 4))], y)
    return b.model(y)


def padv2(value: float = -0.5) -> Model:
    b = Builder()
    x, y = b.input("x", (2,)), b.tensor("y", (4,))
    b.op("PADV2", [x, b.constant("pads", [[1, 1]], "int32"), b.constant("value", np.float32(value))], y)
    return b.model(y)


NO_KERNEL = "no kernel takes it in these types"
NARROW = "the range of its output is too narrow beside those of its inputs"
WIDE = "the range of its output or of an input is too wide"

KEPT: list[Any] = [
    ("int8", reverse_sequence, {}, "REVERSE_SEQUENCE", NO_KERNEL),
    ("int8", run_time_filter, {"filter": (0, 1)}, "CONV_2D", "its filter is computed at run time, and has a zero point"),
    ("int8", lookup, {}, "EMBEDDING_LOOKUP", "it copies codes of its table, whose scales are not that of its output"),
    ("int8", lambda: binary("ADD"), {"y": (0, 0)}, "ADD", NARROW),
    ("int8", lambda: binary("ADD"), {"x": (-3e38, 0), "y": (-3e38, 0)}, "ADD", WIDE),
    ("int8", lambda: binary("SQUARED_DIFFERENCE"), {"y": (0, 0)}, "SQUARED_DIFFERENCE", NARROW),
    ("int16x8", lambda: binary("SQUARED_DIFFERENCE"), {}, "SQUARED_DIFFERENCE", NO_KERNEL),
    ("int16x8", scatter_nd, {}, "SCATTER_ND", NO_KERNEL),
    ("int16x8", lambda: with_constant("ADD", [[0, LEAST, 0, 0]]), {"y": (LEAST, 1)}, "ADD", WIDE),
    ("int16x8", softmax, {"x": (LEAST, 1)}, "SOFTMAX", WIDE),
]
"""Mode, model, ranges, the operator that TensorFlow Lite fails on, and why."""


@pytest.mark.parametrize(("mode", "make", "known", "name", "reason"), KEPT)
def test_operators_are_quantized_with_a_warning_or_stay_float(mode: Any, make: Any, known: Any, name: str, reason: str) -> None:
    model = make()
    ranges = Ranges(model, known)
    said = f"{mode}: TensorFlow Lite fails on what TensorFlow's quantizer makes of {name} (op 0, output 'y'): {reason}; runnable=True"
    for float_fallback in (True, False):
        with pytest.warns(UserWarning) as caught:
            found = quantize_model(model, mode, ranges, float_fallback=float_fallback)
        assert [str(warning.message).startswith(said) for warning in caught] == [True]
        assert caught[0].filename == __file__
        check(found)
        assert found.subgraphs[0].tensors[find(found, name).outputs[0]].dtype == mode.removesuffix("x8")
    mended = quantize_model(model, mode, ranges, runnable=True)
    check(mended)
    assert mended.subgraphs[0].tensors[find(mended, name).outputs[0]].dtype == "float32"
    with pytest.raises(QuantizationError) as refused:
        quantize_model(model, mode, ranges, runnable=True, float_fallback=False)
    assert f"{name} (op 0, output 'y'): {reason}" in str(refused.value)


MENDED: list[Any] = [
    (padv2, {}, "PADV2", NO_KERNEL),
    (lambda: with_constant("ADD", np.zeros((1, 4))), {}, "ADD", "it reads a constant of zeros, which has a scale of 0"),
    (lambda: with_constant("SUB", np.zeros((1, 4))), {}, "SUB", "it reads a constant of zeros, which has a scale of 0"),
    (lambda: binary("MUL"), {"y": (0, 0)}, "MUL", "its output was never other than 0, which makes a scale next to 0"),
    (lambda: binary("ADD"), {"y": (-(2.0**-14), 0)}, "ADD", NARROW),
]


@pytest.mark.parametrize(("make", "known", "name", "reason"), MENDED)
def test_operators_of_int16x8_are_warned_of_or_mended(make: Any, known: Any, name: str, reason: str) -> None:
    model = make()
    ranges = Ranges(model, known)
    with pytest.warns(UserWarning, match="int16x8: ") as caught:
        check(quantize_model(model, "int16x8", ranges, float_fallback=False))
    assert [f"{name} (op 0, output 'y'): {reason};" in str(warning.message) for warning in caught] == [True]
    mended = quantize_model(model, "int16x8", ranges, runnable=True, float_fallback=False)
    inputs = [np.zeros(mended.subgraphs[0].tensors[i].shape, np.float32) for i in mended.subgraphs[0].inputs]
    assert np.isfinite(run_qcore(mended, inputs)[0]).all()


def scale_of(tensor: Tensor) -> float:
    return params_of(tensor).single()[0]


@pytest.mark.parametrize(("reach", "raised"), [(1.0, False), (2.0**-14, True), (2.0**-13, False)])
def test_the_int16_scale_of_a_sum_is_raised_where_kernels_abort(reach: float, raised: bool) -> None:
    """TensorFlow Lite's ADD ends the process where the output's scale is no more than a 2**-14th of an input's."""
    float_model = binary("ADD")
    model = quantize_model(float_model, "int16x8", Ranges(float_model, {"y": (-reach, 0.0)}), runnable=True)
    scale = scale_of(model.subgraphs[0].tensors[find(model, "ADD").outputs[0]])
    assert scale == np.float32(2.0**-13 if raised else reach) / np.float32(32767)
    assert not run_qcore(model, [np.float32([[1, -1, 0.5, 0]]), np.float32([[-1, 1, -0.5, 0]])])[0].any()


@pytest.mark.parametrize(("reach", "kept"), [(2.0**-18, False), (2.0**-20, True)])
def test_an_int8_sum_whose_range_is_a_2_to_the_19th_of_an_inputs_stays_float(reach: float, kept: bool) -> None:
    """TensorFlow Lite ends the process over such an ADD. Here the result is exact, as floating point has it."""
    float_model = binary("ADD")
    ranges = Ranges(float_model, {"x": (-1.28, 1.27), "z": (-1.28, 1.27), "y": (-1.28 * reach, 1.27 * reach)})
    model = quantize_model(float_model, "int8", ranges, runnable=True)
    assert (model.subgraphs[0].tensors[find(model, "ADD").outputs[0]].dtype == "float32") is kept
    (y,) = run_qcore(model, [np.float32([[0.5, -0.5, 1, 0]]), np.float32([[-0.5, 0.5, -1, 0]])])
    assert not y.any()


def test_a_padding_value_stays_float_beside_int16_or_gets_the_scale_of_what_it_pads() -> None:
    model = padv2()
    with pytest.warns(UserWarning, match="PADV2"):
        found = quantize_model(model, "int16x8", Ranges(model))
    assert tensor_of(found, find(found, "PADV2"), 2).dtype == "float32"
    mended = quantize_model(model, "int16x8", Ranges(model), runnable=True)
    pad = find(mended, "PADV2")
    assert scale_of(tensor_of(mended, pad, 2)) == scale_of(tensor_of(mended, pad, 0))


def test_padding_with_infinity_stays_float_where_it_must_run() -> None:
    model = padv2(-np.inf)
    with pytest.warns(UserWarning, match="PADV2"):
        assert names(quantize_model(model, "int16x8", Ranges(model))) == ["QUANTIZE", "PADV2", "DEQUANTIZE"]
    assert names(quantize_model(model, "int16x8", Ranges(model), runnable=True)) == ["PADV2"]


@pytest.mark.parametrize(("runnable", "expected"), [(False, 2), (True, 1)])
def test_constants_behind_the_flatbuffer_are_quantized_at_run_time_or_at_once(runnable: bool, expected: int) -> None:
    model = with_constant("MUL", np.ones((1, 4)))
    model.subgraphs[0].tensors[2].buffer.in_appendix = True
    assert names(quantize_model(model, "int16x8", Ranges(model), runnable=runnable)).count("QUANTIZE") == expected


def test_a_bias_behind_an_input_of_zeros_takes_no_infinite_scale() -> None:
    """TensorFlow's quantizer writes one, which is no quantization: the operator stays float."""
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 1))
    b.op("FULLY_CONNECTED", [x, b.constant("w", np.ones((1, 4))), b.constant("bias", [1.0])], y)
    model = b.model(y)
    ranges = Ranges(model, {"x": (0, 0)})
    assert names(quantize_model(model, "int16x8", ranges)) == ["FULLY_CONNECTED"]
    with pytest.raises(QuantizationError, match="its bias takes weights of an infinite scale, since its input was never other than 0"):
        quantize_model(model, "int16x8", ranges, float_fallback=False)
    assert names(quantize_model(model, "int16x8", ranges, runnable=True)) == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]


def test_operators_of_one_kind_share_a_warning() -> None:
    b = Builder()
    x, s, t, u = b.input("x", (1, 4)), *(b.tensor(name, (1, 4)) for name in "stu")
    b.op("SQUARED_DIFFERENCE", [x, x], s)
    b.op("SQUARED_DIFFERENCE", [s, x], t)
    b.op("ADD", [t, b.constant("zeros", np.zeros((1, 4)))], u)
    model = b.model(u)
    with pytest.warns(UserWarning) as caught:
        quantize_model(model, "int16x8", Ranges(model))
    kinds = [str(warning.message) for warning in caught]
    assert len(kinds) == 2
    assert "SQUARED_DIFFERENCE (op 0, output 's'), SQUARED_DIFFERENCE (op 1, output 't'): no kernel" in kinds[0]
    assert "ADD (op 2, output 'u'): it reads a constant of zeros" in kinds[1]


def test_what_runs_is_the_same_either_way() -> None:
    model = binary("MUL")
    for mode in ("int8", "int16x8"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = [quantize_model(model, mode, Ranges(model), runnable=runnable).to_bytes() for runnable in (False, True)]  # type: ignore[arg-type]
        assert found[0] == found[1]


def test_other_modes_and_conventions_have_nothing_to_mend() -> None:
    model = binary("MUL")
    with pytest.raises(InputError, match="runnable=True does not apply to mode 'float16'; it does to int8, int16x8"):
        quantize_model(model, "float16", runnable=True)
    with pytest.raises(InputError, match="runnable=True does not apply to convention 'ai-edge'"):
        quantize_model(model, "int8", Ranges(model), convention="ai-edge", runnable=True)
    with pytest.raises(InputError, match="runnable: got '1'"):
        quantize_model(model, "int8", Ranges(model), runnable="1")  # type: ignore[arg-type]


def test_a_sum_of_integers_that_gives_real_numbers_stays_float() -> None:
    """No file has one but a broken one; it has no scale of inputs."""
    b = Builder()
    x, y = b.input("x", (1, 4), "int32"), b.tensor("y", (1, 4))
    b.op("ADD", [x, x], y)
    model = b.model(y)
    assert names(quantize_model(model, "int8", Ranges(model), runnable=True)) == ["ADD"]

"""Which operators int8 leaves in floating point, with the reasons that strict mode gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qcore.errors import QuantizationError
from qcore.model import Model, Quantization
from qcore.quantizer import Rule
from qcore.schema.check import check
from tests.quantizer.builder import Builder, find, names, run_time_filter, tensor_of
from tests.quantizer.ranges import int8


def unary(name: str, **options: Any) -> Model:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op(name, [x], y, **options)
    return b.model(y)


def scaled(values: Any) -> Model:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    b.op("MUL", [x, b.constant("c", values)], y)
    return b.model(y)


def run_time_bias() -> Model:
    b = Builder()
    x, bias, y = b.input("x", (1, 4)), b.input("bias", (3,)), b.tensor("y", (1, 3))
    b.op("FULLY_CONNECTED", [x, b.constant("w", np.ones((3, 4))), bias], y)
    return b.model(y)


def half_quantized() -> Model:
    """A file's own int8 weights, read by an operator of real numbers."""
    b = Builder()
    x, y, w = b.input("x", (1, 4)), b.tensor("y", (1, 3)), b.tensor("w", (3, 4), "int8")
    b.tensors[w].quantization = Quantization(np.ones(1, np.float32), np.zeros(1, np.int64))
    b.tensors[w].buffer.data = np.zeros(12, np.uint8)
    b.op("FULLY_CONNECTED", [x, w], y)
    return b.model(y)


@pytest.mark.parametrize(
    ("make", "known", "reason"),
    [
        (lambda: unary("NEG"), {}, "NEG (op 0, output 'y'): it has no int8 form"),
        (lambda: unary("ABS"), {"x": None}, "ABS (op 0, output 'y'): input 'x' has no calibrated range"),
        (lambda: unary("ABS"), {"y": None}, "ABS (op 0, output 'y'): output 'y' has no calibrated range"),
        (lambda: scaled([np.nan] * 4), {}, "MUL (op 0, output 'y'): input 'c' is a constant that cannot be quantized"),
        (run_time_bias, {}, "FULLY_CONNECTED (op 0, output 'y'): its bias 'bias' is computed at run time"),
        (half_quantized, {}, "FULLY_CONNECTED (op 0, output 'y'): it computes with integers and real numbers already"),
    ],
)
def test_strict_says_what_is_missing(make: Callable[[], Model], known: dict[str, tuple[float, float] | None], reason: str) -> None:
    model = make()
    with pytest.raises(QuantizationError) as caught:
        int8(model, known, float_fallback=False)
    assert str(caught.value).split("\n")[1].startswith(reason)
    fallback = int8(model, known)
    check(fallback)
    assert fallback.subgraphs[0].tensors[find(fallback, reason.split(" ")[0]).outputs[0]].dtype == "float32"


def test_a_rule_of_the_caller_is_a_reason() -> None:
    with pytest.raises(QuantizationError, match="a rule of the caller keeps it float"):
        int8(unary("ABS"), rules=[Rule(False, operator="ABS")], float_fallback=False)


def test_a_filter_at_run_time_without_zero_point_is_quantized() -> None:
    assert names(int8(run_time_filter())) == ["QUANTIZE", "QUANTIZE", "CONV_2D", "DEQUANTIZE"]


def test_operators_of_integers_alone_are_no_reason() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 4))
    i, j = b.input("i", (2,), "int32"), b.tensor("j", (2,), "int32")
    b.op("ABS", [x], y)
    b.op("ADD", [i, i], j)
    assert names(int8(b.model(y, j), float_fallback=False)) == ["QUANTIZE", "ABS", "ADD", "DEQUANTIZE"]


@pytest.mark.parametrize(("order", "integer"), [(["NEG", "ARG_MAX"], True), (["ARG_MAX", "NEG"], False)])
def test_arg_max_follows_a_floating_point_reader_that_comes_later(order: list[str], integer: bool) -> None:
    """The converter looks through the readers of a tensor, the last first, and stops at the first that stays float."""
    b = Builder()
    x, n, a = b.input("x", (1, 4)), b.tensor("n", (1, 4)), b.tensor("a", (1,), "int64")
    axis = b.constant("axis", 1, "int32")
    for name in order:
        b.op(name, [x] if name == "NEG" else [x, axis], n if name == "NEG" else a)
    model = int8(b.model(n, a))
    assert (tensor_of(model, find(model, "ARG_MAX"), 0).dtype == "int8") is integer

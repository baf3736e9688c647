"""What of an operator's numbers looks wrong: channels that say nothing, scales out of proportion, biases that do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcore.analysis.ranging.result import Channel, Finding
from qcore.analysis.ranging.terms import ROLES, Operands, Terms
from qcore.kernels.common import INT32_MAX, INT32_MIN
from qcore.numerics.fixed_point import quantize_multiplier

NEAR_ZERO = 2.0**-16
"""Part of the greatest channel's scale: below it, a channel's greatest weight is less than a 500th of one step of that channel."""

ALL_NEGATIVE = frozenset({"LOG_SOFTMAX"})
"""Operators that give no positive value."""


def findings(operands: Operands, terms: Terms | None, channels: Sequence[Channel], width: int = 32) -> tuple[Finding, ...]:
    """What looks wrong about an operator.

    Args:
        operands: its tensors and constants.
        terms: of its accumulators; None where it has none.
        channels: of these.
        width: bits of the accumulator.
    """
    found = _of_zero_point(operands)
    if terms is not None:
        found += _of_constants(terms, channels)
        if operands.operator in ROLES and terms.factor is not None:
            found += _of_factors(terms) + _of_filter(operands, terms) + _of_bias(operands, terms, width)
    return tuple(found)


def _finding(kind: str, holds: NDArray[np.bool_], message: str) -> list[Finding]:
    return [Finding(kind, tuple(np.flatnonzero(holds).tolist()), message)] if holds.any() else []


def _of_zero_point(operands: Operands) -> list[Finding]:
    q, kind = operands.output.quantization, operands.output.dtype
    greatest = {"int8": 127, "uint8": 255}.get(kind)
    if q is None or q.zero_point.size != 1 or q.zero_point[0] != greatest or operands.operator in ALL_NEGATIVE:
        return []
    return [Finding("zero-point", (), f"the zero point is {greatest}, the greatest code: no positive value can be given")]


def _of_constants(terms: Terms, channels: Sequence[Channel]) -> list[Finding]:
    empty = ~_has_weights(terms)
    constant = np.array([c.constant is not None for c in channels])
    return _finding("no-weights", empty, "all weights are zero, the output is the bias") + _finding(
        "constant", constant & ~empty, "the output is one code whatever the input"
    )


def _of_factors(terms: Terms) -> list[Finding]:
    assert terms.factor is not None
    multiplier, _ = quantize_multiplier(terms.factor)
    return _finding("vanishing", multiplier == 0, "the multiplier is below 2^-32 and becomes 0") + _finding(
        "magnifying", terms.factor >= 1, "the multiplier is 1 or more: a step of the accumulator is one of the output or more"
    )


def _of_filter(operands: Operands, terms: Terms) -> list[Finding]:
    scale = operands.scale(operands.roles.filter)
    small = (scale < NEAR_ZERO * scale.max()) & _has_weights(terms)
    return _finding("near-zero", small, "the filter's scale is below 2^-16 of the greatest channel's")


def _has_weights(terms: Terms) -> NDArray[np.bool_]:
    return np.array([weights.any() for weights in terms.weights], np.bool_)


def _of_bias(operands: Operands, terms: Terms, width: int) -> list[Finding]:
    bias, slot = operands.bias_codes, operands.roles.bias
    tensor = None if slot is None or slot >= len(operands.tensors) else operands.tensors[slot]
    if bias is None or tensor is None or terms.factor is None:
        return []
    ends = (bias == INT32_MAX) | (bias <= INT32_MIN + 1) if tensor.dtype == "int32" else np.zeros(bias.shape, np.bool_)
    found = _finding("bias-clipped", ends, "the bias is at the end of int32, and was cut to it")
    if tensor.dtype == "int32" and width > 32:
        message = "the bias is int32, and quantized_bias_type does not say so: TensorFlow Lite reads it as int64, past its end"
        found.append(Finding("bias-type", (), message))
    q = tensor.quantization
    if q is not None and q.scale.size in (1, bias.size):
        said = bias.astype(np.float64) * q.scale.astype(np.float64) / operands.output_scale
        apart = np.abs(said - bias.astype(np.float64) * terms.factor)
        found += _finding(
            "bias-scale", apart > 0.5, "the bias's scale is not the input's times the filter's: what is added is over half a step off"
        )
    return found

"""LSTM of the BASIC kind: one matrix for all gates, and the states as plain tensors.

    total = bias + W [input, previous output]            of the input gate, the candidate, the forget gate and the output gate
    state = logistic(input) * tanh(candidate) + logistic(forget) * previous state
    output = logistic(output gate) * tanh(state)

Previous output and state are inputs; the operator gives both anew and also writes them back over these inputs. Its two other outputs
are temporary: the rows that are multiplied, and the totals.

Quantized, input and output are uint8 with scale 1/128 and zero point 128, the state is int16 with scale 2**-11 and totals become int16
with scale 2**-12; their second rounding has its ties go up, since TensorFlow Lite has only its optimized product here. All further steps
are 16-bit fixed-point arithmetic (qcore.numerics.fixed_point_functions).

Source (TensorFlow Lite 2.21): tflite/kernels/lstm.cc#basic, kernels/internal/optimized/optimized_ops.h#LstmCell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.activation import logistic, tanh
from qcore.kernels.common import require_rank
from qcore.kernels.lstm_cell import GATES, by_gate
from qcore.kernels.opdef import Array, Node, Operand, Step
from qcore.kernels.products import PackedFilter, greatest_magnitude, pack
from qcore.kernels.recurrent import Real, require_tensor
from qcore.kernels.weighted import QuantizedOutput
from qcore.numerics import fixed_point_functions as fixed
from qcore.numerics.fixed_point import HalfUpRounding, quantize_multiplier
from qcore.numerics.powers import power_of_two

STATE_POWER = -11
"""The state's scale is two to this: 4 integer bits."""

ZERO_POINT = 128
"""Of input and output."""

PREVIOUS_OUTPUT, PREVIOUS_STATE = 1, 4
"""The inputs that the operator writes back."""

TYPES = {
    "float32": ("float32", "float32", "float32", "float32", "float32"),
    "uint8": ("uint8", "uint8", "uint8", "int32", "int16"),
}
"""Types of input, previous output, weights, bias and previous state, by type of the input."""


@dataclass(frozen=True, eq=False)
class QuantizedParams:
    """The packed weights, and what makes totals of their products.

    offset: int64[4 * units], the bias and what the zero point of the rows takes off.
    """

    weights: PackedFilter
    offset: NDArray[np.int64]
    totals: QuantizedOutput


def prepare_basic(node: Node) -> Step:
    """Check types and shapes, and choose the kernel by the type of the input."""
    node.require(len(node.inputs) == 5, f"has {len(node.inputs)} inputs, expected 5 of the BASIC kernel")
    node.require(len(node.outputs) == 4, f"has {len(node.outputs)} outputs, expected 4 of the BASIC kernel")
    input, previous, weights, bias, state = (node.input(i) for i in range(5))
    if input.dtype not in TYPES:
        raise node.unsupported(f"input 0 of the BASIC kernel is {input.dtype}, qcore has {', '.join(TYPES)}")
    types = TYPES[input.dtype]
    require_rank(node, input, 2)
    require_rank(node, previous, 2)
    (batch, depth), units = input.shape, previous.shape[1]
    shapes = ((batch, units), (batch, units), (batch, depth + units), (batch, GATES * units))
    require_tensor(node, previous, (types[1],), shapes[0])
    require_tensor(node, weights, (types[2],), (GATES * units, depth + units))
    require_tensor(node, bias, (types[3],), (GATES * units,))
    require_tensor(node, state, (types[4],), shapes[1])
    for output, dtype in zip(node.outputs, (types[1], types[4], types[0], types[4]), strict=True):
        node.require(output.dtype == dtype, f"'{output.name}' is {output.dtype}, expected {dtype}")
    for written in (previous, state):
        node.require(written.constant is None, f"'{written.name}' is constant, but the operator writes it")
    updates = (PREVIOUS_OUTPUT, PREVIOUS_STATE)
    if input.dtype == "float32":
        return Step(real, None, shapes, updates=updates)
    return Step(quantized, prepare_quantized(node, weights, bias), shapes, updates=updates)


def prepare_quantized(node: Node, weights: Operand, bias: Operand) -> QuantizedParams:
    """uint8 input; here the requantization is chosen."""
    state_scale = node.outputs[1].scale
    node.require(power_of_two(state_scale) == STATE_POWER, f"the state has scale {state_scale}, expected 1/2048")
    packed = pack(weights.value, weights.zero_point, greatest_magnitude(np.uint8))
    requantize = HalfUpRounding(*quantize_multiplier(4096 * bias.scale))
    totals = QuantizedOutput(np.dtype(np.int32), requantize, 0, -(1 << 15), (1 << 15) - 1, np.dtype(np.int16))
    return QuantizedParams(packed, bias.value - ZERO_POINT * packed.sums, totals)


def real(_: None, x: Real, previous: Real, weights: Real, bias: Real, state: Real) -> tuple[Array, ...]:
    """float32[batch, depth] to four outputs, then output and state again."""
    rows = np.concatenate([x, previous], axis=1)
    totals = rows @ weights.T + bias
    admit, candidate, forget, output = by_gate(totals, GATES)
    state = logistic(admit) * tanh(candidate) + logistic(forget) * state
    activation = logistic(output) * tanh(state)
    return activation, state, rows, totals, activation, state


def quantized(p: QuantizedParams, x: Array, previous: Array, weights: Array, bias: Array, state: Array) -> tuple[Array, ...]:
    """uint8[batch, depth] to four outputs, then output and state again."""
    width = fixed.Width(16)

    def logistic(x: Array) -> NDArray[np.int64]:
        return fixed.logistic(x, 3, 16).astype(np.int64)

    def tanh(x: Array) -> NDArray[np.int64]:
        return fixed.tanh(x, 3, 16).astype(np.int64)

    rows = np.concatenate([x, previous], axis=1)
    totals = p.totals(p.weights.product(rows) + p.offset, None)
    admit, candidate, forget, output = by_gate(totals, GATES)
    added = width.scale_down(width.multiply(logistic(admit), tanh(candidate)), 4)
    total = added + width.multiply(logistic(forget), state.astype(np.int64))
    new_state = total.clip(-(1 << 15), (1 << 15) - 1)
    activation = width.multiply(logistic(output), tanh(width.scale_up(new_state, 1)))
    codes = (width.scale_down(activation, 8).clip(-128, 127) + ZERO_POINT).astype(np.uint8)
    narrow = new_state.astype(np.int16)
    return codes, narrow, rows, totals, codes, narrow

"""The LSTM cell of integers: int8 input and output, int16 gates and cell state.

See ``lstm_cell`` for what it computes; the activation is always tanh. Every sum of products is taken in int32, which wraps, and
requantized on its own: the input's to the gate's scale, saturating to int16, then the output state's is added, and what the peephole
contributes, saturating each time. Without layer normalization a gate's scale is 2**-12, with it that of the operator's intermediate
tensor 0 to 3. Gates become int16 in units of 2**-15. The cell state has a scale 2**s:

    cell' = saturate(round(forget * cell / 2**15) + round(input * candidate / 2**(30 + s)))

Both quotients round half away from zero and wrap to int16. The hidden state, output gate times tanh(cell'), is requantized to
intermediate tensor 4: this is the output, or what is projected. TensorFlow Lite has a tanh for s from -15 to -9. With any other it
takes the input gate in its stead, whose buffer it leaves as it is, and so does qcore.

Layer normalization works on 1024ths: ``mean = 1024 * sum / units``, ``variance = (2**20 / units * sum of squares - mean**2) / 2**20``,
where quotients are cut off; a variance below 1 becomes ``max(1, 10000 * scale of n)``. Each difference from the mean, in 1024ths, is
multiplied by a fixed-point ``1 / sqrt(variance)``, then by n.

Source (TensorFlow Lite 2.21): tflite/kernels/lstm_eval.cc#LstmStepInteger8x8_16,
unidirectional_sequence_lstm.cc#PopulateQuantizedLstmParams8x8_16, kernels/internal/reference/portable_tensor_utils.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.lstm_cell import CELL_GATE, FORGET_GATE, GATES, INPUT_GATE, OUTPUT_GATE, CellOperands, GateOperands, by_gate
from qcore.kernels.opdef import Array, Node, Operand
from qcore.kernels.products import PackedFilter, greatest_magnitude, pack
from qcore.kernels.recurrent import Layout, States
from qcore.numerics.casting import float_to_int32
from qcore.numerics.fixed_point import (
    DoubleRounding,
    Requantizer,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from qcore.numerics.fixed_point_functions import inverse_sqrt_multiplier, logistic, tanh
from qcore.numerics.lookup_table import all_codes, look_up
from qcore.numerics.powers import power_of_two

Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]

GATE_INTEGER_BITS = 3
GATE_SCALE = 2.0**-12
LEAST_CELL_POWER = -30
"""The least power of two that the cell state's scale may be: the quotient by 2**(30 + s) is a shift to the right."""

TANH_POWERS = range(-15, -8)
"""Those with a tanh: 0 to 6 integer bits."""

HIDDEN = 4
"""The intermediate tensor that lends the hidden state its quantization."""


@dataclass(frozen=True, eq=False)
class IntegerProduct:
    """``requantize(x @ weights + offset)``; offset: int32[units], the bias, and what the zero point of x takes off."""

    weights: PackedFilter
    offset: Int32
    requantize: Requantizer

    def __call__(self, x: Array) -> Int32:
        """From int8[rows, depth] to int32[rows, units]."""
        return self.requantize(self.weights.product(x) + self.offset)


@dataclass(frozen=True, eq=False)
class Peephole:
    """``requantize(weights * cell)``.

    TensorFlow Lite counts cells by the number of outputs here. Where a projection makes that less than the number of cells, the weights
    of the first so many cells go over as many elements of the cell state, one after the other from the start of each row, or, where the
    rows of the batch lie one behind the other, from the start of the batch. The remaining elements get none.

    weights: int32[outputs].
    by_row: False where they go over the whole batch.
    """

    weights: Int32
    by_row: bool
    requantize: Requantizer

    def __call__(self, cell: Int16) -> Int32:
        """Of int16[batch, units]."""
        batch, units = cell.shape
        runs = cell if self.by_row else cell.reshape(1, batch * units)
        reached = runs.shape[1] // units * self.weights.size
        added = np.zeros(runs.shape, np.int32)
        products = runs[:, :reached].reshape(batch, self.weights.size) * self.weights
        added[:, :reached] = self.requantize(products).reshape(len(runs), reached)
        return added.reshape(batch, units)


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Layer normalization.

    coefficients, bias: int32[units].
    variance: stands for one below 1.
    requantize: from the product's 1024ths to units of 2**-12.
    """

    coefficients: Int32
    bias: Int32
    variance: int
    requantize: Requantizer

    def __call__(self, total: Int16) -> Int16:
        """Of int16[batch, units]."""
        x, units = total.astype(np.int64), total.shape[1]
        sums = 1024 * x.sum(axis=1)
        mean = np.sign(sums) * (np.abs(sums) // units)
        variance = ((x * x).sum(axis=1) * ((1 << 20) // units) - mean * mean) >> 20
        multiplier, shift = inverse_sqrt_multiplier(np.where(variance < 1, self.variance, variance))
        high = saturating_rounding_doubling_high_mul(1024 * x - mean[:, np.newaxis], multiplier[:, np.newaxis])
        standard = rounding_divide_by_pot(high, -shift[:, np.newaxis])
        weighted = standard * self.coefficients + self.bias
        return saturated(self.requantize(rounding_divide_by_pot(weighted, 10)))


@dataclass(frozen=True, eq=False)
class IntegerGate:
    """What a gate does with its sum; table: int16[65536], its activation."""

    peephole: Peephole | None
    layer_norm: LayerNorm | None
    table: Int16

    def __call__(self, total: Int16, cell: Int16) -> Int32:
        """Of the sum and the cell state, int16[batch, units]; in units of 2**-15."""
        if self.peephole is not None:
            total = saturated(total + self.peephole(cell))
        if self.layer_norm is not None:
            total = self.layer_norm(total)
        return look_up(self.table, total).astype(np.int32)


@dataclass(frozen=True, eq=False)
class IntegerOutput:
    """Requantization of the hidden state and its projection.

    hidden_zero_point: added to the hidden state. TensorFlow Lite takes its opposite where it is projected.
    least, greatest: bounds of the output.
    """

    requantize: Requantizer
    hidden_zero_point: int
    projection: IntegerProduct | None
    zero_point: int
    least: int
    greatest: int

    def __call__(self, hidden: Int32) -> NDArray[np.int8]:
        """From int32[batch, units], in units of 2**-30, to int8[batch, outputs]."""
        codes = (self.requantize(hidden) + self.hidden_zero_point).clip(-128, 127).astype(np.int8)
        if self.projection is None:
            return codes
        return (self.projection(codes) + self.zero_point).clip(self.least, self.greatest).astype(np.int8)


@dataclass(frozen=True, eq=False)
class IntegerCell:
    """A cell made ready.

    gates: without the input gate where it is coupled.
    tanh: int16[65536], of the cell state; None where the input gate stands for it.
    cell_power: its scale is two to this.
    clip: of the cell state; 0 for none.
    """

    gates: tuple[IntegerGate, ...]
    input: IntegerProduct
    recurrent: IntegerProduct
    tanh: Int16 | None
    cell_power: int
    clip: int
    output: IntegerOutput

    @property
    def channels(self) -> int:
        """A value for every unit of every gate."""
        return self.input.offset.size

    def contribution(self, x: Array, aux: Array | None) -> Int16:
        """The input's products; there is no auxiliary input."""
        return saturated(self.input(x))

    def step(self, contribution: Int16, states: States) -> States:
        """The new output and cell state."""
        output, cell = states
        totals = by_gate(saturated(contribution + self.recurrent(output)), len(self.gates))

        def gate(which: int, cell: Int16) -> Int32:
            return self.gates[which](totals[which], cell)

        forget = gate(FORGET_GATE, cell)
        admit = gate(INPUT_GATE, cell) if len(self.gates) == GATES else 32767 - forget
        kept = rounding_divide_by_pot(forget * cell, 15)
        added = rounding_divide_by_pot(admit * gate(CELL_GATE, cell), 30 + self.cell_power).astype(np.int16)
        cell = saturated(kept + added)
        if self.clip > 0:
            cell = cell.clip(-self.clip, self.clip)
        squashed = admit if self.tanh is None else look_up(self.tanh, cell)
        return self.output(gate(OUTPUT_GATE, cell) * squashed), cell


def prepare_integer_cell(node: Node, operands: CellOperands, of: Layout) -> IntegerCell:
    """Make a cell of int8 inputs ready."""
    if len(node.intermediates) == 12:
        raise node.unsupported("an int8 LSTM of 12 intermediate tensors, which has 8-bit gates; qcore has 16-bit gates, of 5")
    node.require(len(node.intermediates) == 5, f"has {len(node.intermediates)} intermediate tensors, expected 5")
    node.require(not operands.diagonal, "recurrent weights of an int8 LSTM are diagonal, expected a matrix")
    node.require(operands.units > 0, "has no cells")
    input, state = node.input(0), operands.output_state
    power = cell_power(node, operands.cell_state, of)
    node.require(
        not operands.coupled or power in TANH_POWERS, f"has no input gate, and a cell state of scale 2**{power}, whose tanh is undefined"
    )
    gates = tuple(prepare_gate(node, operands, of, gate, power) for gate in operands.gates)
    scales = [gate_scale(node, operands, gate) for gate in operands.gates]
    biases = np.concatenate([gate.bias.value for gate in operands.gates])
    no_bias = np.zeros_like(biases)
    return IntegerCell(
        gates,
        integer_product(
            [gate.weights for gate in operands.gates],
            no_bias if operands.normalizes else biases,
            input.scale,
            -input.zero_point,
            scales,
        ),
        integer_product([gate.recurrent for gate in operands.gates], no_bias, state.scale, -state.zero_point, scales),
        tanh_table(15 + power) if power in TANH_POWERS else None,
        power,
        quantized_clip(node.options["cell_clip"], operands.cell_state),
        prepare_output(node, operands),
    )


def cell_power(node: Node, cell_state: Operand, of: Layout) -> int:
    """The power of two that is the cell state's scale; LSTM, which makes a single step, takes none above 2**-9."""
    power, greatest = power_of_two(cell_state.scale), -9 if of.time is None else 1
    if power is None or not LEAST_CELL_POWER <= power <= greatest:
        raise node.error(
            f"'{cell_state.name}' has scale {cell_state.scale}, expected a power of two from 2**{LEAST_CELL_POWER} to 2**{greatest}"
        )
    return power


def gate_scale(node: Node, operands: CellOperands, gate: GateOperands) -> float:
    """The scale of a gate's sum."""
    return node.intermediates[gate.which + GATES].scale if operands.normalizes else GATE_SCALE


def integer_product(weights: Sequence[Operand], bias: Int32, scale: float, zero_point: int, outputs: Sequence[float]) -> IntegerProduct:
    """Products of int8 rows with weights [units, depth], one upon the other; here the requantization is chosen.

    Args:
        weights: of one depth.
        bias: int32[units of all].
        scale: of the rows.
        zero_point: which the rows lack: ``real = scale * (row + zero_point)``.
        outputs: scale of each weights' products after requantization. The factor is taken in float32.
    """
    packed = pack(np.concatenate([w.value for w in weights]), 0, greatest_magnitude(np.int8))
    offset = (bias + zero_point * packed.sums).astype(np.int32)
    factors = [np.float32(w.scale) * np.float32(scale) / np.float32(output) for w, output in zip(weights, outputs, strict=True)]
    multiplier, shift = quantize_multiplier(np.array(factors, np.float64))
    units = [w.shape[0] for w in weights]
    return IntegerProduct(packed, offset, DoubleRounding(np.repeat(multiplier, units), np.repeat(shift, units)))


def prepare_gate(node: Node, operands: CellOperands, of: Layout, gate: GateOperands, power: int) -> IntegerGate:
    """What a gate does with its sum; power: the cell state's scale is two to this. A peephole's factor is rounded to float32."""
    peephole = layer_norm = None
    if gate.peephole is not None:
        units, outputs = operands.units, operands.outputs
        node.require(outputs <= units, f"has peepholes and more outputs, {outputs}, than cells, {units}")
        factor = np.float32(2.0**power * gate.peephole.scale / np.float64(gate_scale(node, operands, gate)))
        weights = gate.peephole.value[:outputs].astype(np.int32)
        peephole = Peephole(weights, of.time == 1, DoubleRounding(*quantize_multiplier(float(factor))))
    if gate.layer_norm is not None:
        scale = gate.layer_norm.scale
        multiplier, shift = quantize_multiplier(scale)
        variance = max(1, int(float_to_int32(np.array([10000 * np.float32(scale)]))[0]))
        coefficients = gate.layer_norm.value.astype(np.int32)
        layer_norm = LayerNorm(coefficients, gate.bias.value, variance, DoubleRounding(multiplier, shift + 12))
    table = tanh_table if gate.which == CELL_GATE else logistic_table
    return IntegerGate(peephole, layer_norm, table(GATE_INTEGER_BITS))


def prepare_output(node: Node, operands: CellOperands) -> IntegerOutput:
    """The hidden state's requantization and projection."""
    hidden, state, projection = node.intermediates[HIDDEN], operands.output_state, operands.projection
    requantize = DoubleRounding(*quantize_multiplier(float(np.float32(2.0**-15 / np.float64(hidden.scale) * 2.0**-15))))
    if projection is None:
        return IntegerOutput(requantize, hidden.zero_point, None, 0, -128, 127)
    bias = np.zeros(operands.outputs, np.int32) if operands.projection_bias is None else operands.projection_bias.value
    clip = quantized_clip(node.options["proj_clip"], node.output)
    least, greatest = (-clip, clip) if clip > 0 else (-128, 127)
    projected = integer_product([projection], bias, hidden.scale, hidden.zero_point, [state.scale])
    return IntegerOutput(requantize, -hidden.zero_point, projected, state.zero_point, least, greatest)


def quantized_clip(clip: float, operand: Operand) -> int:
    """A bound in an operand's steps, cut off; 0 for none."""
    return int(np.fmin(np.float32(clip) / np.float32(operand.scale), np.float32(operand.type.quantized_max))) if clip > 0 else 0


@cache
def logistic_table(integer_bits: int) -> Int16:
    """int16[65536]: the logistic function of every code."""
    return logistic(all_codes("int16"), integer_bits, 16)


@cache
def tanh_table(integer_bits: int) -> Int16:
    """int16[65536]: tanh of every code."""
    return tanh(all_codes("int16"), integer_bits, 16)


def saturated(x: Array) -> Int16:
    """Integers as int16."""
    return x.clip(-(1 << 15), (1 << 15) - 1).astype(np.int16)

"""The LSTM cell of real numbers: float32 throughout, or with integer weights in dynamic range.

See ``lstm_cell`` for what it computes. In dynamic range, input, auxiliary input, output state and what is projected are quantized to
int8 row by row (see ``hybrid``); diagonal recurrent weights are float32 and meet the output state as it is. Peephole weights are
brought to real numbers. Layer normalization subtracts the mean and divides by ``sqrt(variance + 1e-8)``.

Source (TensorFlow Lite 2.21): tflite/kernels/lstm_eval.cc#LstmStepFloat, #LstmStepHybrid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.activation import logistic
from qcore.kernels.lstm_cell import CELL_GATE, FORGET_GATE, INPUT_GATE, OUTPUT_GATE, CellOperands, by_gate
from qcore.kernels.opdef import Node, Operand
from qcore.kernels.recurrent import Curve, Product, Real, States, activation_function, real_values_of, stacked_product

LEAST_VARIANCE = np.float32(1e-8)


@dataclass(frozen=True, eq=False)
class RealGate:
    """What a gate does with its sum of products.

    peephole: float32[units]; None for none.
    layer_norm, bias: float32[units], around the normalization; both None without it.
    """

    peephole: Real | None
    layer_norm: Real | None
    bias: Real | None
    activation: Curve

    def __call__(self, total: Real, cell: Real) -> Real:
        """Of the sum and the cell state, float32[batch, units]."""
        if self.peephole is not None:
            total = total + self.peephole * cell
        if self.layer_norm is not None and self.bias is not None:
            total = normalized(total) * self.layer_norm + self.bias
        return self.activation(total)


@dataclass(frozen=True, eq=False)
class Projection:
    """``clip(P x + bias)``; bias: float32[outputs]; clip: 0 for none."""

    product: Product
    bias: Real
    clip: np.float32

    def __call__(self, x: Real) -> Real:
        """From float32[batch, units] to float32[batch, outputs]."""
        return clipped(self.bias + self.product(x), self.clip)


@dataclass(frozen=True, eq=False)
class RealCell:
    """A cell made ready.

    input_gate: None where it is coupled.
    bias: float32[gates * units]; zeros with layer normalization.
    recurrent: [batch, outputs] to [batch, gates * units].
    clip: of the cell state; 0 for none.
    """

    input_gate: RealGate | None
    forget_gate: RealGate
    cell_gate: RealGate
    output_gate: RealGate
    input: Product
    aux: Product | None
    bias: Real
    recurrent: Product
    activation: Curve
    clip: np.float32
    projection: Projection | None

    @property
    def channels(self) -> int:
        """A value for every unit of every gate."""
        return self.bias.size

    def contribution(self, x: Real, aux: Real | None) -> Real:
        """``bias + W x + A aux``."""
        total = self.bias + self.input(x)
        if self.aux is not None and aux is not None:
            total += self.aux(aux)
        return total

    def step(self, contribution: Real, states: States) -> States:
        """The new output and cell state."""
        output, cell = states
        totals = by_gate(contribution + self.recurrent(output), 3 if self.input_gate is None else 4)
        forget = self.forget_gate(totals[-3], cell)
        admit = np.float32(1) - forget if self.input_gate is None else self.input_gate(totals[0], cell)
        cell = clipped(forget * cell + self.cell_gate(totals[-2], cell) * admit, self.clip)
        hidden = self.output_gate(totals[-1], cell) * self.activation(cell)
        return hidden if self.projection is None else self.projection(hidden), cell


@dataclass(frozen=True, eq=False)
class DiagonalProduct:
    """The output state times diagonal weights; weights: float32[gates, units]."""

    weights: NDArray[np.float32]

    def __call__(self, x: Real) -> Real:
        """From float32[batch, units] to float32[batch, gates * units]."""
        product: Real = x[:, np.newaxis] * self.weights
        return product.reshape(len(x), self.weights.size)


def prepare_real_cell(node: Node, operands: CellOperands) -> RealCell:
    """Make a cell of float32 inputs ready."""
    options = node.options
    name, asymmetric = options["fused_activation_function"], options["asymmetric_quantize_inputs"]
    if name == "NONE":
        raise node.unsupported("an LSTM cell without activation, which TensorFlow Lite has no defined result for")
    activation = activation_function(node, name)
    normalizes = bool(operands.layer_norm)
    biases = {which: bias.value for which, bias in zip(operands.gates, operands.bias, strict=True)}

    def gate(which: int) -> RealGate:
        peephole, layer_norm = operands.peephole_of(which), operands.layer_norm_of(which)
        return RealGate(
            None if peephole is None else real_values_of(peephole),
            None if layer_norm is None else layer_norm.value,
            biases[which] if normalizes else None,
            activation if which == CELL_GATE else logistic,
        )

    return RealCell(
        gate(INPUT_GATE) if INPUT_GATE in biases else None,
        gate(FORGET_GATE),
        gate(CELL_GATE),
        gate(OUTPUT_GATE),
        stacked_product(operands.weights, asymmetric),
        stacked_product(operands.aux_weights, asymmetric) if operands.aux_weights else None,
        np.zeros(len(biases) * operands.units, np.float32) if normalizes else np.concatenate(list(biases.values())),
        diagonal_product(operands.recurrent) if operands.diagonal else stacked_product(operands.recurrent, asymmetric),
        activation,
        np.float32(options["cell_clip"]),
        projection(node, operands, asymmetric),
    )


def diagonal_product(weights: Sequence[Operand]) -> DiagonalProduct:
    """Products with diagonal recurrent weights, one of each gate."""
    return DiagonalProduct(np.stack([w.value for w in weights]))


def projection(node: Node, operands: CellOperands, asymmetric: bool) -> Projection | None:
    """The projection of a cell that has one."""
    if operands.projection is None:
        return None
    bias = operands.projection_bias
    values = np.zeros(operands.outputs, np.float32) if bias is None else bias.value
    return Projection(stacked_product([operands.projection], asymmetric), values, np.float32(node.options["proj_clip"]))


def clipped(x: Real, clip: np.float32) -> Real:
    """The values within [-clip, clip]; as they are where clip is 0."""
    return np.clip(x, -clip, clip) if clip > 0 else x


def normalized(x: Real) -> Real:
    """Each row of float32[batch, units] less its mean, over its standard deviation."""
    units = np.float32(x.shape[1])
    centred = x - x.sum(axis=1, keepdims=True) / units
    variance = (centred * centred).sum(axis=1, keepdims=True) / units
    standard: Real = centred * (np.float32(1) / np.sqrt(variance + LEAST_VARIANCE))
    return standard

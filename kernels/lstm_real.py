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
from qcore.kernels.lstm_cell import CELL_GATE, FORGET_GATE, GATES, INPUT_GATE, OUTPUT_GATE, CellOperands, by_gate
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

    gates: without the input gate where it is coupled.
    bias: float32[gates * units]; zeros with layer normalization.
    recurrent: [batch, outputs] to [batch, gates * units].
    clip: of the cell state; 0 for none.
    """

    gates: tuple[RealGate, ...]
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
        totals = by_gate(contribution + self.recurrent(output), len(self.gates))

        def gate(which: int, cell: Real) -> Real:
            return self.gates[which](totals[which], cell)

        forget = gate(FORGET_GATE, cell)
        admit = gate(INPUT_GATE, cell) if len(self.gates) == GATES else np.float32(1) - forget
        cell = clipped(forget * cell + gate(CELL_GATE, cell) * admit, self.clip)
        hidden = gate(OUTPUT_GATE, cell) * self.activation(cell)
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
    gates = tuple(
        RealGate(
            None if gate.peephole is None else real_values_of(gate.peephole),
            None if gate.layer_norm is None else gate.layer_norm.value,
            gate.bias.value if operands.normalizes else None,
            activation if gate.which == CELL_GATE else logistic,
        )
        for gate in operands.gates
    )
    biases = np.concatenate([gate.bias.value for gate in operands.gates])
    aux_weights = [gate.aux_weights for gate in operands.gates if gate.aux_weights is not None]
    recurrent = [gate.recurrent for gate in operands.gates]
    return RealCell(
        gates,
        stacked_product([gate.weights for gate in operands.gates], asymmetric),
        stacked_product(aux_weights, asymmetric) if aux_weights else None,
        np.zeros_like(biases) if operands.normalizes else biases,
        diagonal_product(recurrent) if operands.diagonal else stacked_product(recurrent, asymmetric),
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

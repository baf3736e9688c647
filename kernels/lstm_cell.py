"""One LSTM cell among an operator's inputs: which tensors it has, what they are for, and whether they fit together.

    gate      = activation(W input + A aux + R output + p * cell + bias)          for each gate
    gate      = activation(normalize(W input + R output + p * cell) * n + bias)   with layer normalization
    cell'     = clip(forget * cell + input * candidate)
    output'   = clip(P (output_gate * activation(cell')) + projection_bias)       without P: what it would project

There are four gates: input, forget, cell (the candidate) and output, in this order everywhere. A cell without tensors of the input gate
is coupled (CIFG): ``1 - forget`` stands for its input gate. Peephole weights p look at the cell state, the output gate's at the new
one; the candidate has none. Recurrent weights R of one axis are diagonal.

Source (TensorFlow Lite 2.21): tflite/kernels/lstm_shared.h; tflite/kernels/lstm.cc#CheckInputTensorDimensions,
unidirectional_sequence_lstm.cc#CheckInputTensorDimensions, bidirectional_sequence_lstm.cc#CheckLstmTensorDimensionsAndTypes.
"""

from __future__ import annotations

from dataclasses import dataclass

from qcore.kernels.common import require_rank
from qcore.kernels.opdef import Array, Node, Operand
from qcore.kernels.recurrent import HYBRID, Layout, require_state, require_tensor

INPUT_GATE, FORGET_GATE, CELL_GATE, OUTPUT_GATE = range(-4, 0)
"""Gates by their place from the end, since the input gate may be missing."""

GATES = 4
PEEPHOLES = {INPUT_GATE: 0, FORGET_GATE: 1, OUTPUT_GATE: 2}
"""Where a gate's peephole weights stand among all of them."""


@dataclass(frozen=True)
class Slots:
    """Where the tensors of a cell stand among an operator's inputs.

    weights: of the input gate's weights W. The other gates' follow, then four of R, three of p, four biases, P, and the projection bias.
    output_state, cell_state: the variables.
    layer_norm: of the first of four n; None for an operator that has none.
    aux_weights: of the first of four A; None for an operator that has none.
    diagonal: the operator takes diagonal recurrent weights.
    """

    weights: int
    output_state: int
    cell_state: int
    layer_norm: int | None = None
    aux_weights: int | None = None
    diagonal: bool = False

    @property
    def recurrent(self) -> int:
        """Of the first of R."""
        return self.weights + 4

    @property
    def peephole(self) -> int:
        """Of the first of p."""
        return self.weights + 8

    @property
    def bias(self) -> int:
        """Of the first bias."""
        return self.weights + 11

    @property
    def projection(self) -> int:
        """Of P; its bias follows."""
        return self.weights + 15


@dataclass(frozen=True)
class GateOperands:
    """The tensors of one gate; None for what it does without.

    which: INPUT_GATE, FORGET_GATE, CELL_GATE or OUTPUT_GATE.
    """

    which: int
    weights: Operand
    aux_weights: Operand | None
    recurrent: Operand
    peephole: Operand | None
    bias: Operand
    layer_norm: Operand | None


@dataclass(frozen=True)
class CellOperands:
    """The tensors of a cell, which fit together.

    gates: in order, without the input gate where it is coupled.
    """

    gates: tuple[GateOperands, ...]
    projection: Operand | None
    projection_bias: Operand | None
    output_state: Operand
    cell_state: Operand

    @property
    def coupled(self) -> bool:
        """It has no input gate of its own."""
        return len(self.gates) < GATES

    @property
    def units(self) -> int:
        """Values of the cell state."""
        return self.gates[-1].weights.shape[0]

    @property
    def outputs(self) -> int:
        """Values of the output."""
        return self.gates[-1].recurrent.shape[-1]

    @property
    def diagonal(self) -> bool:
        """Recurrent weights are diagonal."""
        return self.gates[-1].recurrent.rank == 1

    @property
    def normalizes(self) -> bool:
        """It has layer normalization."""
        return self.gates[-1].layer_norm is not None


def read_cell(node: Node, slots: Slots, of: Layout) -> CellOperands:
    """The cell whose tensors stand at these slots, after every check of them.

    Raises:
        ModelError: a tensor is missing, or its type or shape does not go with the others'.
    """
    coupled = node.optional_input(slots.weights) is None
    for slot in (slots.recurrent, slots.bias):
        node.require(not coupled or node.optional_input(slot) is None, f"input {slot} is of an input gate without weights")
    cell = CellOperands(
        tuple(read_gate(node, slots, which) for which in range(FORGET_GATE if coupled else INPUT_GATE, 0)),
        node.optional_input(slots.projection),
        node.optional_input(slots.projection + 1),
        node.input(slots.output_state),
        node.input(slots.cell_state),
    )
    require_rank(node, cell.gates[-1].weights, 2)
    require_rank(node, cell.gates[-1].recurrent, 1 if slots.diagonal else 2, 2)
    require_fit(node, cell, of)
    return cell


def read_gate(node: Node, slots: Slots, which: int) -> GateOperands:
    """The tensors of one gate."""

    def of_all_or_none(first: int | None, place: int | None, count: int) -> Operand | None:
        absent = first is None or all(node.optional_input(first + i) is None for i in range(count))
        return None if first is None or place is None or absent else node.input(first + place)

    place = which + GATES
    return GateOperands(
        which,
        node.input(slots.weights + place),
        of_all_or_none(slots.aux_weights, place, GATES),
        node.input(slots.recurrent + place),
        of_all_or_none(slots.peephole, PEEPHOLES.get(which), len(PEEPHOLES)),
        node.input(slots.bias + place),
        of_all_or_none(slots.layer_norm, place, GATES),
    )


def require_fit(node: Node, cell: CellOperands, of: Layout) -> None:
    """Refuse tensors of a cell that do not go together."""
    integer, units, outputs, weights = node.input(0).dtype == "int8", cell.units, cell.outputs, cell.gates[-1].weights
    types = ("int8",) if integer else ("float32", *HYBRID)
    node.require(weights.dtype in types, f"'{weights.name}' is {weights.dtype}, expected {' or '.join(types)}")
    bias_type = "int32" if integer else "float32"
    for gate in cell.gates:
        recurrent = ("float32", (units,)) if cell.diagonal else (weights.dtype, (units, outputs))
        for operand, dtype, shape in (
            (gate.weights, weights.dtype, (units, of.depth)),
            (gate.aux_weights, weights.dtype, (units, of.depth)),
            (gate.recurrent, *recurrent),
            (gate.peephole, "int16" if integer else weights.dtype, (units,)),
            (gate.bias, bias_type, (units,)),
            (gate.layer_norm, "int16" if integer else "float32", (units,)),
        ):
            if operand is not None:
                require_tensor(node, operand, (dtype,), shape)
    if cell.projection is not None:
        require_tensor(node, cell.projection, (weights.dtype,), (outputs, units))
    else:
        node.require(outputs == units, f"has {units} cells and {outputs} outputs, but no projection")
    if cell.projection_bias is not None:
        node.require(cell.projection is not None, f"'{cell.projection_bias.name}' is the bias of a projection without weights")
        require_tensor(node, cell.projection_bias, (bias_type,), (outputs,))
    require_state(node, cell.output_state, "int8" if integer else "float32", of.batch, outputs)
    require_state(node, cell.cell_state, "int16" if integer else "float32", of.batch, units)
    for clip in ("cell_clip", "proj_clip"):
        node.require(node.options[clip] >= 0, f"{clip} is {node.options[clip]}, expected 0 for none, or above")


def by_gate(totals: Array, gates: int) -> Array:
    """[batch, gates * units] as [gates, batch, units]."""
    return totals.reshape(len(totals), gates, totals.shape[1] // gates).swapaxes(0, 1)

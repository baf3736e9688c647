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

INPUT_GATE, FORGET_GATE, CELL_GATE, OUTPUT_GATE = range(4)


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
class CellOperands:
    """The tensors of a cell, which fit together.

    Tuples hold one for each gate, without the input gate where it is coupled; peephole has none for the candidate. They are empty where
    the cell does without.
    """

    weights: tuple[Operand, ...]
    aux_weights: tuple[Operand, ...]
    recurrent: tuple[Operand, ...]
    peephole: tuple[Operand, ...]
    bias: tuple[Operand, ...]
    layer_norm: tuple[Operand, ...]
    projection: Operand | None
    projection_bias: Operand | None
    output_state: Operand
    cell_state: Operand

    @property
    def gates(self) -> range:
        """The gates that have tensors."""
        return range(4 - len(self.weights), 4)

    @property
    def units(self) -> int:
        """Values of the cell state."""
        return self.weights[-1].shape[0]

    @property
    def outputs(self) -> int:
        """Values of the output."""
        return self.recurrent[-1].shape[-1]

    @property
    def diagonal(self) -> bool:
        """Recurrent weights are diagonal."""
        return self.recurrent[-1].rank == 1

    def peephole_of(self, gate: int) -> Operand | None:
        """A gate's peephole weights."""
        if not self.peephole or gate == CELL_GATE:
            return None
        return self.peephole[-1 if gate == OUTPUT_GATE else gate - self.gates.start]

    def layer_norm_of(self, gate: int) -> Operand | None:
        """A gate's coefficients of layer normalization."""
        return self.layer_norm[gate - self.gates.start] if self.layer_norm else None


def read_cell(node: Node, slots: Slots, of: Layout) -> CellOperands:
    """The cell whose tensors stand at these slots, after every check of them.

    Raises:
        ModelError: a tensor is missing, or its type or shape does not go with the others'.
    """
    first = INPUT_GATE if node.optional_input(slots.weights) is not None else FORGET_GATE

    def every(slot: int) -> tuple[Operand, ...]:
        return tuple(node.input(slot + gate) for gate in range(first, 4))

    def all_or_none(slot: int | None, count: int = 4) -> tuple[Operand, ...]:
        if slot is None or all(node.optional_input(slot + i) is None for i in range(count)):
            return ()
        return tuple(node.input(slot + i) for i in range(first, count))

    cell = CellOperands(
        every(slots.weights),
        all_or_none(slots.aux_weights),
        every(slots.recurrent),
        all_or_none(slots.peephole, 3),
        every(slots.bias),
        all_or_none(slots.layer_norm),
        node.optional_input(slots.projection),
        node.optional_input(slots.projection + 1),
        node.input(slots.output_state),
        node.input(slots.cell_state),
    )
    for slot in (slots.recurrent, slots.bias):
        node.require(first == INPUT_GATE or node.optional_input(slot) is None, f"input {slot} is of an input gate without weights")
    require_rank(node, cell.weights[-1], 2)
    require_rank(node, cell.recurrent[-1], 1 if slots.diagonal else 2, 2)
    require_fit(node, cell, of)
    return cell


def require_fit(node: Node, cell: CellOperands, of: Layout) -> None:
    """Refuse tensors of a cell that do not go together."""
    integer, units, outputs = node.input(0).dtype == "int8", cell.units, cell.outputs
    weights_type = cell.weights[-1].dtype
    types = ("int8",) if integer else ("float32", *HYBRID)
    node.require(weights_type in types, f"'{cell.weights[-1].name}' is {weights_type}, expected {' or '.join(types)}")
    bias_type = "int32" if integer else "float32"
    recurrent_type, recurrent = ("float32", (units,)) if cell.diagonal else (weights_type, (units, outputs))
    for group, dtype, shape in (
        (cell.weights, weights_type, (units, of.depth)),
        (cell.aux_weights, weights_type, (units, of.depth)),
        (cell.recurrent, recurrent_type, recurrent),
        (cell.peephole, "int16" if integer else weights_type, (units,)),
        (cell.bias, bias_type, (units,)),
        (cell.layer_norm, "int16" if integer else "float32", (units,)),
    ):
        for operand in group:
            require_tensor(node, operand, (dtype,), shape)
    if cell.projection is not None:
        require_tensor(node, cell.projection, (weights_type,), (outputs, units))
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

"""LSTM, UNIDIRECTIONAL_SEQUENCE_LSTM, BIDIRECTIONAL_SEQUENCE_LSTM.

See ``lstm_cell`` for what a cell computes, ``lstm_real`` and ``lstm_integer`` for its arithmetic. LSTM makes one step of [batch, depth];
its BASIC kind is an operator of its own (see ``lstm_basic``). The others run over a sequence, [batch, steps, depth] or, ``time_major``,
[steps, batch, depth]. The bidirectional operator runs a second cell from the last step to the first. Its auxiliary input either has
weights of its own, in both cells, or, without them, replaces the input of the backward cell. Output state and cell state are variables.

TensorFlow Lite 2.21 finds the steps of an auxiliary input by the input's depth, so here both must have one depth. Batch major, it looks
for the output states of a bidirectional operator with merged outputs where they are not, beyond the first row of the batch; here they
are each row's own.

Source (TensorFlow Lite 2.21): tflite/kernels/lstm.cc, unidirectional_sequence_lstm.cc, bidirectional_sequence_lstm.cc, lstm_eval.cc.
"""

from __future__ import annotations

from qcore.kernels.lstm_basic import prepare_basic
from qcore.kernels.lstm_cell import CellOperands, Slots, read_cell
from qcore.kernels.lstm_integer import prepare_integer_cell
from qcore.kernels.lstm_real import prepare_real_cell
from qcore.kernels.opdef import FLOAT_ORDER, Node, OpDef, Step
from qcore.kernels.recurrent import Cell, Layout, Params, Pass, layout, require_tensor, sequence_step

SINGLE = Slots(1, 18, 19, layer_norm=20)
UNIDIRECTIONAL = Slots(1, 18, 19, layer_norm=20, diagonal=True)
FORWARD = Slots(1, 35, 36, aux_weights=40)
BACKWARD = Slots(18, 37, 38, aux_weights=44)
AUX_INPUT = 39


def cell_pass(node: Node, slots: Slots, of: Layout, operands: CellOperands, input: int = 0, aux: int | None = None) -> Pass:
    """A cell's pass over the sequence, as the type of the input says."""
    integer = node.input(0).dtype == "int8"
    cell: Cell = prepare_integer_cell(node, operands, of) if integer else prepare_real_cell(node, operands)
    return Pass(
        cell,
        input,
        aux,
        (slots.output_state, slots.cell_state),
        (operands.output_state.shape, operands.cell_state.shape),
        (operands.outputs, operands.units),
        backward=slots is BACKWARD,
    )


def one_way(node: Node, slots: Slots, of: Layout) -> Step:
    """LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM."""
    node.require(len(node.inputs) in (20, 24), f"has {len(node.inputs)} inputs, expected 20 or 24")
    node.require(len(node.outputs) == 1, f"has {len(node.outputs)} outputs, expected 1")
    require_output(node)
    return sequence_step(node, Params((cell_pass(node, slots, of, read_cell(node, slots, of)),), of))


def require_output(node: Node) -> None:
    """Refuse outputs of another type than the input."""
    for output in node.outputs:
        node.require(output.dtype == node.input(0).dtype, f"'{output.name}' is {output.dtype}, expected {node.input(0).dtype}")


def prepare_single(node: Node) -> Step:
    """LSTM."""
    if node.options["kernel_type"] == "BASIC":
        return prepare_basic(node)
    if node.input(0).dtype == "uint8":
        raise node.unsupported("input 0 is uint8, qcore has that for the BASIC kernel")
    return one_way(node, SINGLE, layout(node, node.input(0), None))


def prepare_unidirectional(node: Node) -> Step:
    """UNIDIRECTIONAL_SEQUENCE_LSTM."""
    return one_way(node, UNIDIRECTIONAL, layout(node, node.input(0), node.options["time_major"]))


def prepare_bidirectional(node: Node) -> Step:
    """BIDIRECTIONAL_SEQUENCE_LSTM."""
    input, aux, merge = node.input(0), node.optional_input(AUX_INPUT), node.options["merge_outputs"]
    of = layout(node, input, node.options["time_major"])
    require_output(node)
    node.require(len(node.outputs) == 2 - merge, f"has {len(node.outputs)} outputs, expected {2 - merge}")
    if aux is not None:
        require_tensor(node, aux, ("float32",), input.shape)
    forward, backward = (read_cell(node, slots, of) for slots in (FORWARD, BACKWARD))
    for size in ("units", "outputs"):
        sizes = getattr(forward, size), getattr(backward, size)
        node.require(sizes[0] == sizes[1], f"the forward cell has {sizes[0]} {size}, the backward cell {sizes[1]}, expected as many")
    with_weights = forward.gates[-1].aux_weights is not None
    node.require(
        with_weights == (backward.gates[-1].aux_weights is not None), "one cell has weights for an auxiliary input, the other has none"
    )
    node.require(aux is not None or not with_weights, f"input {AUX_INPUT} is left out, but the cells have weights for it")
    replaces = aux is not None and not with_weights
    aux_slot = AUX_INPUT if with_weights else None
    passes = (
        cell_pass(node, FORWARD, of, forward, 0, aux_slot),
        cell_pass(node, BACKWARD, of, backward, AUX_INPUT if replaces else 0, aux_slot),
    )
    return sequence_step(node, Params(passes, of, merge))


NOTES = "int8 or uint8 weights with a float32 input are dynamic range; an int8 input has int16 gates and cell state"
LSTM = OpDef(
    "LSTM",
    prepare_single,
    ("float32", "int8", "uint8"),
    (5, 24),
    (1, 4),
    tolerances={"float32": FLOAT_ORDER},
    notes=f"{NOTES}; uint8 is of the BASIC kernel",
)
UNIDIRECTIONAL_SEQUENCE_LSTM = OpDef(
    "UNIDIRECTIONAL_SEQUENCE_LSTM", prepare_unidirectional, ("float32", "int8"), (20, 24), tolerances={"float32": FLOAT_ORDER}, notes=NOTES
)
BIDIRECTIONAL_SEQUENCE_LSTM = OpDef(
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    prepare_bidirectional,
    ("float32",),
    (48, 48),
    (1, 2),
    tolerances={"float32": FLOAT_ORDER},
    notes="int8 or uint8 weights are dynamic range",
)

"""RNN, UNIDIRECTIONAL_SEQUENCE_RNN, BIDIRECTIONAL_SEQUENCE_RNN: the plain recurrence.

    output[t] = activation(bias + W input[t] + A aux[t] + R output[t - 1])

Before the first step the hidden state, a variable, stands for the output; the last output becomes the new one. RNN makes one step of
[batch, depth]; the others run over a sequence, [batch, steps, depth] or, ``time_major``, [steps, batch, depth]. The bidirectional operator
runs a second cell from the last step to the first. Its auxiliary input either has weights A of its own, in both cells, or, without
them, replaces the input of the backward cell. Integer weights are dynamic range (see ``hybrid``).

Three things that TensorFlow Lite 2.21 does are not what its operator means, and hold here too:

* BIDIRECTIONAL_SEQUENCE_RNN in dynamic range and time major runs over the sequence as often as there are steps; each time the hidden
  states go on from where they were, and the last outputs count.
* Batch major, the backward cell reads the input even where the auxiliary one should replace it.
* It finds the steps of an auxiliary input by the input's depth, so here both must have one depth.

Source (TensorFlow Lite 2.21): tflite/kernels/basic_rnn.cc, unidirectional_sequence_rnn.cc, bidirectional_sequence_rnn.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from qcore.kernels.opdef import FLOAT_ORDER, Node, OpDef, Operand, Step
from qcore.kernels.recurrent import (
    HYBRID,
    Curve,
    Layout,
    Params,
    Pass,
    Product,
    Real,
    States,
    activation_function,
    layout,
    require_state,
    require_tensor,
    sequence_step,
    stacked_product,
)

AUX_INPUT, FORWARD_AUX, BACKWARD_AUX = 9, 10, 11
"""Inputs of the bidirectional operator: the auxiliary input, and the weights that each cell has for it."""


@dataclass(frozen=True, eq=False)
class RnnCell:
    """The cell's weights.

    aux: None where it reads but one input.
    bias: float32[units].
    """

    input: Product
    aux: Product | None
    recurrent: Product
    bias: Real
    activation: Curve

    @property
    def channels(self) -> int:
        """Units."""
        return self.bias.size

    def contribution(self, x: Real, aux: Real | None) -> Real:
        """``bias + W x + A aux``."""
        total = self.bias + self.input(x)
        if self.aux is not None and aux is not None:
            total += self.aux(aux)
        return total

    def step(self, contribution: Real, states: States) -> States:
        """The output, which is the new hidden state."""
        (hidden,) = states
        return (self.activation(contribution + self.recurrent(hidden)),)


def prepare_cell(node: Node, of: Layout, first: int, aux: Operand | None) -> tuple[RnnCell, int]:
    """The cell whose weights, recurrent weights, bias and hidden state begin at input ``first``; and its number of units."""
    weights, recurrent, bias, hidden = (node.input(first + i) for i in range(4))
    units, types = weights.shape[0] if weights.shape else 0, ("float32", *HYBRID)
    require_tensor(node, weights, types, (units, of.depth))
    require_tensor(node, recurrent, (weights.dtype,), (units, units))
    require_tensor(node, bias, ("float32",), (units,))
    require_state(node, hidden, "float32", of.batch, units)
    if aux is not None:
        require_tensor(node, aux, (weights.dtype,), (units, of.depth))
    asymmetric = node.options["asymmetric_quantize_inputs"]
    cell = RnnCell(
        stacked_product([weights], asymmetric),
        None if aux is None else stacked_product([aux], asymmetric),
        stacked_product([recurrent], asymmetric),
        bias.value,
        activation_function(node, node.options["fused_activation_function"]),
    )
    return cell, units


def one_way(node: Node, of: Layout) -> Step:
    """RNN and UNIDIRECTIONAL_SEQUENCE_RNN."""
    require_output(node)
    cell, units = prepare_cell(node, of, 1, None)
    return sequence_step(node, Params((Pass(cell, 0, None, (4,), (node.input(4).shape,), (units,)),), of))


def require_output(node: Node) -> None:
    """Refuse outputs of another type than float32."""
    for output in node.outputs:
        node.require(output.dtype == "float32", f"'{output.name}' is {output.dtype}, expected float32")


def prepare_single(node: Node) -> Step:
    """RNN."""
    return one_way(node, layout(node, node.input(0), None))


def prepare_unidirectional(node: Node) -> Step:
    """UNIDIRECTIONAL_SEQUENCE_RNN."""
    return one_way(node, layout(node, node.input(0), node.options["time_major"]))


def prepare_bidirectional(node: Node) -> Step:
    """BIDIRECTIONAL_SEQUENCE_RNN."""
    time_major, merge = node.options["time_major"], node.options["merge_outputs"]
    of = layout(node, node.input(0), time_major)
    require_output(node)
    node.require(len(node.outputs) == 2 - merge, f"has {len(node.outputs)} outputs, expected {2 - merge}")
    aux, forward_aux, backward_aux = (node.optional_input(i) for i in (AUX_INPUT, FORWARD_AUX, BACKWARD_AUX))
    node.require((forward_aux is None) == (backward_aux is None), "one cell has weights for an auxiliary input, the other has none")
    if forward_aux is not None or aux is not None:
        require_tensor(node, node.input(AUX_INPUT), ("float32",), node.input(0).shape)
    aux_slot = None if forward_aux is None else AUX_INPUT
    backward_input = AUX_INPUT if aux is not None and forward_aux is None and time_major else 0
    forward, units = prepare_cell(node, of, 1, forward_aux)
    backward, backward_units = prepare_cell(node, of, 5, backward_aux)
    passes = (
        Pass(forward, 0, aux_slot, (4,), (node.input(4).shape,), (units,)),
        Pass(backward, backward_input, aux_slot, (8,), (node.input(8).shape,), (backward_units,), backward=True),
    )
    repeats = of.steps if time_major and node.input(1).dtype in HYBRID else 1
    return sequence_step(node, Params(passes, of, merge, repeats))


NOTES = "int8 or uint8 weights are dynamic range"
RNN = OpDef("RNN", prepare_single, ("float32",), (5, 5), tolerances={"float32": FLOAT_ORDER}, notes=NOTES)
UNIDIRECTIONAL_SEQUENCE_RNN = OpDef(
    "UNIDIRECTIONAL_SEQUENCE_RNN", prepare_unidirectional, ("float32",), (5, 5), tolerances={"float32": FLOAT_ORDER}, notes=NOTES
)
BIDIRECTIONAL_SEQUENCE_RNN = OpDef(
    "BIDIRECTIONAL_SEQUENCE_RNN", prepare_bidirectional, ("float32",), (12, 12), (1, 2), tolerances={"float32": FLOAT_ORDER}, notes=NOTES
)

"""What TensorFlow Lite's kernels do at once becomes one operator: constants go into weights, activations into what computes their input.

In this order, as TensorFlow's converter does it:

* what only moves elements is tidied up (see ``tidying``);
* MUL, ADD, SUB and DIV of the output of a weighted operator by a constant of its channels go into filter and bias;
* RELU, RELU6 and RELU_N1_TO_1 go into the operator that computes what they read;
* ``x * relu6(x + 3) / 6`` becomes a HARD_SWISH;
* MUL, ADD, SUB and DIV of the input of a weighted operator by one constant go into it, where no padding comes between.

Source: tflite/converter/transforms/optimize_patterns.td#FuseActFnIntoConvOpPat, #FuseBinaryOpToPrecedingAffine,
#FuseMulOrDivWithConv2dOrDepthwiseConv2d, optimize_pass.cc#FuseFullyConnectedAndAdd, #FuseFullyConnectedAndMul,
#FuseBinaryOpToFollowingAffineOp, #FuseAddAndFullyConnected, #FuseMulAndFullyConnected, #MatchHardSwishPattern1.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from qcore.kernels.opdef import Array
from qcore.model import OPTIONAL, Operator
from qcore.qat.tidying import tidy
from qcore.qat.wiring import Wiring
from qcore.quantizer.graph import Graph, real_constant, tensor_at

ACTIVATIONS = frozenset(("RELU", "RELU6", "RELU_N1_TO_1"))
TAKES_ACTIVATION = frozenset(
    ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "AVERAGE_POOL_2D", "ADD", "SUB", "MUL", "DIV")
)
ARITHMETIC = frozenset(("ADD", "SUB", "MUL", "DIV"))


@dataclass(frozen=True)
class Weights:
    """Where a weighted operator has its operands, and the axes of its filter."""

    input: int
    filter: int
    bias: int
    outputs: int
    inputs: int


WEIGHTED = MappingProxyType(
    {
        "CONV_2D": Weights(0, 1, 2, outputs=0, inputs=3),
        "DEPTHWISE_CONV_2D": Weights(0, 1, 2, outputs=3, inputs=3),
        "FULLY_CONNECTED": Weights(0, 1, 2, outputs=0, inputs=1),
        "TRANSPOSE_CONV": Weights(2, 1, 3, outputs=0, inputs=3),
    }
)


def fuse(graph: Graph) -> None:
    """Fuses what can be fused in a graph of floats, which is edited in place; operators stand in the order they run."""
    wiring = Wiring(graph)
    tidy(wiring)
    for operator in [operator for operator in graph.operators if operator.name in ACTIVATIONS]:
        _into_producer(wiring, operator)
    for operator in [operator for operator in graph.operators if operator.name == "MUL"]:
        _match_hard_swish(wiring, operator)
    for operator in [operator for operator in graph.operators if operator.name in ARITHMETIC]:
        _into_producer(wiring, operator)
    tidy(wiring)
    for operator in list(graph.operators):
        if operator.name in WEIGHTED and operator.name != "TRANSPOSE_CONV":
            while _take_arithmetic(wiring, operator):
                pass


def _activation(operator: Operator) -> Any:
    return operator.options.fields.get("fused_activation_function", "NONE") if operator.options is not None else "NONE"


def _producer(wiring: Wiring, tensor: int, reader: Operator) -> tuple[Operator, list[Operator]] | None:
    """What computes a tensor that nothing else reads, and the RESHAPE between, which must keep the channels for arithmetic with them."""
    between = list[Operator]()
    while tensor in wiring.producers and wiring.is_private(tensor):
        operator = wiring.producers[tensor]
        if operator.name != "RESHAPE":
            return operator, between
        before = operator.inputs[0]
        if reader.name in ARITHMETIC and wiring.shape(before)[-1:] != wiring.shape(tensor)[-1:]:
            return None
        between.append(operator)
        tensor = before
    return None


def _into_producer(wiring: Wiring, operator: Operator) -> None:
    """Makes an activation, or arithmetic with a constant, part of the operator that computes what it reads."""
    factors = None if operator.name in ACTIVATIONS else _constant_of(wiring, operator)
    if operator.name in ARITHMETIC and factors is None:
        return
    found = _producer(wiring, operator.inputs[0 if factors is None else factors[0]], operator)
    if found is None or _activation(found[0]) != "NONE":
        return
    producer, between = found
    if factors is None:
        if producer.name not in TAKES_ACTIVATION:
            return
        activation = operator.name
    else:
        if producer.name not in WEIGHTED or not _scale_outputs(wiring, producer, operator, factors[1]):
            return
        activation = _activation(operator)
    assert producer.options is not None
    producer.options.fields["fused_activation_function"] = activation
    made = operator.outputs
    wiring.remove(operator)
    wiring.set_outputs(between[0] if between else producer, made)


def _match_hard_swish(wiring: Wiring, operator: Operator) -> None:
    """Makes a MUL a HARD_SWISH, where x, relu6(x + 3) and 1 / 6 are the three factors of what it computes."""
    inner = next((before for number in operator.inputs if (before := _private_product(wiring, number)) is not None), None)
    if inner is None or _activation(operator) != "NONE":
        return
    factors = [*inner.inputs, *(number for number in operator.inputs if number != inner.outputs[0])]
    sixths = [number for number in factors if _is_number(wiring, number, 1 / 6)]
    gates = [number for number in factors if number in wiring.producers and _activation(wiring.producers[number]) == "RELU6"]
    if len(sixths) != 1 or len(gates) != 1 or not wiring.is_private(gates[0]):
        return
    (x,) = set(factors) - {sixths[0], gates[0]}
    gate = wiring.producers[gates[0]]
    if gate.name == "ADD" and x in gate.inputs and any(_is_number(wiring, number, 3) for number in gate.inputs):
        made = operator.outputs
        for each in (operator, inner, gate):
            wiring.remove(each)
        wiring.add("HARD_SWISH", [x], made)
        wiring.graph.sort()


def _private_product(wiring: Wiring, tensor: int) -> Operator | None:
    """The MUL that computes a tensor, where one operator alone reads that."""
    before = wiring.producers.get(tensor)
    is_product = before is not None and before.name == "MUL" and _activation(before) == "NONE" and wiring.is_private(tensor)
    return before if is_product else None


def _is_number(wiring: Wiring, tensor: int, number: float) -> bool:
    values = real_constant(wiring.graph.tensors[tensor])
    return values is not None and values.size == 1 and bool(np.isclose(values.reshape(()), number, rtol=1e-6))


def _constant_of(wiring: Wiring, operator: Operator) -> tuple[int, Array] | None:
    """Which operand of an arithmetic operator is computed, and the other, a constant that does not make the output larger."""
    for slot in (0, 1) if operator.name in ("ADD", "MUL") else (0,):
        values = real_constant(wiring.graph.tensors[operator.inputs[1 - slot]])
        if values is not None and wiring.shape(operator.inputs[slot]) == wiring.shape(operator.outputs[0]):
            return slot, values
    return None


def _of_channels(values: Array, channels: int) -> Array | None:
    """A constant as one number for each channel; None where it differs along other dimensions."""
    if values.size == 1:
        return np.full(channels, values.reshape(()), np.float32)
    return values.reshape(-1) if values.shape[-1] == values.size == channels else None


def _scale_outputs(wiring: Wiring, producer: Operator, operator: Operator, values: Array) -> bool:
    """Puts arithmetic on the outputs of a weighted operator into its filter and bias."""
    place = WEIGHTED[producer.name]
    filter, bias = _weights(wiring, producer)
    channels = wiring.shape(producer.outputs[0])[-1]
    by_channel = _of_channels(values, channels)
    if filter is None or by_channel is None:
        return False
    if operator.name in ("ADD", "SUB"):
        by_channel = by_channel if operator.name == "ADD" else -by_channel
        _set_weight(wiring, producer, place.bias, by_channel if bias is None else bias + by_channel)
        return True
    compute = np.multiply if operator.name == "MUL" else np.divide
    shape = [channels if axis == place.outputs else 1 for axis in range(filter.ndim)]
    _set_weight(wiring, producer, place.filter, compute(filter, by_channel.reshape(shape)))
    if bias is not None:
        _set_weight(wiring, producer, place.bias, compute(bias, by_channel))
    return True


def _take_arithmetic(wiring: Wiring, operator: Operator) -> bool:
    """Puts arithmetic on the inputs of a weighted operator into its filter and bias."""
    place = WEIGHTED[operator.name]
    before = wiring.producers.get(operator.inputs[place.input])
    if before is None or before.name not in ARITHMETIC or _activation(before) != "NONE":
        return False
    found = _constant_of(wiring, before)
    filter, bias = _weights(wiring, operator)
    if found is None or filter is None or (operator.inputs[place.bias] != OPTIONAL and bias is None):
        return False
    slot, values = found
    connected = operator.name == "FULLY_CONNECTED"
    if values.size != 1 and not (connected and values.shape == (filter.shape[1],)):
        return False
    if before.name in ("ADD", "SUB"):
        if not connected and operator.options is not None and operator.options["padding"] != "VALID":
            return False
        sign = 1 if before.name == "ADD" else -1
        sums = (filter * (sign * values)).sum(axis=tuple(i for i in range(filter.ndim) if i != place.outputs), dtype=np.float64)
        _set_weight(wiring, operator, place.bias, sums if bias is None else bias + sums)
    else:
        _set_weight(wiring, operator, place.filter, filter * values if before.name == "MUL" else filter / values)
    wiring.set_input(operator, place.input, before.inputs[slot])
    if not wiring.is_read(before.outputs[0]):
        wiring.remove(before)
    return True


def _weights(wiring: Wiring, operator: Operator) -> tuple[Array | None, Array | None]:
    """The filter and bias of a weighted operator, where they are constants."""
    place = WEIGHTED[operator.name]
    slots = [tensor_at(operator, slot) for slot in (place.filter, place.bias)]
    filter, bias = (None if tensor == OPTIONAL else real_constant(wiring.graph.tensors[tensor]) for tensor in slots)
    return filter, bias


def _set_weight(wiring: Wiring, operator: Operator, slot: int, values: Array) -> None:
    """Gives a weighted operator another filter or bias; others may read the one that it had."""
    name = f"{wiring.graph.tensors[operator.outputs[0]].name}/{'filter' if slot == WEIGHTED[operator.name].filter else 'bias'}"
    wiring.set_input(operator, slot, wiring.graph.add_constant(name, np.ascontiguousarray(values, np.float32), "float32"))

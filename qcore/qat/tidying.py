"""What the emitters of single layers leave around them, and what comes to nothing, or to less, side by side.

What is computed twice is computed once, and a TRANSPOSE moves behind what works on single elements, so that more of them cancel out; but
not where ranges were learned. RESHAPE and TRANSPOSE that cancel out go. A RESHAPE that only puts reduced dimensions back becomes
``keep_dims``, a TRANSPOSE that moves dimensions of size 1 a RESHAPE, a PAD that pads as SAME does becomes that.

Source: tflite/converter/transforms/optimize_patterns.td#FoldReshapeTo, #FuseSamePaddingConv2D,
#ConvertTrivialTransposeOpToReshapeOp.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.model import OPTIONAL, Operator
from qcore.qat.wiring import Wiring
from qcore.schema import constant

_ELEMENTWISE = """
    RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU ELU GELU HARD_SWISH LOGISTIC TANH ABS NEG EXP LOG SQRT RSQRT SQUARE CAST
    ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE"""
ELEMENTWISE = frozenset(_ELEMENTWISE.split())
"""Operators on single elements; their operands may be constants that broadcast."""

REDUCTIONS = frozenset(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"))
MOVES = frozenset(("RESHAPE", "TRANSPOSE", "PAD"))


def tidy(wiring: Wiring) -> None:
    """Removes what cancels out, in a graph which is edited in place; operators stand in the order they run, and do so afterwards."""
    # Ranges were learned for what each operator computes, in the shape that it has.
    has_ranges = any(operator.name == "QUANTIZE" for operator in wiring.graph.operators)
    _merge_equal(wiring, MOVES if has_ranges else None)
    for operator in list(wiring.graph.operators):
        if not has_ranges and operator.name in (*ELEMENTWISE, "CONCATENATION"):
            _sink_transposes(wiring, operator)
    for operator in [operator for operator in wiring.graph.operators if operator.name == "TRANSPOSE"]:
        _reshape_instead(wiring, operator)
    wiring.graph.sort()
    for operator in list(wiring.graph.operators):
        if operator.name in ("RESHAPE", "TRANSPOSE"):
            _skip_previous(wiring, operator)
        if operator.name == "RESHAPE":
            _keep_dimensions(wiring, operator)
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            _pad_as_same(wiring, operator)
    for operator in reversed(list(wiring.graph.operators)):
        if operator.name in MOVES and not any(map(wiring.is_read, operator.outputs)):
            wiring.remove(operator)


def _merge_equal(wiring: Wiring, names: Collection[str] | None) -> None:
    """Lets operators, of these names if any, that compute the same be one: those that read the same, or equal constants."""
    constants: dict[int, Any] = {OPTIONAL: OPTIONAL}
    found: dict[Any, Operator] = {}
    for operator in [operator for operator in wiring.graph.operators if names is None or operator.name in names]:
        for number in operator.inputs:
            if number not in constants:
                constants[number] = _identity(wiring, number)
        options = sorted(operator.options.fields.items(), key=lambda item: item[0]) if operator.options is not None else []
        key = (operator.name, *(constants[number] for number in operator.inputs), repr(options))
        first = found.setdefault(key, operator)
        if first is not operator:
            for old, new in zip(operator.outputs, first.outputs, strict=True):
                wiring.replace(old, new)
            wiring.remove(operator)


def _identity(wiring: Wiring, number: int) -> Any:
    """What equal constants have in common, and a tensor that is computed has alone."""
    tensor = wiring.graph.tensors[number]
    if tensor.buffer.data is None:
        return number
    return tensor.dtype, tensor.shape, hashlib.blake2b(tensor.buffer.data.data).digest()


def _order(wiring: Wiring, transpose: Operator) -> tuple[int, ...]:
    """How a TRANSPOSE orders dimensions, which is a constant in what the emitters make."""
    values = constant(wiring.graph.tensors[transpose.inputs[1]])
    assert values is not None
    return tuple(values.tolist())


def _reshape_instead(wiring: Wiring, operator: Operator) -> None:
    """Makes a TRANSPOSE that only moves dimensions of size 1 a RESHAPE."""
    shape, made = wiring.shape(operator.inputs[0]), operator.outputs
    order = [axis for axis in _order(wiring, operator) if shape[axis] != 1]
    if order == sorted(order):
        given, new_shape = operator.inputs[0], wiring.shape(made[0])
        wiring.remove(operator)
        number = wiring.graph.add_constant(f"{wiring.graph.tensors[made[0]].name}/shape", np.array(new_shape, np.int32), "int32")
        wiring.add("RESHAPE", [given, number], made, new_shape=list(new_shape))


def _skip_previous(wiring: Wiring, operator: Operator) -> None:
    """Makes a RESHAPE or TRANSPOSE read what one before it read, and its readers the same where that comes to nothing."""
    before = wiring.producers.get(operator.inputs[0])
    if before is not None and before.name == operator.name:
        order = operator.inputs[1]
        if operator.name == "TRANSPOSE":
            first = _order(wiring, before)
            both = np.array([first[i] for i in _order(wiring, operator)], np.int32)
            order = wiring.graph.add_constant(wiring.graph.tensors[order].name, both, "int32")
        wiring.set_inputs(operator, [before.inputs[0], order])
    given, made = operator.inputs[0], operator.outputs[0]
    same = wiring.shape(given) == wiring.shape(made)
    if same and (operator.name == "RESHAPE" or _order(wiring, operator) == tuple(range(len(wiring.shape(given))))):
        wiring.replace(made, given)


def _keep_dimensions(wiring: Wiring, operator: Operator) -> None:
    """Makes a reduction keep its dimensions, where a RESHAPE that alone reads it puts them back."""
    before = wiring.producers.get(operator.inputs[0])
    if before is None or before.name not in REDUCTIONS or before.options is None or before.options["keep_dims"]:
        return
    axes, shape = constant(wiring.graph.tensors[before.inputs[1]]), wiring.shape(before.inputs[0])
    assert axes is not None
    reduced = {int(axis) % len(shape) for axis in axes}
    kept = tuple(1 if axis in reduced else size for axis, size in enumerate(shape))
    if wiring.is_private(operator.inputs[0]) and wiring.shape(operator.outputs[0]) == kept:
        before.options.fields["keep_dims"] = True
        made = operator.outputs
        wiring.remove(operator)
        wiring.set_outputs(before, made)


def _pad_as_same(wiring: Wiring, operator: Operator) -> None:
    """Makes a convolution with VALID padding one with SAME, where a PAD before it pads as much."""
    before, options = wiring.producers.get(operator.inputs[0]), operator.options
    if before is None or before.name != "PAD" or options is None or options["padding"] != "VALID":
        return
    widths = constant(wiring.graph.tensors[before.inputs[1]])
    same = [[0, 0]]
    for size, taps, axis in zip(wiring.shape(before.inputs[0])[1:3], wiring.shape(operator.inputs[1])[1:3], "hw", strict=True):
        stride = options[f"stride_{axis}"]
        reach = (taps - 1) * options[f"dilation_{axis}_factor"] + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        same.append([total // 2, total - total // 2])
    if widths is not None and widths.tolist() == [*same, [0, 0]]:
        options.fields["padding"] = "SAME"
        wiring.set_input(operator, 0, before.inputs[0])


def _sink_transposes(wiring: Wiring, operator: Operator) -> None:
    """Moves the TRANSPOSE before an operator on single elements, or a CONCATENATION, behind it, where all its inputs have the same."""
    tensors = wiring.graph.tensors
    computed = [number for number in operator.inputs if not tensors[number].is_constant]
    sources = {number: wiring.producers.get(number) for number in computed}
    transposes = {number: source for number, source in sources.items() if source is not None and source.name == "TRANSPOSE"}
    orders = {_order(wiring, source) for source in transposes.values()}
    if len(transposes) != len(sources) or len(orders) != 1:
        return
    if operator.name == "CONCATENATION" and len(computed) != len(operator.inputs):
        return
    order, made = orders.pop(), operator.outputs[0]
    inverse = np.argsort(order)
    wiring.set_inputs(operator, [transposes[i].inputs[0] if i in transposes else _transposed(wiring, i, inverse) for i in operator.inputs])
    if operator.name == "CONCATENATION" and operator.options is not None:
        operator.options.fields["axis"] = order[operator.options["axis"] % len(order)]
    inner = wiring.graph.add_tensor(f"{tensors[made].name}/transposed", tensors[made].dtype, tensors[made], tensors[made].quantization)
    tensors[inner].shape = tuple(tensors[made].shape[i] for i in inverse)
    wiring.set_outputs(operator, [inner])
    wiring.add("TRANSPOSE", [inner, wiring.graph.add_constant(f"{tensors[made].name}/order", np.array(order, np.int32), "int32")], [made])


def _transposed(wiring: Wiring, number: int, inverse: NDArray[np.intp]) -> int:
    """A constant operand, transposed as the other operand was not."""
    tensor = wiring.graph.tensors[number]
    values = constant(tensor)
    assert values is not None
    if values.size == 1:
        return number
    values = values.reshape([1] * (len(inverse) - values.ndim) + list(values.shape)).transpose(inverse)
    return wiring.graph.add_constant(tensor.name, np.ascontiguousarray(values), tensor.dtype)

"""Constants that a float graph rounds, as training leaves weights behind: they become the rounded ones, in the codes that training saw.

The scale stays as it is. Weights have no zero point in any kernel: where the codes less the zero point fit the type, they are the codes.
What fits four bits is packed INT4 where the graph or the caller says so and kernels read that.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qcore.errors import QuantizationError
from qcore.model import OPTIONAL
from qcore.numerics import QuantParams, dequantize
from qcore.quantizer.graph import Graph, Use, set_constant
from qcore.quantizer.int8_constants import follows_others
from qcore.quantizer.options import Options
from qcore.quantizer.specification import spec_of
from qcore.quantizer.warning import warn
from qcore.quantizer.weight_kernels import Case, Granularity, takes
from qcore.schema import constant

_RESHAPING = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")


def take_constant(graph: Graph, tensor: int, codes: NDArray[np.int64], params: QuantParams, options: Options) -> dict[int, QuantParams]:
    """Makes a tensor the constant of these codes, and what TRANSPOSE, RESHAPE and their like make of it too.

    Args:
        graph: edited.
        tensor: what stands behind the rounding.
        codes: int64[...].
        params: what they stand for, of a signed type.
        options: weight_type, rules, ranges and activation_type count.

    Returns:
        parameters of those constants that kernels can read in the graph's own scale. Those of the others are left to their values: a bias,
        weights with scales along another axis than that of the operator, or whose codes do not fit.

    Raises:
        QuantizationError: a type of other than 8 or 4 bits; or codes that do not fit the four bits that ``options`` ask for, where ranges
            are to come from the graph.
    """
    if params.dtype not in ("int8", "int4"):
        name = graph.tensors[tensor].name
        raise QuantizationError(f"constant {name!r} carries a range for {params.dtype}, expected one for 8 or 4 bits")
    found: dict[int, QuantParams] = {}
    pending = [(tensor, codes, params)]
    while pending:
        number, codes, params = pending.pop()
        _set(graph, number, codes, params)
        uses = []
        for use in graph.consumers().get(number, ()):
            moved = _moved(graph, use, codes, params)
            if moved is None:
                uses.append(use)
            else:
                graph.operators.remove(use.operator)
                pending.append((use.operator.outputs[0], *moved))
        fitting = _fitting(graph, uses, graph.tensors[number].name, codes, params, options)
        if fitting is not None:
            found[number] = fitting
        elif options.ranges == "graph" and any(not follows_others(use) and spec_of(use.operator) for use in uses):
            warn(
                f"constant {graph.tensors[number].name!r} carries a range that kernels of {uses[0].operator.name} do not take: "
                "it is quantized by its values"
            )
    return found


def _set(graph: Graph, number: int, codes: NDArray[np.int64], params: QuantParams) -> None:
    tensor, real = graph.tensors[number], dequantize(codes, params)
    tensor.shape, tensor.shape_signature = real.shape, None
    set_constant(tensor, real, "float32")


def _moved(graph: Graph, use: Use, codes: NDArray[np.int64], params: QuantParams) -> tuple[NDArray[np.int64], QuantParams] | None:
    """The codes and parameters of what an operator makes of a constant by moving its elements; None where it does something else."""
    operator, axis = use.operator, params.quantized_dimension
    if use.slot != 0 or OPTIONAL in operator.inputs or len(operator.outputs) != 1 or operator.outputs[0] in graph.subgraph.outputs:
        return None
    if operator.name == "TRANSPOSE":
        given = constant(graph.tensors[operator.inputs[1]]) if len(operator.inputs) == 2 else None
        order = [] if given is None else given.reshape(-1).tolist()
        if sorted(order) == list(range(codes.ndim)):
            return codes.transpose(order), params if axis is None else replace(params, quantized_dimension=order.index(axis))
    if operator.name in _RESHAPING:
        shape = graph.tensors[operator.outputs[0]].shape
        places = [place for place in range(len(shape)) if axis is not None and _splits_alike(codes.shape, axis, shape, place)]
        if math.prod(shape) == codes.size and (axis is None or places):
            return codes.reshape(shape), params if axis is None else replace(params, quantized_dimension=places[0])
    return None


def _splits_alike(one: tuple[int, ...], axis: int, other: tuple[int, ...], place: int) -> bool:
    """The same elements lie at each place of an axis of one shape and of another."""
    return one[axis] == other[place] and math.prod(one[axis:]) == math.prod(other[place:])


def _fitting(
    graph: Graph, uses: list[Use], name: str, codes: NDArray[np.int64], params: QuantParams, options: Options
) -> QuantParams | None:
    """Parameters for the same real numbers that the kernels of all readers take; None if there are none."""
    specs = [spec_of(use.operator) for use in uses]
    if any(spec is None or follows_others(use) for use, spec in zip(uses, specs, strict=True)) or not (params.scale > 0).all():
        return None
    axes = {spec.weights.get(use.slot) for use, spec in zip(uses, specs, strict=True) if spec is not None}
    if axes == {None}:
        return replace(params, dtype="int8") if params.per_tensor else None
    if not axes <= {params.quantized_dimension} and not params.per_tensor:
        return None
    steps = codes - params.broadcast(codes.shape)[1]
    least, greatest = (int(steps.min()), int(steps.max())) if steps.size else (0, 0)
    dtype = _weight_type(graph, uses, params, codes.shape, options)
    if dtype == "int4" and not -8 <= least <= greatest <= 7:
        if options.ranges == "graph":
            raise QuantizationError(
                f"weights {name!r} are trained for 8 bits, with codes from {least} to {greatest}, and do not fit int4; "
                "a rule with weight_type='int8' leaves them as they are"
            )
        dtype = "int8"
    fits = -128 <= least <= greatest <= 127
    return replace(params, zero_point=np.zeros_like(params.zero_point), dtype=dtype) if fits else None


def _weight_type(graph: Graph, uses: list[Use], params: QuantParams, shape: tuple[int, ...], options: Options) -> str:
    """ "int4" where the graph rounds to four bits, or the caller asks for it, no rule says otherwise, and kernels read that."""
    default = "int4" if params.dtype == "int4" else options.weight_type
    wanted = {options.rules.weight_type(use.operator, graph.tensors) or default for use in uses}
    granularity: Granularity = "per_tensor" if params.per_tensor else "per_channel"
    activations = options.activation_type or "int8"
    read = shape and all(takes(Case(use.operator.name, "int4", granularity, activations), shape) for use in uses)
    return "int4" if wanted == {"int4"} and read else "int8"

"""Editing a model: parameters, constants, names, what a file carries along, types of inputs and outputs.

A ``Model`` is plain data: assign to its fields. Here is what takes more than an assignment, and ``check``, which says whether what came of
it is still one model. Functions change the model that they are given, but for those that number its tensors anew: these give a new one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.edit_io import IoType, set_io_types, use_listed_codes
from qcore.errors import InputError, ModelError, QuantizationError
from qcore.kernels.opdef import Array
from qcore.model import OPTIONAL, Buffer, Model, Operator, Quantization, Subgraph, Tensor
from qcore.numerics import QuantParams, dequantize, quantize, quantize_bias
from qcore.numerics.dtypes import element_type
from qcore.quantizer.graph import copy_model, finish, places
from qcore.quantizer.specification import spec_of
from qcore.runtime.plan import Settings
from qcore.runtime.real_values import parameters, to_elements
from qcore.runtime.session import Session
from qcore.schema import constant, encode
from qcore.schema import save as save_file
from qcore.schema.check import check as check_file

Part = Literal["metadata", "names", "ranges", "unused"]

__all__ = ["IoType", "Part", "check", "rename", "rescale", "save", "set_constant", "set_io_types", "strip"]

BIAS_SCALE_TOLERANCE = 1e-6
"""How far a bias's scale may lie from ``input_scale * filter_scale``, as part of it. Converters round the product once: 6e-8."""

CODES = ("int8", "uint8", "int16")
"""Types of quantized activations."""


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model that was edited, if it is consistent; ``qcore.save`` writes whatever is a file at all.

    Raises:
        QCoreError: it is not consistent (see ``check``), or the file cannot be written. No file is touched then.
    """
    check(model)
    save_file(model, path)


def check(model: Model) -> None:
    """Check that a model is one that runs and means what it says.

    That is: it is a file at all; every operator can be prepared for its shapes, types and parameters, as before each run; the scale of
    every bias is that of the products it is added to; and operators that only move codes have the same parameters on both sides.

    Raises:
        ModelError: it is not; the message names the operator.
        UnsupportedError: it holds what qcore does not run, and cannot be judged.
    """
    check_file(model)
    where = places(model)
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            for fault in faults(subgraph, operator):
                raise ModelError(f"{where[operator]}: {fault}")
    session = Session(model, Settings())
    for number in range(len(model.subgraphs)):
        session.executor(number).planner.plan({})


def faults(subgraph: Subgraph, operator: Operator) -> Iterator[str]:
    """What is wrong with an operator's parameters although kernels would compute with them."""
    spec, tensors = spec_of(operator), subgraph.tensors
    if spec is None:
        return
    if (factors := bias_of(subgraph, operator)) is not None:
        bias, input, filter = (tensors[i] for i in factors)
        p, x, w = (parameters(tensor) for tensor in (bias, input, filter))
        if p is not None and x is not None and w is not None:
            expected = x.scale[0].astype(np.float64) * w.scale
            if p.scale.size not in (1, w.scale.size):
                yield f"bias '{bias.name}' has {p.scale.size} scales, filter '{filter.name}' {w.scale.size}, expected as many"
            elif (apart := np.abs(p.scale - expected) > BIAS_SCALE_TOLERANCE * expected).any():
                k = int(np.argmax(apart))
                scales = f"input '{input.name}' {x.scale[0]:.9g} * filter '{filter.name}' {w.scale[k % w.scale.size]:.9g}"
                yield f"bias '{bias.name}' has scale {p.scale[k % p.scale.size]:.9g}, expected {scales} = {expected[k]:.9g}"
    if spec.same_scale and not (operator.name == "CONCATENATION" and tensors[operator.outputs[0]].dtype == "uint8"):
        ends = [tensors[i] for i in (*operator.inputs, *operator.outputs) if i != OPTIONAL and tensors[i].dtype in CODES]
        texts = [said(tensor) for tensor in ends]
        other = next((k for k, text in enumerate(texts) if text != texts[0]), None)
        if other is not None:
            yield f"'{ends[0].name}' has {texts[0]}, '{ends[other].name}' {texts[other]}, expected the same: it moves codes as they are"


def said(tensor: Tensor) -> str:
    """A tensor's parameters for a message that compares them."""
    params = parameters(tensor)
    if params is None:
        return "no scale"
    scales, zero_points = (", ".join(map(str, values[:3].tolist())) for values in (params.scale, params.zero_point))
    return f"scale {scales}, zero point {zero_points}" + (f" and {params.scale.size - 3} more" if params.scale.size > 3 else "")


def bias_of(subgraph: Subgraph, operator: Operator) -> tuple[int, int, int] | None:
    """Tensor numbers of an operator's integer bias, and of the input and filter whose scales make its own; None where it has none."""
    spec = spec_of(operator)
    if spec is None or spec.bias is None or spec.bias.slot >= len(operator.inputs):
        return None
    bias, input, filter = (operator.inputs[slot] for slot in (spec.bias.slot, spec.bias.input, spec.bias.filter))
    integers = OPTIONAL not in (bias, input, filter) and subgraph.tensors[bias].dtype in ("int32", "int64")
    return (bias, input, filter) if integers else None


def set_constant(model: Model, name: str, values: ArrayLike, subgraph: int = 0) -> None:
    """Replace the value of a constant.

    Args:
        model: changed in place; another tensor that has the same bytes keeps them.
        name: of the tensor.
        values: of its shape. Floats for a quantized tensor are real values, which are quantized with its parameters; else its elements.
        subgraph: that has the tensor.

    Raises:
        InputError: there is no such constant, or the values do not fit it.
    """
    tensor, array = model.tensor(name, subgraph), np.asarray(values)
    if not tensor.is_constant:
        raise InputError(f"set_constant: '{name}' is no constant: it is an input, a variable, or computed")
    if array.shape != tensor.shape:
        raise InputError(f"set_constant: '{name}' has shape {list(tensor.shape)}, got {list(array.shape)}")
    _set_elements(model, tensor, to_elements(tensor, array))


def rescale(model: Model, name: str, scale: ArrayLike, zero_point: ArrayLike | None = None, subgraph: int = 0) -> None:
    """Give a quantized tensor other parameters, and let what hangs on them follow.

    A constant keeps its real values, as far as the new codes can say them. The biases of operators that multiply the tensor get the scale
    of the new products, and keep their real values too. Nothing else follows: where an operator moves codes from one tensor to another,
    rescale both; ``check`` names those that were left.

    Args:
        model: changed in place.
        name: of the tensor.
        scale: real units per step, above 0: one, or one for each channel of its quantized dimension.
        zero_point: as many, or one; None leaves what is there.
        subgraph: that has the tensor.

    Raises:
        InputError: there is no such tensor, or it has no elements that such parameters fit.
        QuantizationError: parameters that nothing can be quantized with, or under which a bias would not fit its type.
    """
    tensor = model.tensor(name, subgraph)
    old = parameters(tensor)
    if old is None or tensor.quantization is None or tensor.sparsity is not None:
        raise InputError(f"rescale: '{name}' ({tensor.dtype}) is not quantized" + (", or sparse" if tensor.sparsity is not None else ""))
    axis = tensor.quantization.quantized_dimension
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    channels = tensor.shape[axis] if tensor.shape else 1
    if scales.ndim != 1 or scales.size not in (1, channels) or not (scales > 0).all():
        raise InputError(f"rescale: '{name}': got scales {scale!r}, expected one above 0, or one for each of {channels} channels")
    zero_points = old.zero_point if zero_point is None else np.atleast_1d(np.asarray(zero_point))
    zero_points = np.broadcast_to(zero_points if zero_points.size in (1, scales.size) else zero_points[:1], scales.shape)
    new = QuantParams(scales, zero_points, tensor.dtype, axis if scales.size > 1 else None)
    graph = model.subgraphs[subgraph]
    index = graph.tensors.index(tensor)
    biases = {found[0]: found for operator in graph.operators if (found := bias_of(graph, operator)) and index in found[1:]}
    reals = {i: _real(graph.tensors[i]) for i in biases}
    if (codes := constant(tensor)) is not None:
        _set_elements(model, tensor, quantize(dequantize(codes, old), new))
    tensor.quantization = _with_scales(tensor.quantization, new.scale, new.zero_point)
    for i, (_, input, filter) in biases.items():
        _rescale_bias(model, graph.tensors[i], reals[i], graph.tensors[input], graph.tensors[filter])


def rename(model: Model, old: str, new: str, subgraph: int = 0) -> None:
    """Give a tensor another name; signatures keep the names that they call it by.

    Raises:
        InputError: no tensor has the old name, or one has the new one.
    """
    tensor = model.tensor(old, subgraph)
    if any(other.name == new for other in model.subgraphs[subgraph].tensors):
        raise InputError(f"rename: subgraph {subgraph} has a tensor '{new}' already")
    tensor.name = new


def strip(model: Model, parts: Sequence[Part] = get_args(Part)) -> Model:
    """Leave out what a model runs without.

    Args:
        model: not changed.
        parts: "metadata": metadata and the description. "names": of tensors, but for inputs and outputs. "ranges": the ranges of real
            values that were seen at training. "unused": tensors, buffers and operator codes that nothing refers to; equal bytes are then
            stored once.

    Returns:
        A new model.

    Raises:
        InputError: no such part.
    """
    unknown = sorted(set(parts) - set(get_args(Part)))
    if unknown:
        raise InputError(f"strip: got {unknown[0]!r}, expected some of {', '.join(get_args(Part))}")
    edited = copy_model(model)
    if "metadata" in parts:
        edited.metadata = edited.metadata_buffer = edited.description = None
        for subgraph in edited.subgraphs:
            subgraph.debug_metadata_index = -1
            for operator in subgraph.operators:
                operator.debug_metadata_index = -1
    for subgraph in edited.subgraphs:
        for i, tensor in enumerate(subgraph.tensors):
            if "names" in parts and i not in (*subgraph.inputs, *subgraph.outputs):
                tensor.name = ""
            if "ranges" in parts and tensor.quantization is not None:
                tensor.quantization.min = tensor.quantization.max = np.zeros(0, np.float32)
    if "unused" in parts:
        finish(edited)
        use_listed_codes(edited)
    return edited


def _set_elements(model: Model, tensor: Tensor, elements: Array) -> None:
    """Put elements into a constant's buffer, or into one of its own where it shares that."""
    data = encode(elements, tensor.dtype)
    owners = [other for subgraph in model.subgraphs for other in subgraph.tensors] + [*(model.metadata or ())]
    if sum(other.buffer is tensor.buffer for other in owners) == 1:
        tensor.buffer.data = data
    else:
        tensor.buffer = Buffer(data)
    tensor.sparsity = None


def _real(tensor: Tensor) -> Array | None:
    """The real values of a quantized constant; None of any other tensor."""
    codes, params = constant(tensor), parameters(tensor)
    return None if codes is None or params is None else dequantize(codes, params)


def _rescale_bias(model: Model, bias: Tensor, real: Array | None, input: Tensor, filter: Tensor) -> None:
    """Give a bias the scale of the products of input and filter.

    real: its real values, from before any of these changed.
    """
    x, w = parameters(input), parameters(filter)
    if real is None or x is None or w is None:
        return
    found = quantize_bias(real.reshape(-1), x.single()[0], w.scale, bits=32 if bias.dtype == "int32" else 64, guard=False)
    if np.abs(found.data.astype(np.float64)).max(initial=0) >= element_type(bias.dtype).quantized_max:
        raise QuantizationError(f"rescale: bias '{bias.name}' would not fit {bias.dtype}: its greatest value is {np.abs(real).max():.6g}")
    _set_elements(model, bias, found.data.reshape(bias.shape))
    bias.quantization = _with_scales(bias.quantization or Quantization(), found.scale, np.zeros(found.scale.size, np.int64))


def _with_scales(q: Quantization, scale: NDArray[np.float32], zero_point: NDArray[np.int64]) -> Quantization:
    """The same with other scales. The range seen at training stays what it was, where there are as many scales as before."""
    seen = q if scale.size == q.scale.size else Quantization()
    return replace(q, scale=scale.copy(), zero_point=zero_point.copy(), min=seen.min, max=seen.max)

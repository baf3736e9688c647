"""``export``: from a trained model to an integer ``Model`` whose operators compute what was trained.

The float model carries every range as a QUANTIZE and a DEQUANTIZE, those of kernels too, and ``qcore.quantize_model`` takes them as they
are. While the float model is made, ranges are numbers that name their FakeQuant: so no tensor has to be found by a name that a converter
gave it, and scale and zero point are to the last bit those of the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

import keras
import numpy as np
from numpy.typing import NDArray

from qcore.errors import InputError, InternalError, UnsupportedError
from qcore.keras import from_keras
from qcore.model import OPTIONAL, Model, Operator
from qcore.numerics import QuantParams
from qcore.numerics.training import kernel_params
from qcore.qat.baking import Baking
from qcore.qat.graph_export import float_model
from qcore.qat.layers import FakeQuant, QuantizedKernel, codes_name, real_name
from qcore.quantizer import Rule, quantize_model
from qcore.quantizer.graph import Graph, real_constant, tensor_at, to_quantization
from qcore.quantizer.specification import spec_of

Route = Literal["graph", "tensorflow"]

_ON_GRID = 1e-3
"""How far from a whole number of steps float32 leaves a weight at most, and a weight that was not rounded hardly ever is."""

_LEVELS = 255.0

_CODES = ("int8", "int16")


def export(
    model: Any,
    *,
    packed: bool = True,
    route: Route = "graph",
    input_type: Literal["float32", "int8", "uint8", "int16"] | None = None,
    output_type: Literal["float32", "int8", "uint8", "int16"] | None = None,
) -> Model:
    """The integer model of a trained one.

    Activations have the scales and zero points of the FakeQuant layers, kernels the codes that training computed with. Activations of 16
    bits are int16 beside int8 or int4 kernels and int64 biases.

    Args:
        model: from ``quantize_model``, trained or calibrated; it is not changed.
        packed: kernels of up to 4 bits become packed int4 tensors, where TensorFlow Lite reads them: CONV_2D, FULLY_CONNECTED and, with
            activations of 8 bits, DEPTHWISE_CONV_2D. Beside those, its convolutions round twice with them, and without XNNPACK. False: the
            same codes in int8 tensors, twice the bytes, which it computes as any others.
        route: how the float model in between is made. "graph": from the layers themselves, on any backend. "tensorflow": by TensorFlow's
            converter, with Keras on TensorFlow.
        input_type: of the model's inputs; None is "float32". "int8" and "uint8" go with activations of 8 bits, "int16" with those of 16.
        output_type: of its outputs, likewise.

    Returns:
        A model for batches of 1; ``qcore.save`` writes it.

    Raises:
        InputError: the model has no FakeQuant, or one that saw no data.
        UnsupportedError: there is no TensorFlow for its route, or a layer that was skipped cannot be converted.
    """
    if route not in get_args(Route):
        raise InputError(f"export: got route={route!r}, expected 'graph' or 'tensorflow'")
    places: list[tuple[FakeQuant, str]] = []

    def number(layer: FakeQuant, name: str) -> FakeQuant:
        places.append((layer, name))
        kind = FakeQuant if route == "graph" else _ForTensorFlow
        return kind(fixed=(0.0, _LEVELS * len(places)), name=name)

    baked = Baking(1, number).bake(model)
    unseen = [name for layer, name in places if layer.fixed is None and not float(keras.ops.convert_to_numpy(layer.seen))]
    if unseen:
        raise InputError(f"export: {unseen[0]!r} and {len(unseen) - 1} more have seen no data: calibrate or train the model first")
    real = float_model(baked) if route == "graph" else _by_tensorflow(baked)
    graph = Graph(real)
    rules = _settle_activations(graph, places)
    bits = sorted({layer.bits for layer in model.layers if isinstance(layer, QuantizedKernel)} | {8})
    _settle_kernels(graph, bits, packed)
    wide = any(layer.bits == 16 for layer, _ in places)
    if wide:
        _settle_biases(graph)
    graph.sort()
    mode: Literal["int8", "int16x8"] = "int16x8" if wide else "int8"
    exported = quantize_model(real, mode, input_type=input_type, output_type=output_type, rules=rules, ranges="graph", runnable=wide)
    _name_interface(exported, baked)
    return exported


class _ForTensorFlow(FakeQuant):
    """A FakeQuant that TensorFlow's converter knows."""

    def call(self, x: Any, training: bool | None = None, average: bool = False) -> Any:
        return keras.quantizers.fake_quant_with_min_max_vars(x, *self.range)


def _by_tensorflow(baked: Any) -> Model:
    if keras.backend.backend() != "tensorflow":
        raise UnsupportedError(
            f"export: route 'tensorflow' with Keras on {keras.backend.backend()}: save the model, load it with compile=False where "
            "KERAS_BACKEND is tensorflow, and export it there"
        )
    return from_keras(baked, route="tensorflow")


def _settle_activations(graph: Graph, places: list[tuple[FakeQuant, str]]) -> list[Rule]:
    """Gives the codes between each pair the parameters of the FakeQuant whose number they carry, and the name that goes with it.

    Returns:
        a rule for each operator that stays float.
    """
    rules: list[Rule] = []
    producers = graph.producers()
    for operator in [operator for operator in graph.operators if operator.name == "QUANTIZE"]:
        codes, real = graph.tensors[operator.outputs[0]], graph.tensors[operator.inputs[0]]
        if real.is_constant or codes.quantization is None:
            raise InternalError(f"export: tensor {real.name!r} is a constant with a range")
        layer, name = places[round(float(codes.quantization.scale[0])) - 1]
        codes.dtype, codes.quantization, codes.name = layer.params.dtype, to_quantization(layer.params), name
        if layer.float_operator and name == layer.name:
            rules += [Rule(False, tensor=graph.tensors[number].name) for number in _computed_in_float(operator, producers)]
            continue
        number = operator.inputs[0]
        while number in producers:
            graph.tensors[number].name = name
            # What a RESHAPE reads has the same codes, and may be all that is left when the quantizer has removed it.
            number = producers[number].inputs[0] if producers[number].name == "RESHAPE" else OPTIONAL
    return rules


def _computed_in_float(quantize: Operator, producers: Mapping[int, Operator]) -> set[int]:
    """The tensors on the way to a QUANTIZE that are computed behind the pairs before it."""
    found: set[int] = set()
    pending = [quantize.inputs[0]]
    while pending:
        operator = producers.get(pending.pop())
        if operator is not None and operator.name != "DEQUANTIZE" and not found.issuperset(operator.outputs):
            found |= set(operator.outputs)
            pending += operator.inputs
    return found


def _name_interface(exported: Model, baked: Any) -> None:
    """Names inputs and outputs as Keras does, but as their FakeQuant where they are its codes."""
    graph, signature = exported.subgraphs[0], exported.signatures[0] if exported.signatures else None
    inputs = dict(signature.inputs) if signature else {}
    for position, tensor in enumerate(baked.inputs):
        number = inputs.get(tensor.name, graph.inputs[position])
        graph.tensors[number].name = codes_name(tensor.name) if graph.tensors[number].dtype in _CODES else tensor.name
    outputs = dict(signature.outputs) if signature else {}
    numbers = [outputs.get(f"output_{position}", number) for position, number in enumerate(graph.outputs)]
    for number, tensor in zip(numbers, baked.outputs, strict=True):
        name = tensor._keras_history.operation.name
        graph.tensors[number].name = name if graph.tensors[number].dtype in _CODES else real_name(name)


def _settle_kernels(graph: Graph, bits: list[int], packed: bool) -> None:
    """Puts a QUANTIZE and a DEQUANTIZE behind every kernel that lies on a grid.

    Args:
        graph: edited.
        bits: of the grids there can be, rising: a kernel that lies on several is taken to have the fewest.
        packed: those of up to 4 bits are int4, which the quantizer keeps where kernels read that.
    """
    for number, uses in graph.consumers().items():
        operator = uses[0].operator
        spec = spec_of(operator)
        axis = None if spec is None or spec.bias is None else spec.weights.get(uses[0].slot)
        values = real_constant(graph.tensors[number]) if axis is not None else None
        params = None if values is None or axis is None else _grid(values, axis, bits)
        if params is None:
            continue
        if not packed:
            params = replace(params, dtype="int8")
        like = graph.tensors[number]
        codes = graph.add_tensor(like.name, params.dtype, like, to_quantization(params))
        rounded = graph.add_tensor(like.name, "float32", like)
        graph.redirect(uses, rounded)
        graph.add_operator("QUANTIZE", [number], [codes])
        graph.add_operator("DEQUANTIZE", [codes], [rounded])


def _settle_biases(graph: Graph) -> None:
    """Gives every FULLY_CONNECTED a bias, since TensorFlow Lite 2.21 sums products of int16 in int32 where it has none."""
    for operator in graph.operators:
        if operator.name == "FULLY_CONNECTED" and tensor_at(operator, 2) == OPTIONAL:
            zeros = np.zeros(graph.tensors[operator.inputs[1]].shape[0], np.float32)
            operator.inputs[2:] = [graph.add_constant(f"{graph.tensors[operator.outputs[0]].name}/bias", zeros, "float32")]


def _grid(values: NDArray[np.float32], axis: int, bits: list[int]) -> QuantParams | None:
    """The parameters of the fewest bits whose codes are the values; None where there are none.

    One weight for each channel lies on every grid, and is better off where kernels round once.
    """
    for count in bits if values.size > values.shape[axis] else [8]:
        params = kernel_params(values, count, axis)
        steps = values / params.broadcast(values.shape)[0].astype(np.float64)
        if np.abs(steps - np.rint(steps)).max(initial=0) < _ON_GRID:
            return params
    return None

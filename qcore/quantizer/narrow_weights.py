"""int4 weights beside integer activations: a pass before mode "int8" or "int16x8" and one after it.

Before it, tables of EMBEDDING_LOOKUP become int4. What is looked up is real then, and the mode puts a QUANTIZE behind it. After it, the
weights of other operators whose kernels take int4 beside their activations get codes from the float weights anew, as those of
"weight_only" do: in [-7, 7], divided in double. A channel whose bias would not fit int32 then, next to weights as small as that, keeps
the scale that fits it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from qcore.model import Model, Operator
from qcore.numerics import QuantParams, greatest_magnitude, quantize_in_double
from qcore.quantizer.graph import Graph
from qcore.quantizer.options import Options
from qcore.quantizer.recovery.layers import Layer, find_layers
from qcore.quantizer.weight_kernels import takes
from qcore.quantizer.weights import add_weights, shared_weights

_GREATEST = 7


def narrow_tables(model: Model, options: Options) -> None:
    """Lets each EMBEDDING_LOOKUP read int4, in place, where the options say so; not where all is to be integers.

    Args:
        model: a copy of the float model.
        options: ``weight_type``, ``block_size``, ``per_channel``, ``float_fallback`` and ``rules`` count.

    Raises:
        QuantizationError: weights that are NaN or infinite.
    """
    for graph in (Graph(model, index) for index in range(len(model.subgraphs) if options.float_fallback else 0)):
        for weights in shared_weights(graph, replace(options, min_elements=0), "float32"):
            lookups = [use for use in weights.uses if use.operator.name == "EMBEDDING_LOOKUP"]
            if lookups and weights.form.dtype == "int4":
                graph.redirect(lookups, add_weights(graph, weights))


def narrow_weights(model: Model, quantized: Model, origins: Mapping[Operator, Operator], options: Options) -> None:
    """Gives operators that multiply int4 weights, in place, where the options say so and kernels take them.

    Args:
        model: the float model.
        quantized: what a mode with integer activations made of it; edited.
        origins: by operator of the quantized model, that of the float one it came from.
        options: ``weight_type`` and rules about it count.
    """
    graphs = [Graph(model, index) for index in range(len(model.subgraphs))]

    def wants(layer: Layer) -> bool:
        case = replace(layer.case, weight_type="int4")
        asked = layer.input_scale is not None and options.weight_dtype(graphs[layer.graph.index], layer.real) == "int4"
        return asked and takes(case, layer.weights.shape)

    for layer in find_layers(model, quantized, origins):
        if layer is layer.sharing[0] and all(map(wants, layer.sharing)):
            _narrow(layer.sharing)


def _narrow(layers: Sequence[Layer]) -> None:
    """Gives layers that share weights int4 ones."""
    weights, axis = layers[0].weights, layers[0].quantized_dimension
    reach = greatest_magnitude(weights, axis).astype(np.float64)
    least = np.max([layer.least_scale() for layer in layers], axis=0)
    scale = np.maximum(np.maximum(reach / _GREATEST, least if axis is not None else least.max()), np.finfo(np.float32).tiny)
    params = QuantParams(scale.astype(np.float32), np.zeros(1, np.int64), "int4", axis, narrow_range=True)
    codes = quantize_in_double(weights, params)
    for layer in layers:
        layer.write_constants(codes, params, layer.bias)

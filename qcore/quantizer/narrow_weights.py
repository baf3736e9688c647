"""int4 weights beside int8 activations: a pass over a model that mode "int8" has quantized.

Kernels of CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED read packed int4 filters. Codes come from the float weights anew, as those of
"weight_only" do: in [-7, 7], divided in double. A channel whose bias would not fit int32 then, next to weights as small as that, keeps
the scale that fits it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qcore.model import Model, Operator
from qcore.numerics import QuantParams, greatest_magnitude, quantize_in_double
from qcore.quantizer.graph import Graph
from qcore.quantizer.options import Options
from qcore.quantizer.recovery.layers import find_layers

_GREATEST = 7


def narrow_weights(model: Model, quantized: Model, origins: Mapping[Operator, Operator], options: Options) -> None:
    """Gives operators int4 weights, in place, where the options say so.

    Args:
        model: the float model.
        quantized: what mode "int8" made of it; edited.
        origins: by operator of the quantized model, that of the float one it came from.
        options: ``weight_type`` and rules about it count.
    """
    graphs = {index: Graph(model, index) for index in range(len(model.subgraphs))}
    for layer in find_layers(model, quantized, origins):
        if layer.input_scale is None or options.weight_dtype(graphs[layer.graph.index], layer.real) != "int4":
            continue
        axis = layer.quantized_dimension
        reach = greatest_magnitude(layer.weights, axis).astype(np.float64)
        least = layer.least_scale() if axis is not None else layer.least_scale().max()
        scale = np.maximum(np.maximum(reach / _GREATEST, least), np.finfo(np.float32).tiny)
        params = QuantParams(scale.astype(np.float32), np.zeros(1, np.int64), "int4", axis, narrow_range=True)
        layer.write_constants(quantize_in_double(layer.weights, params), params, layer.bias)

"""Mode "weight_only": weights as int8 or int4 in the file, everything computed in float32. It needs no calibration.

A DEQUANTIZE gives each operator of ``weights.WEIGHTS`` the real values of its weights. An EMBEDDING_LOOKUP reads int4 codes itself. So do
the operators whose kernels take int4 with a scale for each run of elements of a row (FULLY_CONNECTED then quantizes its input at run
time). Weights that blocks do not fit have a scale for each channel.

Source: tflite/converter/transforms/quantize.cc (weight_only_quantization).
"""

from __future__ import annotations

from qcore.model import Model
from qcore.quantizer.graph import Graph
from qcore.quantizer.options import Options
from qcore.quantizer.weights import add_weights, shared_weights


def quantize_weight_only(model: Model, options: Options) -> None:
    """Stores the weights of a model, which is edited in place, as integers.

    Args:
        model: a copy that may change.
        options: ``weight_type``, ``block_size``, ``min_elements``, ``per_channel``, ``per_channel_dense`` and ``rules`` count.

    Raises:
        QuantizationError: weights that are NaN or infinite.
    """
    for index in range(len(model.subgraphs)):
        graph = Graph(model, index)
        for weights in shared_weights(graph, options, "dequantized"):
            graph.redirect(weights.uses, add_weights(graph, weights))

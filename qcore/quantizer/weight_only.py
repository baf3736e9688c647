"""Mode "weight_only": weights as int8 or int4 in the file, everything computed in float32. It needs no calibration.

A DEQUANTIZE gives each operator of ``weights.WEIGHTS`` the real values of its weights. Blocks are the exception: of the kernels only
those of FULLY_CONNECTED and EMBEDDING_LOOKUP take int4 with a scale for each run of elements of a row, and they read the codes
themselves (FULLY_CONNECTED then quantizes its input at run time). Weights that blocks do not fit have a scale for each channel.

Source: tflite/converter/transforms/quantize.cc (weight_only_quantization), tflite/kernels/fully_connected.cc#EvalBlockwise4Bit,
tflite/kernels/embedding_lookup.cc#EvalBlockwise.
"""

from __future__ import annotations

import numpy as np

from qcore.model import Model, Quantization, Table
from qcore.numerics import QuantParams, choose_params, quantize, to_bfloat16, to_float16
from qcore.quantizer.graph import Graph, to_quantization
from qcore.quantizer.options import Options
from qcore.quantizer.weights import SharedWeights, quantize_weights, require_usable, shared_weights

_BLOCKWISE = ("FULLY_CONNECTED", "EMBEDDING_LOOKUP")
"""Operators whose kernels take blocks."""

_LEAST_SCALE = np.float32(2.0**-24)
"""The least positive float16: no block has a scale of 0, which runtimes refuse."""


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
        for weights in shared_weights(graph, options):
            dtype = options.weight_dtype(graph, weights.uses[0].operator)
            if options.block_size is not None and dtype == "int4" and _has_blocks(weights, options.block_size):
                graph.redirect(weights.uses, _add_blocks(graph, weights, options.block_size))
            else:
                graph.redirect(weights.uses, _add_dequantized(graph, weights, dtype))


def _has_blocks(weights: SharedWeights, block_size: int) -> bool:
    fits = weights.values.ndim == 2 and weights.values.shape[1] % block_size == 0
    return fits and all(use.operator.name in _BLOCKWISE for use in weights.uses)


def _add_dequantized(graph: Graph, weights: SharedWeights, dtype: str) -> int:
    """Adds the codes and a DEQUANTIZE, and gives the number of the real values."""
    codes = quantize_weights(weights, dtype)
    stored = graph.add_constant(weights.name, codes.data, dtype, to_quantization(codes.params))
    restored = graph.add_tensor(f"{weights.name}_dequantize", "float32", graph.tensors[stored])
    graph.add_operator("DEQUANTIZE", [stored], [restored])
    return restored


def _add_blocks(graph: Graph, weights: SharedWeights, block_size: int) -> int:
    """Adds int4 codes with a scale for each block, and gives their number.

    Scales are float16 in the file and bfloat16 in XNNPACK's kernels; they are rounded to numbers that both have.
    """
    require_usable(weights)
    rows = len(weights.values)
    blocks = weights.values.reshape(-1, block_size)
    reach = np.abs(blocks).max(axis=1)
    fitted = choose_params(-reach, reach, "int4", symmetric=True, narrow_range=True)
    scale = np.maximum(to_float16(to_bfloat16(fitted.scale)).astype(np.float32), _LEAST_SCALE)
    params = QuantParams(scale.reshape(rows, -1), fitted.zero_point.reshape(rows, -1), "int4", 1, block_size, narrow_range=True)
    scales = graph.add_constant(f"{weights.name}_scales", params.scale.astype(np.float16), "float16")
    details = Table("BlockwiseQuantization", {"scales": scales, "zero_points": -1, "block_size": block_size})
    return graph.add_constant(weights.name, quantize(weights.values, params), "int4", Quantization(details=details))

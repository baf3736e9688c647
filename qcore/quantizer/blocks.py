"""int4 weights with a scale for each run of elements of a row, as FULLY_CONNECTED and EMBEDDING_LOOKUP read them.

Scales are float16 in the file and bfloat16 in XNNPACK's kernels; they are rounded to numbers that both have.

Source: tflite/kernels/fully_connected.cc#EvalBlockwise4Bit, tflite/kernels/embedding_lookup.cc#EvalBlockwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.model import Quantization, Table, Tensor
from qcore.numerics import QuantizedTensor, QuantParams, choose_params, quantize, to_bfloat16, to_float16
from qcore.numerics.half_even import LEAST_BLOCK_SCALE
from qcore.quantizer.graph import Graph


def stored_scales(scale: NDArray[np.floating]) -> NDArray[np.float32]:
    """The nearest numbers that float16 and bfloat16 both have, none of them 0, which runtimes refuse."""
    return np.maximum(to_float16(to_bfloat16(scale)).astype(np.float32), LEAST_BLOCK_SCALE)


def block_params(scale: NDArray[np.float32], block_size: int) -> QuantParams:
    """The parameters of int4 weights with stored scales, float32[rows, blocks]."""
    return QuantParams(scale, np.zeros(scale.shape, np.int64), "int4", 1, block_size, narrow_range=True)


def quantize_blocks(values: NDArray[np.float32], block_size: int) -> QuantizedTensor:
    """Weights in [-7, 7], each block's scale from its greatest magnitude.

    Args:
        values: float32[rows, columns], real units, finite.
        block_size: a divisor of columns.
    """
    reach = np.abs(values.reshape(-1, block_size)).max(axis=1)
    fitted = choose_params(-reach, reach, "int4", symmetric=True, narrow_range=True)
    params = block_params(stored_scales(fitted.scale).reshape(len(values), -1), block_size)
    return QuantizedTensor(quantize(values, params), params)


def add_blocks(graph: Graph, name: str, codes: QuantizedTensor) -> int:
    """Adds blockwise weights and their scales, and gives the number of the former."""
    scales = graph.add_constant(f"{name}_scales", codes.params.scale.astype(np.float16), "float16")
    details = Table("BlockwiseQuantization", {"scales": scales, "zero_points": -1, "block_size": codes.params.block_size})
    return graph.add_constant(name, codes.data, codes.params.dtype, Quantization(details=details))


def scales_of(graph: Graph, weights: Tensor) -> Tensor | None:
    """The tensor that holds the scales of blockwise weights; None of others."""
    details = None if weights.quantization is None else weights.quantization.details
    if details is None or details.name != "BlockwiseQuantization" or details["zero_points"] > 0:
        return None
    scales: Tensor = graph.tensors[details["scales"]]
    return scales

"""The modes that store weights alone: "float16", "dynamic_range" and "weight_only".

Biases stay float32, and so do constants of operators without weights. "dynamic_range" lets kernels read int8 codes; the other two put a
DEQUANTIZE before them. Blocks are the exception: kernels read their int4 codes as well.

Source: litert_quantizer/recipe.py (float casting, dynamic_wi8_afp32, weight_only_wi8_afp32, weight_only_wi4_afp32, dynamic_wi4b32_afp32),
algorithms/nonlinear_quantize/float_casting.py, transformations/quantize_tensor.py, release 0.11.0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.errors import QCoreError
from qcore.model import Model, Operator, Quantization, Table
from qcore.numerics import QuantizedTensor, to_float16
from qcore.numerics.half_even import quantize_blocks_half_even
from qcore.quantizer.ai_edge_constants import named, quantize_weights, weight_axis
from qcore.quantizer.ai_edge_specification import FILTER, SPECIFICATION, Weights, decomposition, float_inputs
from qcore.quantizer.graph import Graph, real_constant, to_quantization
from qcore.quantizer.options import Options


def quantize_weights_alone(model: Model, mode: str, options: Options) -> None:
    """Stores the weights of a model, which is edited in place, in less space.

    Args:
        model: a copy that may change.
        mode: "float16", "dynamic_range" or "weight_only".
        options: ``weight_type``, ``block_size``, ``min_elements``, ``per_channel``, ``per_channel_dense`` and ``rules`` count.

    Raises:
        QuantizationError: weights that are NaN or infinite, or that blocks do not divide.
    """
    inside = {decomposition(operator) for subgraph in model.subgraphs for operator in subgraph.operators}
    for index in set(range(len(model.subgraphs))) - inside:
        _Store(Graph(model, index), mode, options).run()


class _Store:
    """One subgraph whose weights are being stored. Operators that read the same constant in the same form share it."""

    def __init__(self, graph: Graph, mode: str, options: Options) -> None:
        self.graph, self.mode, self.options = graph, mode, options
        self.stored: dict[tuple[int, int | None], int] = {}

    def run(self) -> None:
        for operator in list(self.graph.operators):
            spec = SPECIFICATION.get(operator.code.name)
            if spec is None or spec.weights is None or not self.options.quantizes(self.graph, operator):
                continue
            if not self._takes_part(spec.weights):
                continue
            for slot in float_inputs(self.graph, operator, spec):
                values = real_constant(self.graph.tensors[operator.inputs[slot]])
                if values is None or values.size < self.options.min_elements or (self.mode == "float16" and slot != FILTER):
                    continue
                try:
                    operator.inputs[slot] = self._stored(operator, slot, spec.weights, values)
                except QCoreError as error:
                    raise named(self.graph, operator, slot, error) from error

    def _takes_part(self, weights: Weights) -> bool:
        if self.mode == "float16":
            return weights.float16
        if self.options.block_size is not None:
            return weights.blocks
        return weights.int4 or self.options.weight_type == "int8"

    def _stored(self, operator: Operator, slot: int, weights: Weights, values: NDArray[np.float32]) -> int:
        number = operator.inputs[slot]
        as_codes = self.mode != "float16" and self.options.block_size is None
        axis = weight_axis(operator, weights, values.ndim, self.options) if as_codes else None
        if (number, axis) not in self.stored:
            self.stored[number, axis] = self._store(number, axis, values)
        return self.stored[number, axis]

    def _store(self, number: int, axis: int | None, values: NDArray[np.float32]) -> int:
        """Adds the weights as stored, and gives the number of what operators read."""
        name, graph = self.graph.tensors[number].name, self.graph
        if self.mode == "float16":
            return self._dequantized(name, graph.add_constant(name, to_float16(values), "float16"))
        if self.options.block_size is not None:
            return self._blocks(name, quantize_blocks_half_even(values, self.options.block_size))
        codes = quantize_weights(values, self.options.weight_type, axis)
        stored = graph.add_constant(name, codes.data, codes.params.dtype, to_quantization(codes.params))
        return stored if self.mode == "dynamic_range" else self._dequantized(name, stored)

    def _dequantized(self, name: str, stored: int) -> int:
        real = self.graph.add_tensor(f"{name}_dequant", "float32", self.graph.tensors[stored])
        self.graph.add_operator("DEQUANTIZE", [stored], [real])
        return real

    def _blocks(self, name: str, codes: QuantizedTensor) -> int:
        scales = self.graph.add_constant(f"{name}_scales", codes.params.scale.astype(np.float16), "float16")
        details = Table("BlockwiseQuantization", {"scales": scales, "zero_points": -1, "block_size": codes.params.block_size})
        return self.graph.add_constant(name, codes.data, codes.params.dtype, Quantization(details=details))

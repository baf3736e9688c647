"""The modes that store weights alone: "float16", "dynamic_range" and "weight_only".

Biases stay float32, and so do constants of operators without weights. "dynamic_range" lets kernels read codes, of int4 those that take
them; the other two put a DEQUANTIZE before them. Blocks are the exception: kernels read their int4 codes as well.

Source: litert_quantizer/recipe.py (float casting, dynamic_wi8_afp32, weight_only_wi8_afp32, weight_only_wi4_afp32, dynamic_wi4b32_afp32),
algorithms/nonlinear_quantize/float_casting.py, transformations/quantize_tensor.py, release 0.11.0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.errors import QCoreError
from qcore.model import Model, Operator
from qcore.numerics import to_float16
from qcore.numerics.half_even import quantize_blocks_half_even
from qcore.quantizer.ai_edge_constants import named, quantize_weights, weight_axis
from qcore.quantizer.ai_edge_specification import FILTER, SPECIFICATION, Weights, decomposition, float_inputs
from qcore.quantizer.blocks import add_blocks
from qcore.quantizer.graph import Graph, real_constant, to_quantization
from qcore.quantizer.options import Options
from qcore.quantizer.weight_kernels import Case, takes
from qcore.quantizer.weights import Form


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
        self.stored: dict[tuple[int, Form], int] = {}

    def run(self) -> None:
        for operator in list(self.graph.operators):
            spec = SPECIFICATION.get(operator.code.name)
            if spec is None or spec.weights is None or not self.options.quantizes(self.graph, operator):
                continue
            for slot in float_inputs(self.graph, operator, spec):
                values = real_constant(self.graph.tensors[operator.inputs[slot]])
                if values is None or values.size < self.options.min_elements or not self._takes_part(operator, slot, spec.weights, values):
                    continue
                try:
                    operator.inputs[slot] = self._stored(operator, slot, spec.weights, values)
                except QCoreError as error:
                    raise named(self.graph, operator, slot, error) from error

    def _takes_part(self, operator: Operator, slot: int, weights: Weights, values: NDArray[np.float32]) -> bool:
        if self.mode == "float16":
            return weights.float16 and slot == FILTER
        if self.options.weight_dtype(self.graph, operator) == "int8":
            return True
        if self.options.block_size is not None:
            return weights.blocks
        axis = weight_axis(operator, weights, values.ndim, self.options)
        case = Case(operator.name, "int4", "per_tensor" if axis is None else "per_channel", "float32")
        return weights.int4 and (self.mode == "weight_only" or takes(case, values.shape))

    def _stored(self, operator: Operator, slot: int, weights: Weights, values: NDArray[np.float32]) -> int:
        """Adds the weights as stored, unless they are there, and gives the number of what operators read."""
        number, axis, size = operator.inputs[slot], None, None
        dtype = "float16" if self.mode == "float16" else self.options.weight_dtype(self.graph, operator)
        if dtype == "int4":
            size = self.options.block_size
        if dtype != "float16" and size is None:
            axis = weight_axis(operator, weights, values.ndim, self.options)
        form = Form(dtype, axis, size)
        if (number, form) not in self.stored:
            self.stored[number, form] = self._store(self.graph.tensors[number].name, form, values)
        return self.stored[number, form]

    def _store(self, name: str, form: Form, values: NDArray[np.float32]) -> int:
        graph = self.graph
        if form.dtype == "float16":
            return self._dequantized(name, graph.add_constant(name, to_float16(values), "float16"))
        if form.block_size is not None:
            return add_blocks(graph, name, quantize_blocks_half_even(values, form.block_size))
        codes = quantize_weights(values, form.dtype, form.axis)
        stored = graph.add_constant(name, codes.data, codes.params.dtype, to_quantization(codes.params))
        return stored if self.mode == "dynamic_range" else self._dequantized(name, stored)

    def _dequantized(self, name: str, stored: int) -> int:
        real = self.graph.add_tensor(f"{name}_dequant", "float32", self.graph.tensors[stored])
        self.graph.add_operator("DEQUANTIZE", [stored], [real])
        return real

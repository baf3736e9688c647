"""Mode "float16": constants at half width, computation in float32.

Every float32 constant that an operator reads becomes float16, of whatever size, and one DEQUANTIZE gives all its readers the float32
values back; hardware that computes in float16 reads the constant itself. A constant that the model returns stays as it is.

Source: tflite/converter/transforms/prepare_quantize_dynamic_range.cc#convertToFloat16Constant.
"""

from __future__ import annotations

import numpy as np

from qcore.model import Buffer, Metadata, Model
from qcore.numerics import to_float16
from qcore.quantizer.graph import Graph, real_constant
from qcore.quantizer.options import Options

_REDUCED_PRECISION = ("reduced_precision_support", b"fp16accfp32")
"""Metadata that lets a runtime compute the model in float16 and accumulate in float32."""


def quantize_float16(model: Model, options: Options) -> None:
    """Stores the constants of a model, which is edited in place, as float16.

    Args:
        model: a copy that may change.
        options: ``rules`` counts.
    """
    for index in range(len(model.subgraphs)):
        _store_constants(Graph(model, index), options)
    name, value = _REDUCED_PRECISION
    model.metadata = [entry for entry in model.metadata or () if entry.name != name]
    model.metadata.append(Metadata(name, Buffer(np.frombuffer(value, np.uint8))))


def _store_constants(graph: Graph, options: Options) -> None:
    for index, uses in graph.consumers().items():
        tensor = graph.tensors[index]
        values = real_constant(tensor)
        chosen = [use for use in uses if options.quantizes(graph, use.operator)]
        if values is None or not chosen:
            continue
        stored = graph.add_constant(tensor.name, to_float16(values), "float16")
        restored = graph.add_tensor(f"{tensor.name}_dequantize", "float32", tensor)
        graph.add_operator("DEQUANTIZE", [stored], [restored])
        graph.redirect(chosen, restored)

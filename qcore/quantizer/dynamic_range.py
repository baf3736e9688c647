"""Mode "dynamic_range": integer weights, activations in float32 that kernels quantize as they run. It needs no calibration.

Each operator of ``weights.WEIGHTS`` reads its weights as symmetric int8, with a scale for each output channel where its kernel has that;
as int4, on demand, where its kernel takes those. Biases stay float32. A GATHER looks up codes, and a DEQUANTIZE behind it gives the real
numbers.

Source: tflite/converter/transforms/prepare_quantize_dynamic_range.cc, tflite/converter/transforms/quantize.cc.
"""

from __future__ import annotations

from dataclasses import replace

from qcore.model import Model, Operator
from qcore.quantizer.graph import Graph
from qcore.quantizer.options import Options
from qcore.quantizer.weights import WEIGHTS, add_weights, shared_weights


def quantize_dynamic_range(model: Model, options: Options) -> None:
    """Quantizes the weights of a model, which is edited in place, for kernels that quantize their inputs at run time.

    Args:
        model: a copy that may change.
        options: ``weight_type``, ``block_size``, ``min_elements``, ``per_channel``, ``per_channel_dense`` and ``rules`` count.

    Raises:
        QuantizationError: weights that are NaN or infinite.
    """
    for index in range(len(model.subgraphs)):
        graph = Graph(model, index)
        quantized: dict[int, Operator] = {}
        for weights in shared_weights(graph, options, "float32"):
            graph.redirect(weights.uses, add_weights(graph, weights))
            quantized |= {id(use.operator): use.operator for use in weights.uses}
        for operator in quantized.values():
            if operator.name == "GATHER":
                _dequantize_output(graph, operator)
            elif WEIGHTS[operator.name].asymmetric and operator.options is not None:
                operator.options.fields["asymmetric_quantize_inputs"] = True


def _dequantize_output(graph: Graph, gather: Operator) -> None:
    """Lets a GATHER of codes give codes, and a DEQUANTIZE the real numbers that it gave before."""
    table, real = graph.tensors[gather.inputs[0]], gather.outputs[0]
    assert table.quantization is not None
    codes = graph.add_tensor(f"{graph.tensors[real].name}_int8", "int8", graph.tensors[real], replace(table.quantization))
    gather.outputs = [codes]
    graph.add_operator("DEQUANTIZE", [codes], [real])

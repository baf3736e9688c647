"""The element types of a quantized model's inputs and outputs.

Modes leave float32 at the interface: a QUANTIZE behind each input, a DEQUANTIZE before each output. Asked for the type inside, both go;
asked for uint8 around int8, a QUANTIZE between codes that differ by 128 takes their place. Inputs and outputs that are not float32, such
as indices, and inputs that nothing reads stay as they are. What lies inside never changes.

An input that is read, or an output that is computed, in floating point has no codes. It stays float32, as in TensorFlow's files, which
leave it so without a word; here a warning names it. Without ``float_fallback`` it is refused.

Source: tflite/converter/transforms/modify_io_nodes.cc, tflite/tools/optimize/modify_model_interface.cc.
"""

from __future__ import annotations

from dataclasses import replace

from qcore.errors import QuantizationError
from qcore.model import Model, Operator, Quantization, Tensor
from qcore.quantizer.graph import Graph, Use
from qcore.quantizer.warning import warn

UINT8_OFFSET = 128
"""What uint8 codes and zero points are greater by than the int8 ones of the same real numbers."""


def set_io_types(model: Model, input_type: str, output_type: str, float_fallback: bool = True, caller: str = "quantize_model") -> None:
    """Gives the entries of a quantized model, which is edited in place, inputs and outputs of these types.

    Args:
        model: as a mode leaves it: float32 at the interface.
        input_type: "float32", the type of the activations inside, or "uint8" where that is "int8".
        output_type: likewise.
        float_fallback: an input or output without codes stays float32, and a warning says so.
        caller: for messages.

    Raises:
        QuantizationError: an input or output has no codes, without ``float_fallback``.
    """
    real: list[str] = []
    entries = {0, *(signature.subgraph_index for signature in model.signatures or ())}
    for graph in (Graph(model, index) for index in sorted(entries)):
        producers, consumers = graph.producers(), graph.consumers()
        for index in dict.fromkeys(graph.subgraph.inputs):
            if input_type != "float32" and graph.tensors[index].dtype == "float32" and index in consumers:
                reason = _set_input_type(graph, index, consumers[index], input_type)
                real += [] if reason is None else [f"input {graph.tensors[index].name!r} {reason}, expected {input_type}"]
        for index in dict.fromkeys(graph.subgraph.outputs):
            if output_type != "float32" and graph.tensors[index].dtype == "float32":
                reason = _set_output_type(graph, index, producers.get(index), index in consumers, output_type)
                real += [] if reason is None else [f"output {graph.tensors[index].name!r} {reason}, expected {output_type}"]
    if real and not float_fallback:
        raise QuantizationError(f"{caller}: {'; '.join(real)}")
    if real:
        warn(f"{caller}: these stay float32: {'; '.join(real)}")


def _set_input_type(graph: Graph, index: int, uses: list[Use], dtype: str) -> str | None:
    """Gives an input another type, or a reason against it."""
    tensor, quantize = graph.tensors[index], uses[0].operator
    real = sorted({use.operator.name for use in uses} - {"QUANTIZE"})
    if real:
        return f"is read in floating point by {', '.join(real)}"
    if len(uses) > 1 or index in graph.subgraph.outputs or not _has_codes(graph, quantize.outputs[0], dtype):
        return "has other codes, or several"
    codes = quantize.outputs[0]
    if graph.tensors[codes].dtype == dtype:
        graph.operators.remove(quantize)
        _exchange_names(tensor, graph.tensors[codes])
        graph.replace_input(index, codes)
    else:
        tensor.dtype, tensor.quantization = dtype, _shifted(graph.tensors[codes])
    return None


def _set_output_type(graph: Graph, index: int, dequantize: Operator | None, is_read: bool, dtype: str) -> str | None:
    """Gives an output another type, or a reason against it."""
    tensor = graph.tensors[index]
    if dequantize is None:
        return "is computed by no operator"
    if dequantize.name != "DEQUANTIZE" or not _has_codes(graph, dequantize.inputs[0], dtype):
        return f"is computed in floating point by {dequantize.name}"
    codes = dequantize.inputs[0]
    if graph.tensors[codes].dtype != dtype:
        shifted = graph.add_tensor(tensor.name, dtype, tensor, _shifted(graph.tensors[codes]))
        graph.add_operator("QUANTIZE", [codes], [shifted])
        codes = shifted
    if not is_read:
        graph.operators.remove(dequantize)
        _exchange_names(tensor, graph.tensors[codes])
    graph.replace_output(index, codes)
    return None


def _has_codes(graph: Graph, index: int, dtype: str) -> bool:
    """The tensor holds codes of that type, or int8 ones that uint8 can stand for."""
    tensor = graph.tensors[index]
    return tensor.quantization is not None and tensor.dtype in ((dtype, "int8") if dtype == "uint8" else (dtype,))


def _exchange_names(real: Tensor, codes: Tensor) -> None:
    """The interface keeps its names."""
    real.name, codes.name = codes.name, real.name


def _shifted(codes: Tensor) -> Quantization:
    """Parameters of the uint8 codes that stand for the same real numbers as these int8 ones."""
    assert codes.quantization is not None
    return replace(codes.quantization, zero_point=codes.quantization.zero_point + UINT8_OFFSET)

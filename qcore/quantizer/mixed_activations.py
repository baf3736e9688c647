"""int16 activations of some operators among int8 ones: both modes, one after the other, and QUANTIZE operators where they meet.

Mode "int8" leaves the operators of int16 in floating point; mode "int16x8" then quantizes these alone. Between the two stands a
DEQUANTIZE and a QUANTIZE. From int16 to int8 one QUANTIZE does both; from int8 to int16 TensorFlow Lite has none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qcore.model import Model, Operator
from qcore.quantizer.graph import Graph
from qcore.quantizer.int8 import quantize_int8, simplify_interface
from qcore.quantizer.int8_rewrite import remove_unread_conversions
from qcore.quantizer.int16x8 import quantize_int16x8
from qcore.quantizer.options import Options, Ranges

_RESTORED = "/dequantized"
"""What mode "int8" adds to the name of a tensor that it makes real again."""


def quantize_mixed(model: Model, ranges: Ranges, options: Options) -> set[Operator]:
    """Quantizes a model in place, as ``quantize_int8`` does, with int16 activations where rules say so.

    Args:
        model: a float model, edited.
        ranges: of its activations.
        options: those of both modes count.

    Returns:
        As ``quantize_int8``.

    Raises:
        QuantizationError: a range that no tensor can be quantized with.
    """
    known = _RangesByName.of(model, ranges)
    emulating = quantize_int8(model, ranges, replace(options, activation_type="int8"))
    simplify_interface(model, emulating)
    quantize_int16x8(model, replace(known, model=model), replace(options, activation_type="int16"))
    for index in range(len(model.subgraphs)):
        graph = Graph(model, index)
        _join_conversions(graph)
        remove_unread_conversions(graph)
    return emulating


@dataclass(frozen=True)
class _RangesByName:
    """Ranges of a model's tensors, also of those that an earlier pass put in their place.

    model: as it is now. counts: how many tensors each subgraph had. names: of the tensors that it had, their numbers.
    """

    ranges: Ranges
    model: Model
    counts: list[int]
    names: list[dict[str, int]]

    @classmethod
    def of(cls, model: Model, ranges: Ranges) -> _RangesByName:
        """Before the first pass."""
        names = [{tensor.name: number for number, tensor in enumerate(graph.tensors)} for graph in model.subgraphs]
        return cls(ranges, model, [len(graph.tensors) for graph in model.subgraphs], names)

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        """See ``Ranges``."""
        if tensor >= self.counts[subgraph]:
            name = self.model.subgraphs[subgraph].tensors[tensor].name.removesuffix(_RESTORED)
            if name not in self.names[subgraph]:
                return None
            tensor = self.names[subgraph][name]
        return self.ranges.range(subgraph, tensor, dtype)


def _join_conversions(graph: Graph) -> None:
    """Makes a QUANTIZE to int8 that reads what a DEQUANTIZE gave read the int16 codes themselves.

    Source: tflite/kernels/quantize.cc#Prepare.
    """
    producers = graph.producers()
    for operator in graph.operators:
        before = producers.get(operator.inputs[0]) if operator.name == "QUANTIZE" else None
        if before is not None and before.name == "DEQUANTIZE" and graph.tensors[before.inputs[0]].dtype == "int16":
            operator.inputs = [before.inputs[0]]

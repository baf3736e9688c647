"""Loops in integers: what a WHILE hands from one iteration to the next becomes codes.

TensorFlow's converter leaves a WHILE and its variables in floating point, so that no model with a loop, such as an LSTM of Keras 3, is
integer throughout. Where that is asked for, all that stands for one variable of a loop shares one range, and the loop hands on codes. A
variable that the condition reads stays real: rounded, it might keep the loop from ending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from qcore.model import OPTIONAL, Model, Operator
from qcore.numerics import QuantParams
from qcore.quantizer.graph import Graph, params_of, to_quantization
from qcore.quantizer.int8_constants import constant_codes, is_float_constant
from qcore.quantizer.int8_propagate import equal_params
from qcore.quantizer.int8_rewrite import remove_unread_conversions
from qcore.quantizer.options import Ranges


@dataclass(frozen=True)
class Loop:
    """A WHILE, and the subgraphs that have a part in it."""

    operator: Operator
    outside: Graph
    condition: Graph
    body: Graph

    def variable(self, slot: int) -> Iterator[tuple[int, int]]:
        """All that one variable is, by numbers of subgraph and tensor."""
        yield self.outside.index, self.operator.inputs[slot]
        yield self.outside.index, self.operator.outputs[slot]
        yield self.condition.index, self.condition.subgraph.inputs[slot]
        yield self.body.index, self.body.subgraph.inputs[slot]
        yield self.body.index, self.body.subgraph.outputs[slot]


def loops(model: Model) -> list[Loop]:
    """The loops of a model whose parts are entered by nothing else, and have as many variables each."""
    operators = [(index, operator) for index, subgraph in enumerate(model.subgraphs) for operator in subgraph.operators]
    entered = Counter([0, *(signature.subgraph_index for signature in model.signatures or ())])
    for _, operator in operators:
        fields = {} if operator.options is None else operator.options.fields
        entered.update(value for name, value in fields.items() if name.endswith("subgraph_index"))
    found = []
    for index, operator in operators:
        if operator.name == "WHILE" and operator.options is not None:
            parts = [operator.options[f"{part}_subgraph_index"] for part in ("cond", "body")]
            loop = Loop(operator, Graph(model, index), *(Graph(model, part) for part in parts))
            inner = loop.body.subgraph
            variables = (operator.inputs, operator.outputs, loop.condition.subgraph.inputs, inner.inputs, inner.outputs)
            whole = len(set(map(len, variables))) == 1 and OPTIONAL not in (*operator.inputs, *operator.outputs)
            if whole and all(entered[part] == 1 for part in parts):
                found.append(loop)
    return found


@dataclass
class LoopRanges:
    """Ranges by which everything that stands for one variable of a loop has the range of all of it."""

    ranges: Ranges
    variables: dict[tuple[int, int], set[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Model, ranges: Ranges) -> LoopRanges:
        """Those of a model."""
        shared = cls(ranges)
        for loop in loops(model):
            for slot in range(len(loop.operator.inputs)):
                together = set(loop.variable(slot))
                together = together.union(*(shared.variables.get(part, ()) for part in together))
                shared.variables |= dict.fromkeys(together, together)
        return shared

    def range(self, subgraph: int, tensor: int, dtype: str = "int8") -> tuple[float, float] | None:
        """The least range that holds all."""
        parts = self.variables.get((subgraph, tensor), {(subgraph, tensor)})
        known = [ends for part in parts if (ends := self.ranges.range(*part, dtype)) is not None]
        return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def quantize_loops(model: Model) -> set[Operator]:
    """Makes the variables of loops codes, after all subgraphs are quantized.

    Returns:
        the loops that hand on nothing in floating point.
    """
    whole = set()
    for loop in loops(model):
        real = [slot for slot, i in enumerate(loop.body.subgraph.inputs) if loop.body.tensors[i].dtype == "float32"]
        done = [_quantize_variable(loop, slot) for slot in real]
        if all(done):
            whole.add(loop.operator)
        for graph in (loop.outside, loop.condition, loop.body):
            _read_codes(graph)
    return whole


def _quantize_variable(loop: Loop, slot: int) -> bool:
    """Puts conversions around the codes that now stand for a variable; False where it has to stay real."""
    body, outside = loop.body, loop.outside
    tested, inner, result = loop.condition.subgraph.inputs[slot], body.subgraph.inputs[slot], body.subgraph.outputs[slot]
    params = _params(body, inner, result)
    if params is None or tested in loop.condition.consumers() or tested in loop.condition.subgraph.outputs:
        return False
    _receive(loop.condition, tested, params)
    _receive(body, inner, params)
    if result != inner:
        body.subgraph.outputs[slot] = _quantized(body, result, params)
    loop.operator.inputs[slot] = _quantized(outside, loop.operator.inputs[slot], params)
    real = loop.operator.outputs[slot]
    loop.operator.outputs[slot] = outside.add_tensor(
        f"{outside.tensors[real].name}/codes", "int8", outside.tensors[real], to_quantization(params)
    )
    outside.add_operator("DEQUANTIZE", [loop.operator.outputs[slot]], [real])
    return True


def _params(body: Graph, inner: int, result: int) -> QuantParams | None:
    """Those in which the body computes a variable; of one that it passes on, those in which it is read."""
    if result != inner:
        producer = body.producers().get(result)
        return params_of(body.tensors[producer.inputs[0]]) if producer is not None and producer.name == "DEQUANTIZE" else None
    readers = [use.operator for use in body.consumers().get(inner, ())]
    return params_of(body.tensors[readers[0].outputs[0]]) if readers and all(r.name == "QUANTIZE" for r in readers) else None


def _receive(graph: Graph, number: int, params: QuantParams) -> None:
    """An input of a subgraph becomes codes; what reads it reads their real numbers."""
    tensor, uses = graph.tensors[number], graph.consumers().get(number, [])
    real = graph.add_tensor(f"{tensor.name}/real", "float32", tensor)
    graph.redirect(uses, real)
    tensor.dtype, tensor.quantization = params.dtype, to_quantization(params)
    graph.add_operator("DEQUANTIZE", [number], [real])


def _quantized(graph: Graph, number: int, params: QuantParams) -> int:
    """The codes of a real tensor."""
    tensor = graph.tensors[number]
    if is_float_constant(tensor):
        return graph.add_constant(tensor.name, constant_codes(tensor, params, "float32"), params.dtype, to_quantization(params))
    codes = graph.add_tensor(f"{tensor.name}/codes", params.dtype, tensor, to_quantization(params))
    graph.add_operator("QUANTIZE", [number], [codes])
    return codes


def _read_codes(graph: Graph) -> None:
    """Makes every QUANTIZE of what a DEQUANTIZE computed read the codes before it, and drops those that change nothing."""
    producers, consumers = graph.producers(), graph.consumers()
    for quantize in [operator for operator in graph.operators if operator.name == "QUANTIZE"]:
        dequantize, result = producers.get(quantize.inputs[0]), quantize.outputs[0]
        if dequantize is None or dequantize.name != "DEQUANTIZE":
            continue
        codes = dequantize.inputs[0]
        quantize.inputs = [codes]
        if equal_params(params_of(graph.tensors[codes]), params_of(graph.tensors[result])):
            graph.redirect(consumers.get(result, ()), codes)
            graph.subgraph.outputs = [codes if i == result else i for i in graph.subgraph.outputs]
    remove_unread_conversions(graph)

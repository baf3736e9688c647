"""From two models and what was observed of them to a ``Report``."""

from __future__ import annotations

import math
from collections.abc import Iterable

from qcore.analysis.comparison import Comparison
from qcore.analysis.report.advice import Context, advise
from qcore.analysis.report.charts import bars, grid, worst_channels
from qcore.analysis.report.data import Activation, OperatorRow, Part, Range, Report, TensorRow
from qcore.analysis.report.observing import Observed, Observing
from qcore.analysis.report.scopes import scopes
from qcore.analysis.report.weights import WEIGHT_TYPES, Constants, biases_of, weights_of
from qcore.calibration import Statistics
from qcore.calibration.clipping import Distribution, squared_error
from qcore.calibration.observers import SMALLEST_POSITIVE, Method, find_range
from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.numerics.params import QuantParams, quantized_type
from qcore.quantizer.specification import SPECIFICATION
from qcore.runtime.real_values import parameters
from qcore.schema import default_options

METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse")
"""Whose ranges are shown beside the file's. "entropy" and "moving_average" do not aim at the least error."""
PERCENTILE = Statistics().percentile


def build(
    pair: Observing, models: tuple[Model, Model], files: tuple[tuple[str, int], tuple[str, int]], comparison: Comparison | None
) -> Report:
    """What the page shows.

    Args:
        pair: of the two models, after it took all samples.
        models: the float and the quantized one.
        files: their names and sizes in bytes.
        comparison: what came of the samples; None without any.
    """
    graph = pair.quantized.graph
    tensors = tensor_rows(pair)
    operators = operator_rows(pair, comparison)
    inputs = tuple(activation(seen, ()) for seen in pair.seen if seen.statistics.count)
    mode = mode_of(models[1])
    others = len(models[1].subgraphs) - 1
    return Report(
        float_name=files[0][0],
        quantized_name=files[1][0],
        float_bytes=files[0][1],
        quantized_bytes=files[1][1],
        mode=mode,
        comparison=comparison,
        operator_types=operator_types(*models),
        element_types=element_types(*models),
        tensors=tensors,
        inputs=tuple(graph.inputs),
        outputs=tuple(graph.outputs),
        input_activations=inputs,
        operators=operators,
        advice=advise(Context(mode, operators, tensors, inputs)),
        notes=(f"{others} other subgraphs of the quantized model count in its sizes and are not looked into",) if others else (),
    )


def tensor_rows(pair: Observing) -> tuple[TensorRow, ...]:
    """Tensors of the quantized model."""
    producer = {o: position for position, operator in enumerate(pair.quantized.graph.operators) for o in operator.outputs}
    constants = Constants.of(pair.quantized.graph)
    return tuple(
        TensorRow(t.name, t.dtype, t.shape, producer.get(i), i in constants.behind, held(t), grid(parameters(t)))
        for i, t in enumerate(pair.quantized.graph.tensors)
    )


def operator_rows(pair: Observing, comparison: Comparison | None) -> tuple[OperatorRow, ...]:
    """Operators of the quantized model, with all that is known of each."""
    graph, theirs = pair.quantized.graph, pair.float.graph
    constants, references = Constants.of(graph), Constants.of(theirs)
    names = [None if is_constant(o, constants) else first_name(o, graph.tensors) for o in graph.operators]
    errors = () if comparison is None else comparison.operators
    counted: set[int] = set()
    rows = []
    for position, (operator, scope) in enumerate(zip(graph.operators, scopes(names), strict=True)):
        counterpart = counterpart_of(pair, position)
        reference = None if counterpart is None else theirs.operators[counterpart]
        rows.append(
            OperatorRow(
                name=operator.name,
                scope=scope,
                inputs=tuple(operator.inputs),
                outputs=tuple(operator.outputs),
                options=options_of(operator),
                size=newly_held((graph.tensors[i] for i in operator.inputs if i != OPTIONAL), counted),
                counterpart=counterpart,
                target=None if reference is None else theirs.tensors[reference.outputs[0]].name,
                errors=tuple(row for row in errors if row.index == position),
                weights=weights_of(operator, constants, reference, references),
                biases=biases_of(operator, constants, reference, references),
                activations=tuple(
                    activation(seen, ranges_of(operator, seen)) for seen in pair.outputs_of(position) if seen.statistics.count
                ),
            )
        )
    return tuple(rows)


def is_constant(operator: Operator, constants: Constants) -> bool:
    """It only gives a constant another form."""
    return bool(operator.outputs) and operator.outputs[0] in constants.behind


def first_name(operator: Operator, tensors: list[Tensor]) -> str:
    """The name of what an operator computes."""
    return tensors[operator.outputs[0]].name if operator.outputs else ""


def counterpart_of(pair: Observing, position: int) -> int | None:
    """The float model's operator of the same kind that computes what one of the quantized model does."""
    for output in pair.quantized.graph.operators[position].outputs:
        value = pair.pairs.of_b.get(output)
        found = None if value is None else pair.float.flow.producer.get(value)
        if found is not None and pair.float.graph.operators[found].name == pair.quantized.graph.operators[position].name:
            return found
    return None


def options_of(operator: Operator) -> tuple[tuple[str, str], ...]:
    """Options that differ from the schema's defaults, and those that have none worth hiding."""
    defaults = default_options(operator.code.name)
    if operator.options is None or defaults is None:
        return ()
    return tuple((name, str(value)) for name, value in operator.options.fields.items() if str(value) != str(defaults.fields.get(name)))


def activation(seen: Observed, ranges: tuple[Range, ...]) -> Activation:
    """What was seen of a tensor."""
    statistics, sums = seen.statistics, seen.channels
    found = grid(seen.params)
    return Activation(
        tensor=seen.tensor,
        bars=bars(statistics),
        low=statistics.minimum,
        high=statistics.maximum,
        count=statistics.count,
        nonfinite=statistics.nan + statistics.infinite,
        grid=found,
        below=seen.below / statistics.count,
        above=seen.above / statistics.count,
        least=code(seen.least, seen.params),
        greatest=code(seen.greatest, seen.params),
        ranges=ranges,
        worst=() if sums is None else worst_channels(sums),
        alone=seen.runs_alone > 0,
    )


def code(real: float, params: QuantParams | None) -> int | None:
    """The code that stands for a real number; None without per-tensor codes."""
    if params is None or not params.per_tensor or not math.isfinite(real):
        return None
    scale, zero_point = params.single()
    return round(real / scale) + zero_point if scale else zero_point


def ranges_of(operator: Operator, seen: Observed) -> tuple[Range, ...]:
    """The present range and those that methods would choose; none where the range is not the tensor's own choice."""
    params, spec = seen.params, SPECIFICATION.get(operator.name)
    if params is None or not params.per_tensor or spec is None or spec.same_scale or spec.output or not seen.statistics.count:
        return ()
    present = grid(params)
    if present is None or present.scale == 0:
        return ()
    steps = (1 << quantized_type(params.dtype).bits) - 1
    values = Distribution.of(seen.statistics)

    def judged(method: str, low: float, high: float) -> Range:
        low, high = min(low, 0.0), 0.0 if high <= SMALLEST_POSITIVE else high
        if params.dtype == "int16":
            # Kernels want zero point 0.
            low, high = min(low, -high), max(-low, high)
        error = math.sqrt(squared_error(values, low, high, steps) / seen.statistics.count)
        return Range(method, low, high, error, values.beyond(low, high) / seen.statistics.count)

    return (
        judged("present", present.low, present.high),
        *(judged(method, *find_range(seen.statistics, method, PERCENTILE, params.dtype)) for method in METHODS),
    )


def mode_of(model: Model) -> str:
    """How a model was quantized, by the mode's name in ``quantize_model``; "float" where it was not."""
    operators = [(operator, graph.tensors) for graph in model.subgraphs for operator in graph.operators]
    computed = [
        t[o] for operator, t in operators if operator.name not in ("QUANTIZE", "DEQUANTIZE") for o in operator.outputs if o != OPTIONAL
    ]
    codes = [tensor.dtype for tensor in computed if parameters(tensor) is not None]
    if codes:
        return "int16x8" if codes.count("int16") * 2 > len(codes) else "int8"
    weights = [t for graph in model.subgraphs for t in graph.tensors if t.is_constant and t.dtype in WEIGHT_TYPES]
    if not weights:
        return "float"
    if all(t.dtype == "float16" for t in weights):
        return "float16"
    direct = any(
        tensors[i].dtype in WEIGHT_TYPES and tensors[i].is_constant
        for operator, tensors in operators
        if operator.name != "DEQUANTIZE"
        for i in operator.inputs
        if i != OPTIONAL
    )
    return "dynamic_range" if direct else "weight_only"


def held(tensor: Tensor) -> int:
    """Bytes that the file holds for a tensor."""
    return 0 if tensor.buffer.data is None else tensor.buffer.data.size


def newly_held(tensors: Iterable[Tensor], counted: set[int]) -> int:
    """Bytes of those buffers that were not counted before; they are now."""
    total = 0
    for tensor in tensors:
        if id(tensor.buffer) not in counted:
            counted.add(id(tensor.buffer))
            total += held(tensor)
    return total


def operator_types(float_model: Model, quantized_model: Model) -> tuple[Part, ...]:
    """Operators and their constants by type, the largest in the float model first."""

    def parts(model: Model) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        counted: set[int] = set()
        for graph in model.subgraphs:
            for operator in graph.operators:
                count, size = found.get(operator.name, (0, 0))
                size += newly_held((graph.tensors[i] for i in operator.inputs if i != OPTIONAL), counted)
                found[operator.name] = count + 1, size
        return found

    return _beside(parts(float_model), parts(quantized_model))


def element_types(float_model: Model, quantized_model: Model) -> tuple[Part, ...]:
    """Constants by element type, the largest in the float model first."""

    def parts(model: Model) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        counted: set[int] = set()
        for tensor in (t for graph in model.subgraphs for t in graph.tensors if t.is_constant):
            count, size = found.get(tensor.dtype, (0, 0))
            found[tensor.dtype] = count + 1, size + newly_held([tensor], counted)
        return found

    return _beside(parts(float_model), parts(quantized_model))


def _beside(a: dict[str, tuple[int, int]], b: dict[str, tuple[int, int]]) -> tuple[Part, ...]:
    parts = [Part(name, *a.get(name, (0, 0)), *b.get(name, (0, 0))) for name in {**a, **b}]
    return tuple(sorted(parts, key=lambda p: (-max(p.float_bytes, p.quantized_bytes), -p.quantized_count, p.name)))

"""Rules that hold wherever a model runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import MappingProxyType

from qcore.analysis.lint.findings import Finding
from qcore.analysis.lint.predicates import no_float_input_with_integer_weights, weights_per_tensor
from qcore.analysis.lint.rules.shared import dynamic_inputs
from qcore.analysis.lint.subject import Subject, is_float
from qcore.analysis.lint.targets import Rule, Target
from qcore.kernels.registry import look_up
from qcore.model import OPTIONAL, Model

FLOAT_FALLBACK = "qcore quantize --no-float-fallback says why each one stayed float"
CODES = ("int8", "uint8", "int16")
DYNAMIC_RANGE = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"})
TYPES_SOURCE = "docs/operators.md: the types of TensorFlow Lite 2.21's kernels"


def has_kernel(s: Subject) -> str | None:
    """TensorFlow Lite has a kernel for the type."""
    definition = look_up(s.operator.code)
    if definition is None or not definition.types or s.principal is None or s.principal.dtype in definition.types:
        return None
    return f"no kernel takes {s.principal.dtype} here, only {', '.join(definition.types)}"


def needs_more_than_builtins(s: Subject) -> str | None:
    """The operator is one of TensorFlow Lite's own."""
    if s.operator.code.name != "CUSTOM":
        return None
    if s.name.startswith("Flex"):
        return "an operator of TensorFlow: needs the Flex delegate, and with it most of TensorFlow"
    return "a custom operator: the runtime must be given a kernel of that name"


def dense_per_channel(s: Subject) -> str | None:
    """Dense layers of integers have one scale."""
    if s.name != "FULLY_CONNECTED" or s.principal is None or s.principal.dtype not in CODES:
        return None
    found = weights_per_tensor(s)
    return None if found is None else f"{found}; the operator's version is the same as with one scale, so runtimes from before cannot tell"


def computes_in_float(s: Subject) -> str | None:
    """No floats among codes."""
    if s.name in ("QUANTIZE", "DEQUANTIZE") or not is_float(s.principal) or not is_float(s.output):
        return None
    graph = {t.dtype for t in s.graph.tensors if not t.is_constant and t.quantization is not None and t.quantization.scale.size}
    return "computed in floating point in a model of codes" if graph & set(CODES) else None


def unused_tensors(model: Model) -> Iterator[Finding]:
    """Tensors that nothing reads and nothing gives out."""
    for number, graph in enumerate(model.subgraphs):
        used = {*graph.inputs, *graph.outputs}
        for operator in graph.operators:
            used |= {*operator.inputs, *operator.outputs, *(operator.intermediates or ())}
        for index in sorted(set(range(len(graph.tensors))) - used - {OPTIONAL}):
            tensor = graph.tensors[index]
            held = 0 if tensor.buffer.data is None else tensor.buffer.data.size
            message = f"tensor {index} is used by no operator" + (f", and holds {held} bytes" if held else "")
            yield Finding("note", "any/unused-tensor", number, None, "", tensor.name, message, "convert the model again", "the file")


TARGET = Target(
    "any",
    "TensorFlow Lite 2.21",
    "",
    MappingProxyType({}),
    rules=(
        Rule("no-kernel", has_kernel, "qcore quantize --runnable keeps it float32", "error", TYPES_SOURCE),
        Rule("custom", needs_more_than_builtins, "builtin operators where the model is converted", "warning", "tflite/kernels/register.cc"),
        Rule("float-fallback", computes_in_float, FLOAT_FALLBACK, "warning", "docs/conversion.md"),
        Rule(
            "per-channel-dense",
            dense_per_channel,
            "qcore quantize --no-per-channel-dense, for old or small runtimes",
            "note",
            "tflite/converter/tools/versioning/op_version.cc, FULLY_CONNECTED",
        ),
        Rule(
            "dynamic-range",
            lambda s: (
                "float input with integer weights: needs a runtime that quantizes inputs as they come"
                if no_float_input_with_integer_weights(s) and s.name in DYNAMIC_RANGE
                else None
            ),
            "qcore quantize --mode int8 with --calibration, for targets without it",
            "note",
            "docs/quantization.md (35)",
        ),
    ),
    model=(unused_tensors, partial(dynamic_inputs, "any", "note", "shapes are only known once an input has been resized")),
    unmapped="error",
    partitions=None,
)

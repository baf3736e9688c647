"""The GPU delegate of TensorFlow Lite, which computes in float16 or float32.

Read in LiteRT's sources: tflite/tools/versioning/gpu_compatibility.cc#CheckGpuDelegateCompatibility, which is what the delegate itself
and TensorFlow's analyzer ask, and tflite/delegates/gpu/common/model_builder.cc#GetOpsToReplace. Left out: LSTM's variants, STABLEHLO
operators, shapes of BITCAST and of what broadcasts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import MappingProxyType

from qcore.analysis.lint.findings import Finding
from qcore.analysis.lint.predicates import (
    constant_input,
    holds,
    input_types,
    listed,
    option,
    option_range,
    rank,
    ranks_up_to,
    run_time_inputs,
    variable_input,
)
from qcore.analysis.lint.rules.shared import FIX_SHAPES, SHAPE_ARITHMETIC, dynamic_inputs
from qcore.analysis.lint.subject import Subject
from qcore.analysis.lint.targets import Row, Rule, Target, table
from qcore.model import Model

FLOATS = ("float32", "float16")
TAKEN = (*FLOATS, "int8", "uint8")
FLOAT16 = "qcore quantize --mode float16"
ACTIVATION = Rule("activation", option("fused_activation_function", "NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGMOID"))
ONE = Rule("inputs", run_time_inputs(1))
ONE_OR_TWO = Rule("inputs", run_time_inputs(1, 2))
AXES = Rule("axes", constant_input(1, "axes"), FIX_SHAPES)
AXES_TYPE = Rule("axes-type", input_types(1, "axes", "int32"))
TWO_INPUTS = Rule("inputs", holds(lambda s: len(s.inputs) == 2, "has more than two inputs"))


def also(s: Subject) -> tuple[str, ...]:
    """Types beyond floats and codes that an operator's tensors may have."""
    extra = {
        "CAST": ("bool", "int32"),
        "ONE_HOT": ("int32",),
        "SELECT": ("bool",),
        "SELECT_V2": ("bool",),
        "LOGICAL_AND": ("bool",),
        "LOGICAL_OR": ("bool",),
        "LOGICAL_NOT": ("bool",),
        "GATHER": ("int32",),
    }
    comparisons = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
    return ("bool",) if s.name in comparisons else extra.get(s.name, ())


def floats_or_codes(s: Subject) -> str | None:
    """Tensors that are no constants hold floats, or codes of 8 bits, which are treated as floats."""
    other = next((t for t in s.activations if t.dtype not in (*TAKEN, *also(s))), None)
    return None if other is None else f"'{other.name}' is {other.dtype}, the target takes {', '.join((*TAKEN, *also(s)))}"


def codes_as_floats(model: Model) -> Iterator[Finding]:
    """Codes are made floats, and back, around each operator."""
    codes = sum(t.dtype in ("int8", "uint8") and not t.is_constant for graph in model.subgraphs for t in graph.tensors)
    if codes:
        message = f"{codes} tensors of codes are computed with as floats, and rounded to their steps: not the CPU's integers, and no faster"
        source = "tflite/delegates/gpu/common/model_builder.cc, quant_conversion_map"
        yield Finding("note", "gpu-fp16/codes", 0, None, "", "", message, FLOAT16, source)


def keeps_rank(s: Subject) -> str | None:
    """FULLY_CONNECTED with keep_num_dims gives what it takes."""
    a, b = s.input(0), s.output
    if not s.options.get("keep_num_dims") or a is None or b is None or len(a.shape) == len(b.shape):
        return None
    return f"keep_num_dims with {len(a.shape)} dimensions in and {len(b.shape)} out"


def paddings_of_3_or_4(s: Subject) -> str | None:
    """Paddings are of 3 or 4 dimensions."""
    paddings = s.input(1)
    return (
        None
        if paddings is None or paddings.shape in ((3, 2), (4, 2))
        else f"paddings are {list(paddings.shape)}, the target takes 3x2 or 4x2"
    )


def no_masks(s: Subject) -> str | None:
    """STRIDED_SLICE without the masks that change the rank."""
    set_ones = [name for name in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask") if s.options.get(name)]
    return f"has {listed(set_ones)}, the target takes none" if set_ones else None


def one_kind_of_corners(s: Subject) -> str | None:
    """RESIZE_BILINEAR aligns corners or has half-pixel centres, not both."""
    return "aligned corners with half-pixel centres" if s.options.get("align_corners") and s.options.get("half_pixel_centers") else None


def cast_pairs(s: Subject) -> str | None:
    """CAST goes between floats and bool, and between float32 and int32."""
    a, b = s.principal, s.output
    if a is None or b is None:
        return None
    pair = {a.dtype, b.dtype}
    fine = pair <= {"float32", "int32"} or ("bool" in pair and pair - {"bool"} <= {"float16", "float32"} and len(pair) == 2)
    return None if fine else f"casts {a.dtype} to {b.dtype}"


SINGLE_OUTPUT = Rule("outputs", holds(lambda s: len(s.outputs) == 1, "has more than one output"))
PADDINGS = Rule("paddings", paddings_of_3_or_4)
BLOCK = Rule("block", option_range("block_size", 2, 2**31 - 1))

OPERATORS = table(
    ("CONCATENATION PACK PRELU RELU RELU6 RELU_N1_TO_1 LEAKY_RELU SPLIT SPLIT_V BATCH_MATMUL LSTM SELECT SELECT_V2", Row()),
    ("ABS CEIL COS ELU EXP FLOOR GELU LOG LOGICAL_NOT LOGISTIC NEG ROUND RSQRT SIGN SIN SQRT SQUARE TANH", Row(rules=(ONE,))),
    ("HARD_SWISH QUANTIZE RESHAPE RESIZE_NEAREST_NEIGHBOR TILE TRANSPOSE TOPK_V2", Row(rules=(ONE,))),
    ("ATAN2 DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LOGICAL_AND LOGICAL_OR LESS", Row(rules=(ONE_OR_TWO, ACTIVATION))),
    ("LESS_EQUAL MAXIMUM MINIMUM NOT_EQUAL POW RIGHT_SHIFT SQUARED_DIFFERENCE SUB", Row(rules=(ONE_OR_TWO, ACTIVATION))),
    ("MEAN SUM REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD REVERSE_V2", Row(rules=(ONE, AXES, AXES_TYPE))),
    ("ADD ADD_N", Row(rules=(TWO_INPUTS,))),
    ("MUL", Row(rules=(TWO_INPUTS, ACTIVATION))),
    ("AVERAGE_POOL_2D MAX_POOL_2D", Row(rules=(ONE, ACTIVATION, SINGLE_OUTPUT))),
    ("CAST", Row(rules=(ONE, Rule("types", cast_pairs)))),
    ("CONV_2D", Row(rules=(ONE_OR_TWO, ACTIVATION))),
    ("DEPTHWISE_CONV_2D", Row(rules=(ONE_OR_TWO, ACTIVATION, Rule("rank", rank(0, 4, 4))))),
    ("TRANSPOSE_CONV", Row(rules=(ONE_OR_TWO,))),
    ("CUMSUM", Row(FLOATS, (Rule("axes", constant_input(1, "axis")), AXES_TYPE))),
    ("DENSIFY", Row(rules=(Rule("constant", constant_input(0, "sparse weights")),))),
    ("DEPTH_TO_SPACE SPACE_TO_DEPTH", Row(rules=(ONE, BLOCK))),
    ("DEQUANTIZE", Row(("int8", "uint8", "float16", "int4", "int2"))),
    ("DYNAMIC_UPDATE_SLICE", Row(rules=(Rule("start-type", input_types(2, "start indices", "int32")),))),
    ("EMBEDDING_LOOKUP", Row(("int8", "int4", "int2", "float32"))),
    (
        "FULLY_CONNECTED",
        Row(
            rules=(
                Rule("weights-format", option("weights_format", "DEFAULT")),
                ONE_OR_TWO,
                Rule("constant-input", variable_input(0, "input")),
                Rule("keep-num-dims", keeps_rank),
            )
        ),
    ),
    ("GATHER", Row(rules=(ONE_OR_TWO, Rule("index-rank", rank(1, 1, 1)), Rule("index-type", input_types(1, "indices", "int32"))))),
    ("MIRROR_PAD", Row(rules=(ONE, PADDINGS, Rule("mode", option("mode", "REFLECT"))))),
    ("ONE_HOT", Row(rules=(Rule("value-type", input_types(2, "on value", "float32")),))),
    ("PAD PADV2", Row(rules=(ONE, PADDINGS))),
    ("RESIZE_BILINEAR", Row(rules=(ONE, Rule("corners", one_kind_of_corners)))),
    ("SLICE", Row(rules=(Rule("rank", rank(0, 3, 4)),))),
    ("SOFTMAX", Row(rules=(Rule("beta", option("beta", 1.0)),))),
    ("STRIDED_SLICE", Row(rules=(Rule("mask", no_masks), Rule("rank", rank(0, 3, 4))))),
)


TARGET = Target(
    "gpu-fp16",
    "TensorFlow Lite's GPU delegate, LiteRT of 21 August 2026 (f674577)",
    "tflite/tools/versioning/gpu_compatibility.cc#CheckGpuDelegateCompatibility",
    OPERATORS,
    rules=(
        Rule("types", floats_or_codes, source="tflite/delegates/gpu/common/model_builder.cc#GetOpsToReplace"),
        Rule("rank", ranks_up_to(4), source="tflite/delegates/gpu/common/model_builder.cc#IsAllAllowedTensors"),
    ),
    model=(codes_as_floats, partial(dynamic_inputs, "gpu-fp16", "note", "the delegate takes the sizes of the file, {stored}")),
    fixes=MappingProxyType({**SHAPE_ARITHMETIC, "int16": FLOAT16}),
)

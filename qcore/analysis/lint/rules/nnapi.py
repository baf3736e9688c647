"""Android's Neural Networks API, through TensorFlow Lite's delegate: what its Validate lets pass on the newest feature level.

Read in LiteRT's sources, tflite/delegates/nnapi/nnapi_delegate.cc#NNAPIDelegateKernel::Validate. Each row names the least Android API
level that takes the operator at all; what a device's driver then takes may be less. Left out: recurrent operators' variants, sparse
projections.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import MappingProxyType

from qcore.analysis.lint.findings import Finding
from qcore.analysis.lint.predicates import (
    constant_input,
    holds,
    input_count,
    input_types,
    no_activation,
    no_float_input_with_integer_weights,
    output_types,
    present_input,
    rank,
    ranks_up_to,
    scalar_free_output,
    version_up_to,
)
from qcore.analysis.lint.rules.shared import FIX_SHAPES, SHAPE_ARITHMETIC, dynamic_inputs, said
from qcore.analysis.lint.targets import Row, Rule, Target
from qcore.model import Model

SOURCE = "tflite/delegates/nnapi/nnapi_delegate.cc#NNAPIDelegateKernel::Validate"
F, I32 = "float32", "int32"
QUANT = ("uint8", "int8")
FLOAT_OR_QUANT = (F, *QUANT)
ANY = (*FLOAT_OR_QUANT, I32)
QUANTIZE = "qcore quantize --mode int8"

ANY_VERSION = 2**31 - 1

RANK4 = Rule("rank", ranks_up_to(4))
BIAS = Rule("bias", present_input(2, "bias"), "a bias of zeros")
NO_ACTIVATION = Rule("activation", no_activation)
HYBRID = Rule("dynamic-range", no_float_input_with_integer_weights, QUANTIZE)
CONSTANT_SHAPE = Rule("constant", constant_input(0, "output shape"), FIX_SHAPES)
NOT_INT16 = Rule("output-type", holds(lambda s: s.output is None or s.output.dtype != "int16", "output is int16"), QUANTIZE)
AXIS = Rule("axis", input_types(1, "axis", I32))

TABLE: tuple[tuple[str, int, int, tuple[str, ...], tuple[Rule, ...]], ...] = (
    # operators, least API level, greatest version, types, rules
    ("ADD MUL", 27, 2, ANY, (RANK4,)),
    ("SUB", 28, 3, ANY, (RANK4,)),
    ("DIV", 28, 1, (F,), (RANK4,)),
    ("SQUARED_DIFFERENCE", 28, 2, ANY, (RANK4,)),
    ("MAXIMUM MINIMUM", 29, 3, ANY, ()),
    ("ARG_MAX ARG_MIN", 29, 2, ("float16", *ANY), (Rule("output-type", output_types(I32)),)),
    ("AVERAGE_POOL_2D MAX_POOL_2D", 27, 2, FLOAT_OR_QUANT, ()),
    ("L2_POOL_2D", 27, 1, (F,), ()),
    ("CONV_2D", 27, 5, FLOAT_OR_QUANT, (BIAS,)),
    ("DEPTHWISE_CONV_2D", 27, 3, FLOAT_OR_QUANT, ()),
    ("TRANSPOSE_CONV", 29, 4, (), (CONSTANT_SHAPE, Rule("constant", constant_input(1, "filter")))),
    ("FULLY_CONNECTED", 27, 5, (), (NOT_INT16,)),
    ("HARD_SWISH", 27, ANY_VERSION, FLOAT_OR_QUANT, ()),
    ("SOFTMAX", 27, 2, FLOAT_OR_QUANT, (RANK4, Rule("output-type", output_types(*FLOAT_OR_QUANT)))),
    ("LOG_SOFTMAX", 29, 1, (F,), ()),
    ("RESHAPE", 27, 1, ANY, (RANK4, Rule("constant", constant_input(1, "shape"), FIX_SHAPES))),
    ("SQUEEZE", 28, 1, (), ()),
    ("EXPAND_DIMS", 29, 1, ("float16", *ANY), (AXIS, Rule("constant", constant_input(1, "axis")))),
    ("RESIZE_BILINEAR", 27, 3, FLOAT_OR_QUANT, (Rule("rank", rank(0, 4, 4)), Rule("constant", constant_input(1, "size"), FIX_SHAPES))),
    ("RESIZE_NEAREST_NEIGHBOR", 29, 3, FLOAT_OR_QUANT, (Rule("constant", constant_input(1, "size"), FIX_SHAPES),)),
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", 29, 2, (), (HYBRID, Rule("inputs", input_count(20, 24)))),
    ("UNIDIRECTIONAL_SEQUENCE_RNN", 29, 1, (), (HYBRID,)),
    ("BIDIRECTIONAL_SEQUENCE_LSTM", 29, 1, (), (HYBRID,)),
    ("LSTM", 28, 3, (), ()),
    ("RNN SVDF", 28, 1, (), (Rule("weights-type", input_types(1, "weights", F)),)),
    ("L2_NORMALIZATION", 27, 2, (), (NO_ACTIVATION,)),
    ("LOCAL_RESPONSE_NORMALIZATION FLOOR", 27, 1, (), ()),
    ("CONCATENATION", 27, 2, ("float16", *FLOAT_OR_QUANT), (NO_ACTIVATION, Rule("rank", rank(0, 0, 4)))),
    ("DEQUANTIZE", 27, 3, (*QUANT, "float16"), ()),
    ("DENSIFY", 30, 1, (), (Rule("constant", constant_input(0, "sparse weights")),)),
    ("QUANTIZE", 29, 2, FLOAT_OR_QUANT, (Rule("output-type", output_types(*QUANT)),)),
    ("RELU RELU_N1_TO_1 RELU6 LOGISTIC TANH", 27, 2, FLOAT_OR_QUANT, ()),
    ("ELU", 30, 1, (F,), ()),
    ("LEAKY_RELU PRELU", 29, 1, FLOAT_OR_QUANT, ()),
    ("ABS EXP LOG POW SQRT SIN COS", 29, 1, (F,), ()),
    ("RSQRT", 29, 2, FLOAT_OR_QUANT, ()),
    ("NEG", 29, 2, (F, I32), ()),
    ("PAD PADV2", 28, 2, FLOAT_OR_QUANT, ()),
    ("MIRROR_PAD", 31, 2, ANY, ()),
    ("SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND", 28, 2, (), ()),
    ("SPACE_TO_DEPTH", 27, 2, FLOAT_OR_QUANT, ()),
    ("DEPTH_TO_SPACE", 27, ANY_VERSION, FLOAT_OR_QUANT, ()),
    ("STRIDED_SLICE", 28, 2, FLOAT_OR_QUANT, ()),
    ("SLICE", 29, 2, ANY, (Rule("begin-type", input_types(1, "begin", I32)), Rule("size-type", input_types(2, "size", I32)))),
    ("TRANSPOSE", 28, 2, (), (Rule("constant", constant_input(1, "permutation"), FIX_SHAPES),)),
    ("MEAN", 28, 2, FLOAT_OR_QUANT, (RANK4, Rule("scalar", scalar_free_output))),
    ("REDUCE_MAX REDUCE_MIN", 29, 2, FLOAT_OR_QUANT, ()),
    ("REDUCE_ANY", 29, 2, (), (Rule("scalar", scalar_free_output),)),
    ("REDUCE_PROD SUM", 29, 1, (F,), (Rule("scalar", scalar_free_output),)),
    ("EMBEDDING_LOOKUP", 27, 1, (F,), ()),
    ("HASHTABLE_LOOKUP", 27, 1, (F,), ()),
    ("CAST", 29, 1, ANY, (Rule("output-type", output_types(*ANY)),)),
    ("TILE", 29, 1, ANY, (Rule("multiples-type", input_types(1, "multiples", I32)),)),
    ("LOGICAL_OR LOGICAL_AND LOGICAL_NOT", 29, 1, ("bool",), ()),
    ("LESS LESS_EQUAL GREATER GREATER_EQUAL EQUAL NOT_EQUAL", 29, 2, (*ANY, "bool"), ()),
    ("TOPK_V2", 29, 2, ANY, (Rule("constant", constant_input(1, "k")),)),
    ("SELECT", 29, 2, ANY, ()),
    ("GATHER", 29, 2, ("float16", *ANY), (Rule("index-type", input_types(1, "indices", I32)), Rule("rank", rank(1, 1, 32)))),
    ("SPLIT", 29, 3, ANY, (Rule("constant", constant_input(0, "axis")),)),
    ("SPLIT_V", 30, 2, ANY, (Rule("constant", constant_input(1, "sizes")), Rule("constant", constant_input(2, "axis")))),
    ("PACK", 30, 2, ANY, ()),
    ("UNPACK", 30, 2, FLOAT_OR_QUANT, (Rule("rank", rank(0, 2, 4)),)),
    ("FILL", 30, 1, (F, I32, "int64"), (Rule("constant", constant_input(0, "dims"), FIX_SHAPES),)),
    ("BATCH_MATMUL", 31, 2, (F, I32, "int8"), (Rule("rank", rank(0, 2, 4)), HYBRID)),
)  # fmt: skip

SINCE = MappingProxyType({name: level for names, level, *_ in TABLE for name in names.split()})


def rows() -> dict[str, Row]:
    """The table by operator."""
    return {
        name: Row(types, (Rule("version", version_up_to(version)), *rules))
        for names, _, version, types, rules in TABLE
        for name in names.split()
    }


def least_level(model: Model) -> Iterator[Finding]:
    """The Android API level that the model's operators need."""
    names = {operator.name for graph in model.subgraphs for operator in graph.operators}
    level = max((SINCE[name] for name in names if name in SINCE), default=27)
    if level > 27:
        needing = ", ".join(sorted(name for name in names if SINCE.get(name) == level))
        message = f"needs Android API level {level} or later for {needing}; on older ones it runs on the CPU"
        yield Finding("note", "nnapi/api-level", 0, None, "", "", message, "", SOURCE)


TARGET = Target(
    "nnapi",
    "TensorFlow Lite's NNAPI delegate, LiteRT of 21 August 2026 (f674577), newest feature level",
    SOURCE,
    MappingProxyType(rows()),
    model=(
        least_level,
        partial(dynamic_inputs, "nnapi", "warning", "the delegate needs sizes when it prepares"),
        partial(
            said,
            "nnapi",
            "deprecated",
            "note",
            "NNAPI is deprecated since Android 15, and its delegate is no longer supported",
            "the GPU delegate (--target gpu-fp16), or a vendor's own",
            "developer.android.com/ndk/guides/neuralnetworks/migration-guide",
        ),
    ),
    fixes=MappingProxyType({**SHAPE_ARITHMETIC, "int16": QUANTIZE, "uint8": QUANTIZE, "int64": "int32 indices where the model is made"}),
)

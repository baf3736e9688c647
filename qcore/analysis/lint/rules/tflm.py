"""TensorFlow Lite Micro: the operators of its resolver, and what their reference kernels' Prepare and Eval take.

Read in the sources of tflite-micro of 20 August 2026 (90b983c). A type counts where the kernel's switch has a case for it; kernels for
particular processors (CMSIS-NN, Xtensa, ...) fall back to these or take less.
"""

from __future__ import annotations

import math
from functools import partial
from types import MappingProxyType

from qcore.analysis.lint.predicates import (
    absent_inputs,
    constant_input,
    holds,
    input_count,
    input_types,
    input_types_for,
    no_activation,
    no_float_input_with_integer_weights,
    output_types,
    output_types_for,
    rank,
    ranks_up_to,
    same_input_types,
    same_type,
    short,
    weights_per_tensor,
)
from qcore.analysis.lint.rules.shared import dynamic_inputs
from qcore.analysis.lint.subject import Subject
from qcore.analysis.lint.targets import Row, Rule, Target

F, I8, I16, I32 = "float32", "int8", "int16", "int32"
SMALL = (F, I8, I16)
MOVED = (F, I8, I16, I32)

QUANTIZE = "qcore quantize --mode int8 with --calibration"
FIXED = "give the model fixed shapes before it is converted"
FOLD = f"{FIXED}, so that this input becomes a constant"


def scale_per_unit(s: Subject) -> str | None:
    """Dense layers have one scale."""
    found = weights_per_tensor(s)
    return None if found is None else f"{found}: kernels for Hexagon refuse this, and early releases took the first scale for all"


NO_DYNAMIC_RANGE = Rule("dynamic-range", no_float_input_with_integer_weights, QUANTIZE)
DENSE_PER_CHANNEL = Rule(
    "per-channel-dense",
    scale_per_unit,
    "qcore quantize --no-per-channel-dense",
    "note",
    "kernels/fully_connected_common.cc#CalculateOpDataFullyConnected",
)
NO_INT4_PER_CHANNEL = Rule(
    "int4-dense",
    lambda s: weights_per_tensor(s) if (w := s.input(1)) is not None and w.dtype == "int4" else None,
    "qcore quantize --no-per-channel-dense",
    source="kernels/fully_connected_common.cc#CalculateOpDataFullyConnected",
)
CONCATENATION_INPUTS = 10


def few_inputs(s: Subject) -> str | None:
    """CONCATENATION holds so many inputs and no more."""
    return None if len(s.inputs) <= CONCATENATION_INPUTS else f"has {len(s.inputs)} inputs, the kernel holds {CONCATENATION_INPUTS}"


def no_empty_output(s: Subject) -> str | None:
    """Every output has elements; the shape [0] counts as a scalar."""
    empty = next((t for t in s.outputs if t is not None and 0 in t.shape and t.shape != (0,)), None)
    return None if empty is None else f"output {short(empty)} has shape {list(empty.shape)}: tensors without elements count as dynamic"


def same_size(s: Subject) -> bool:
    """Input and output have as many elements, with the sizes that the file stores."""
    return s.principal is None or s.output is None or math.prod(s.principal.shape) == math.prod(s.output.shape)


def constant(index: int, what: str) -> Rule:
    """An input that decides a shape is known when the model is allocated; a constant without elements counts as none."""
    known = constant_input(index, what)

    def check(s: Subject) -> str | None:
        tensor = s.input(index)
        empty = tensor is not None and tensor.buffer.data is not None and not tensor.buffer.data.size
        return f"{what} has no elements, which counts as computed at run time" if empty else known(s)

    return Rule("constant", check, FOLD)


def weights(*types: str) -> Rule:
    """Types of weights."""
    return Rule("weights-type", input_types(1, "filter", *types))


def at(kernel: str) -> str:
    """Where a row was read."""
    return f"kernels/{kernel}.cc"


def rows() -> dict[str, Row]:
    """The table."""
    table: dict[str, Row] = {}

    def add(names: str, kernel: str, types: tuple[str, ...], *rules: Rule) -> None:
        table.update({name: Row(types, rules, at(kernel)) for name in names.split()})

    same = Rule("same-type", same_type())
    add("CONV_2D", "conv_common", SMALL, NO_DYNAMIC_RANGE, weights(F, I8, "int4"))
    add("DEPTHWISE_CONV_2D", "depthwise_conv_common", SMALL, NO_DYNAMIC_RANGE, weights(F, I8, "int4"))
    add("TRANSPOSE_CONV", "transpose_conv", SMALL, NO_DYNAMIC_RANGE, weights(F, I8))
    dense_weights = Rule("weights-type", input_types_for(1, "filter", {F: (F,), I8: (I8, "int4"), I16: (I8,)}))
    add("FULLY_CONNECTED", "fully_connected", SMALL, NO_DYNAMIC_RANGE, dense_weights, NO_INT4_PER_CHANNEL, DENSE_PER_CHANNEL)
    add("BATCH_MATMUL", "batch_matmul", SMALL, NO_DYNAMIC_RANGE, Rule("same-type", same_input_types))
    add("AVERAGE_POOL_2D MAX_POOL_2D", "pooling_common", SMALL)
    add("L2_POOL_2D", "l2_pool_2d", (F,))
    add("RELU RELU6", "activations", SMALL)
    add("LOGISTIC", "logistic_common", SMALL, same)
    add("TANH", "tanh", SMALL, same)
    add("HARD_SWISH ELU", "hard_swish", (F, I8))
    add("LEAKY_RELU", "leaky_relu", SMALL)
    add("PRELU", "prelu_common", SMALL)
    add("SOFTMAX", "softmax_common", SMALL, Rule("output-type", output_types_for({F: (F,), I8: (I8, I16), I16: (I16,)})))
    add("LOG_SOFTMAX", "log_softmax", (F, I8))
    add("L2_NORMALIZATION", "l2norm", (F, I8), Rule("activation", no_activation), Rule("rank", ranks_up_to(4)))
    add("ADD SUB", "add_common", MOVED)
    add("MUL", "mul_common", MOVED)
    add("DIV", "div", (F, I8, I32))
    add("ADD_N", "add_n", (F, I8))
    add("SQUARED_DIFFERENCE", "squared_difference", MOVED)
    add("MAXIMUM MINIMUM", "maximum_minimum", (*MOVED, "int64"))
    add("FLOOR_DIV FLOOR_MOD", "floor_div", (F,))
    add("ABS RSQRT", "elementwise", SMALL)
    add("SIN COS LOG SQRT SQUARE", "elementwise", (F,))
    add("CEIL FLOOR ROUND EXP NEG", "elementwise", (F,))
    add("LOGICAL_NOT LOGICAL_AND LOGICAL_OR", "logical", ("bool",))
    add("EQUAL NOT_EQUAL", "comparisons", ("bool", F, I32, "int64", I8))
    add("GREATER", "comparisons", (F, I32, "int64", I8, I16))
    add("GREATER_EQUAL LESS LESS_EQUAL", "comparisons", (F, I32, "int64", I8))
    add("MEAN SUM", "reduce_common", SMALL, Rule("constant", constant_input(1, "axes"), FOLD))
    add("REDUCE_MAX REDUCE_MIN", "reduce_common", (F, I8))
    add("REDUCE_ALL", "reduce_common", ("bool",))
    add("ARG_MAX ARG_MIN", "arg_min_max", (F, I8), Rule("axis-type", input_types(1, "axis", I32)), Rule("output-type", output_types(I32)))
    add("CONCATENATION", "concatenation", ("bool", *MOVED, "int64"), Rule("activation", no_activation), Rule("inputs", few_inputs))
    add("PACK", "pack", (*MOVED, "int64"))
    add("UNPACK", "unpack", MOVED)
    add("SPLIT", "split", MOVED, constant(0, "axis"))
    add("SPLIT_V", "split_v", MOVED, constant(2, "axis"))
    add("PAD PADV2", "pad", MOVED, constant(1, "paddings"))
    add("MIRROR_PAD", "mirror_pad", (F, I8))
    add("RESHAPE SQUEEZE", "reshape_common", (), Rule("size", holds(same_size, "input and output, as stored, differ in size"), FIXED))
    add("EXPAND_DIMS", "expand_dims", SMALL, constant(1, "axis"))
    add("TRANSPOSE", "transpose_common", SMALL, constant(1, "perm"), Rule("rank", ranks_up_to(5)))
    add("SLICE", "slice", (*MOVED, "bool"), Rule("rank", ranks_up_to(5)))
    places = constant(1, "begin"), constant(2, "end"), constant(3, "strides")
    add("STRIDED_SLICE", "strided_slice_common", (*MOVED, "bool"), *places, Rule("rank", rank(0, 0, 4)))
    add("GATHER GATHER_ND", "gather", (F, I8), Rule("index-type", input_types(1, "indices", I32)))
    add("EMBEDDING_LOOKUP", "embedding_lookup", (F, I8))
    add("BROADCAST_TO", "broadcast_to", (), constant(1, "shape"), Rule("rank", ranks_up_to(5)))
    add("BROADCAST_ARGS", "broadcast_args", (I32, "int64"))
    add("FILL", "fill", (F, I8, I32), constant(0, "dims"))
    add("ZEROS_LIKE", "zeros_like", (F, I8, I32, "int64"))
    add("SHAPE", "shape", (), Rule("output-type", output_types(I32)))
    add("REVERSE_V2", "reverse", (*MOVED, "uint8", "int64", "bool"))
    add("CUMSUM", "cumsum", (F, I8))
    add("SPACE_TO_DEPTH DEPTH_TO_SPACE", "space_to_depth", (F, I8))
    add("SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND", "space_to_batch_nd", (F, I8))
    add("RESIZE_BILINEAR", "resize_bilinear", (F, I8), constant(1, "size"))
    add("RESIZE_NEAREST_NEIGHBOR", "resize_nearest_neighbor", MOVED, constant(1, "size"))
    add("DYNAMIC_UPDATE_SLICE", "dynamic_update_slice", MOVED)
    add("SELECT_V2", "select", SMALL)
    quantized = {F: (I8, I16), I8: (I8, "uint8", I16, I32), I16: (I8, I16, I32), I32: (I8, I16), "uint8": (I8,)}
    add("QUANTIZE", "quantize_common", tuple(quantized), Rule("output-type", output_types_for(quantized)))
    add("DEQUANTIZE", "dequantize_common", (I8, I16, "uint8"), Rule("output-type", output_types(F)))
    casts = (I8, I16, I32, "uint32", F)
    add("CAST", "cast", (*casts, "bool"), Rule("output-type", output_types(*casts)))
    add("SVDF", "svdf_common", (F, I8), weights(F, I8), NO_DYNAMIC_RANGE)
    lstm = Rule("variant", absent_inputs((9, 10, 11, 16, 17, 20, 21, 22, 23), "peephole weights, a projection or layer normalization"))
    add("UNIDIRECTIONAL_SEQUENCE_LSTM", "unidirectional_sequence_lstm", SMALL, Rule("inputs", input_count(24)), lstm, NO_DYNAMIC_RANGE)
    add("IF WHILE CALL_ONCE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE", "if", ())
    custom = "TFLite_Detection_PostProcess CIRCULAR_BUFFER ethos-u"
    add(custom, "micro_ops", ())
    return table


TARGET = Target(
    "tflm",
    "tflite-micro of 20 August 2026 (90b983c), reference kernels",
    "tensorflow/lite/micro",
    MappingProxyType(rows()),
    rules=(Rule("empty", no_empty_output, source="micro_interpreter_graph.cc#CheckDynamicTensors"),),
    model=(partial(dynamic_inputs, "tflm", "note", "sizes that are not known yet are taken as the file stores them: {stored}"),),
    unmapped="error",
    elsewhere="the model cannot be allocated; register a kernel of your own, or change the model",
    partitions=None,
    fixes=MappingProxyType(
        {
            "uint8": f"{QUANTIZE} from the float model: codes of the legacy type uint8 have no kernels",
            "float16": "qcore quantize --mode int8, or keep float32",
            "int16": "qcore quantize --mode int8",
            "int64": "int32 indices where the model is made",
            "DENSIFY": "store the weights densely",
        }
    ),
)  # fmt: skip

__all__ = ["TARGET"]

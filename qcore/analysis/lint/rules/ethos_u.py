"""Arm Ethos-U55 and Ethos-U65: the constraints that Vela places on operators it compiles for the NPU.

As Vela 5.2.0 reports them itself (``vela --supported-ops-report``, section "Ethos-U55 and Ethos-U65 TFLite"), and compared with what
it places where on real models. Left out: permutations of TRANSPOSE, slices by strides, and tensors' sizes beyond 2**16, whose rules are
about Vela's own layouts; and the Ethos-U85, which takes more operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType

from qcore.analysis.lint.predicates import (
    absent_inputs,
    activation_types,
    batch_of_one,
    constant_input,
    input_types,
    listed,
    one_scale,
    quantized,
    same_quantization,
    same_type,
    short,
    weights_sum,
)
from qcore.analysis.lint.rules.shared import FIX_SHAPES, SHAPE_ARITHMETIC
from qcore.analysis.lint.subject import Subject
from qcore.analysis.lint.targets import Check, Row, Rule, Target, table

NARROW = ("int8", "uint8", "int16")
WIDE = (*NARROW, "int32")
QUANTIZE = "qcore quantize --mode int8 with --calibration"
WEIGHTS_SUM = 127 * 65536

STRIDES = ("stride_h", "stride_w")
FREE_OF_SCALES = ("ARG_MAX", "EXPAND_DIMS", "MIRROR_PAD", "PAD", "PADV2", "QUANTIZE", "TRANSPOSE")
"""Operators that take tensors without scales."""


PER_AXIS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""Operators whose weights may have a scale for each channel."""


def stride_up_to_3(freed: Callable[[Subject], bool]) -> Check:
    """Strides end at 3, but where an operator is freed of that."""

    def check(s: Subject) -> str | None:
        strides = [s.options.get(name, 1) for name in STRIDES]
        if max(strides) <= 3 or freed(s):
            return None
        return f"strides are {strides}, the target takes 1 to 3, or more with VALID padding and without dilation"

    return check


def is_valid_and_dense(s: Subject) -> bool:
    """VALID padding, and no dilation."""
    dilations = (s.options.get("dilation_h_factor", 1), s.options.get("dilation_w_factor", 1))
    return s.options.get("padding") == "VALID" and set(dilations) == {1}


def pool_window(s: Subject) -> str | None:
    """Windows of an average pooling with SAME padding end at 8 x 8."""
    height, width = s.options.get("filter_height", 1), s.options.get("filter_width", 1)
    if s.options.get("padding") == "VALID" or s.name == "MAX_POOL_2D":
        fits = height <= 256 and height * width <= 256 * 256
        return None if fits else f"a window of {height}x{width}, the target takes a height of 256 and 65536 elements"
    return None if max(height, width) <= 8 else f"a window of {height}x{width} with SAME padding, the target takes 8x8"


def int64_bias_fits(s: Subject) -> str | None:
    """Biases of int64 have 40 bits."""
    bias = s.value(2)
    if bias is None or bias.dtype != "int64":
        return None
    return "the bias passes 40 bits" if (abs(bias.astype(object)) >= 1 << 40).any() else None


def transposed_stride(s: Subject) -> str | None:
    """TRANSPOSE_CONV goes by 1 or 2."""
    strides = tuple(s.options.get(name, 1) for name in ("stride_w", "stride_h"))
    input, filter = s.input(2), s.input(1)
    rows, columns = ((t.shape[1], t.shape[2]) if t is not None and len(t.shape) == 4 else (0, 0) for t in (input, filter))
    flat = (strides == (2, 1) and rows[0] == columns[0] == 1) or (strides == (1, 2) and rows[1] == columns[1] == 1)
    return None if strides in ((1, 1), (2, 2)) or flat else f"strides (width, height) are {strides}, the target takes 1x1 and 2x2"


def resize_factor(s: Subject) -> str | None:
    """Resizing multiplies both sizes by 2, 4 or 8."""
    a, b = s.principal, s.output
    if a is None or b is None or len(a.shape) != 4 or len(b.shape) != 4 or a.shape[1:3] == (1, 1) or a.shape == b.shape:
        return None
    less = 1 if s.options.get("align_corners") else 0
    factors = {(y - less) / (x - less) if x > less else 0.0 for x, y in zip(a.shape[1:3], b.shape[1:3], strict=True) if (x, y) != (1, 1)}
    wanted = {2.0} if s.name == "RESIZE_BILINEAR" and s.options.get("half_pixel_centers") else {2.0, 4.0, 8.0}
    if len(factors) == 1 and factors <= wanted:
        return None
    return f"resizes {list(a.shape[1:3])} to {list(b.shape[1:3])}, the target takes one factor of {listed(sorted(wanted))}"


def mean_size(s: Subject) -> str | None:
    """A mean is of a batch of 1, and of a limited number of elements."""
    axes, tensor = s.integers(1), s.principal
    if axes is None or tensor is None or not tensor.shape:
        return None
    sizes = [tensor.shape[a % len(tensor.shape)] for a in axes]
    most = {"int8": 1 << 24, "uint8": 1 << 23, "int16": 1 << 16}.get(tensor.dtype, 0)
    if math.prod(sizes) > most:
        return f"a mean of {math.prod(sizes)} elements, the target takes {most}"
    return f"a mean along an axis of {max(sizes)}, the target takes less than 4096" if max(sizes, default=0) >= 4096 else None


def softmax_size(s: Subject) -> str | None:
    """SOFTMAX has fewer than 65536 rows."""
    rows = math.prod(s.principal.shape[:-1]) if s.principal is not None else 0
    return None if rows < 65536 else f"{rows} rows, the target takes less than 65536"


def depth_alone(s: Subject) -> str | None:
    """ARG_MAX works along the last axis, of up to 127."""
    axes, tensor = s.integers(1), s.principal
    if not axes or tensor is None or not tensor.shape:
        return None
    if axes[0] % len(tensor.shape) != len(tensor.shape) - 1:
        return "works along another axis than the last, the target takes the last alone"
    return None if tensor.shape[-1] <= 127 else f"{tensor.shape[-1]} channels, the target takes 127"


def int8_where_weights_are_computed(s: Subject) -> str | None:
    """Products of two tensors that are both computed at run time are of int8."""
    a, b = s.input(0), s.input(1)
    if a is None or b is None or b.is_constant or a.dtype == b.dtype == "int8":
        return None
    return f"multiplies {a.dtype} by {b.dtype} that are computed at run time, the target takes int8"


def static_but_for_batch(s: Subject) -> str | None:
    """Only the first dimension may be unknown."""
    other = next((t for t in s.tensors if t.shape_signature is not None and -1 in t.shape_signature[1:]), None)
    return None if other is None else f"{short(other)} is {list(other.shape_signature or ())}, only its first dimension may be unknown"


def frames_a_convolution(s: Subject) -> str | None:
    """SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND, one after the other, are a dilated convolution."""
    first, given = set(s.operator.inputs[:1]), set(s.operator.outputs)
    if s.name == "BATCH_TO_SPACE_ND":
        neighbours = [operator.name for operator in s.graph.operators if first & {*operator.outputs}]
    else:
        neighbours = [operator.name for operator in s.graph.operators if given & {*operator.inputs}]
    framed = len(neighbours) == 1 and neighbours[0] in ("CONV_2D", "DEPTHWISE_CONV_2D")
    return None if framed else "is only taken as part of a dilated convolution"


def no_32_bits(s: Subject) -> str | None:
    """Outputs of 32 bits are for operators that take such inputs."""
    row = OPERATORS.get(s.name)
    wide = row is not None and "int32" not in row.types and s.output is not None and s.output.dtype == "int32"
    return "output is int32, the target takes 8 or 16 bits here" if wide else None


def scales(s: Subject) -> str | None:
    """Codes have scales, but in operators that only move them."""
    return None if s.name in FREE_OF_SCALES else quantized(s)


INT8_WEIGHTS = Rule(
    "weights-type", input_types(1, "filter", "int8", "uint8"), "qcore quantize --mode int8: weights of 4 bits are not taken"
)
SUM = Rule("weights-sum", weights_sum(WEIGHTS_SUM))
WEIGHTED = (
    INT8_WEIGHTS,
    Rule("bias-constant", constant_input(2, "bias"), "constant biases"),
    Rule("bias-type", input_types(2, "bias", "int32", "int64")),
    Rule("bias-size", int64_bias_fits, "qcore quantize --bias-type int32"),
    SUM,
)
CONSTANT_AXES = Rule("constant", constant_input(1, "axes or sizes"), FIX_SHAPES)
SAME = Rule("same-type", same_type())
STRIDE = Rule("stride", stride_up_to_3(lambda s: False))
FREE_STRIDE = Rule("stride", stride_up_to_3(is_valid_and_dense))
INT8_PRODUCT = Rule("computed-weights", int8_where_weights_are_computed)

OPERATORS = table(
    ("ADD MUL NEG EXPAND_DIMS RESHAPE SQUEEZE SUB SUM", Row(WIDE)),
    ("ABS CONCATENATION EXP HARD_SWISH LEAKY_RELU LOGISTIC PACK PRELU QUANTIZE REDUCE_MAX REDUCE_MIN REVERSE_V2", Row(NARROW)),
    ("RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 SPLIT SPLIT_V SQUARED_DIFFERENCE TANH TILE UNPACK", Row(NARROW)),
    ("ARG_MAX", Row(WIDE, (Rule("depth", depth_alone),))),
    ("AVERAGE_POOL_2D MAX_POOL_2D", Row(NARROW, (Rule("window", pool_window), FREE_STRIDE))),
    ("BATCH_MATMUL", Row(NARROW, (INT8_PRODUCT,))),
    ("CONV_2D", Row(NARROW, (*WEIGHTED, FREE_STRIDE))),
    ("DEPTHWISE_CONV_2D", Row(NARROW, (*WEIGHTED, STRIDE))),
    ("TRANSPOSE_CONV", Row(NARROW, (INT8_WEIGHTS, Rule("stride", transposed_stride), SUM))),
    ("FULLY_CONNECTED", Row(WIDE, (*WEIGHTED, INT8_PRODUCT))),
    ("ELU", Row(("int8",), (SAME,))),
    ("GELU", Row(("int8", "uint8"), (SAME,))),
    ("LOG", Row(("int8", "int16"), (SAME,))),
    ("RSQRT", Row(("int8", "int16"))),
    ("MAXIMUM MINIMUM", Row(NARROW, (Rule("same-scale", same_quantization),))),
    ("MEAN", Row(NARROW, (Rule("batch", batch_of_one, "a batch of 1"), CONSTANT_AXES, Rule("size", mean_size)))),
    ("MIRROR_PAD TRANSPOSE", Row(WIDE, (CONSTANT_AXES,))),
    ("PAD PADV2 SLICE STRIDED_SLICE", Row(NARROW, (CONSTANT_AXES,))),
    ("RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR", Row(NARROW, (Rule("factor", resize_factor),))),
    ("SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND", Row(NARROW, (Rule("frame", frames_a_convolution),))),
    ("SOFTMAX", Row(NARROW, (Rule("size", softmax_size),))),
    (
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        Row(
            NARROW,
            (
                Rule("peephole", absent_inputs((9, 10, 11), "peephole weights")),
                Rule("projection", absent_inputs((16, 17), "a projection")),
                Rule("layer-norm", absent_inputs((20, 21, 22, 23), "layer normalization")),
            ),
        ),
    ),
)


TARGET = Target(
    "ethos-u",
    "Vela 5.2.0, Ethos-U55 and Ethos-U65",
    "vela --supported-ops-report, Ethos-U55 and Ethos-U65 TFLite",
    OPERATORS,
    rules=(
        Rule("codes", activation_types(*WIDE, "int64"), QUANTIZE, source="Generic Constraints"),
        Rule("wide-output", no_32_bits, QUANTIZE),
        Rule("dynamic-shape", static_but_for_batch, FIX_SHAPES, source="Generic Constraints"),
        Rule("scale", scales, QUANTIZE, source="Generic Constraints"),
        Rule("per-axis", one_scale(*PER_AXIS), source="Generic Constraints"),
    ),
    partitions="many",
    fixes=MappingProxyType(
        {**SHAPE_ARITHMETIC, "float32": QUANTIZE, "float16": QUANTIZE, "DEQUANTIZE": "qcore quantize --output-type int8"}
    ),
)

"""Coral Edge TPU: the table "Supported operations" and the model requirements of its documentation.

Read at second hand, since the page itself could not be had whole: its requirements in copies of
coral.ai/docs/edgetpu/models-intro, the table's rows up to ResizeBilinear as Axis republishes them for ARTPEC-7
(developer.axis.com, "Supported ops"), of the rest the names alone. UNVERIFIED are those of them that no copy at hand shows: they are taken
to be supported, rather than refused without a source. Limits of the rows after ResizeBilinear are left out, and so are sizes: the compiler
also refuses what does not fit its memory, which only it can tell.
"""

from __future__ import annotations

import math
from functools import partial
from types import MappingProxyType

from qcore.analysis.lint.predicates import (
    activation_types,
    axes_exclude,
    batch_of_one,
    constant_input,
    equal_options,
    holds,
    innermost_dimensions,
    input_types,
    no_activation,
    option,
    static_shapes,
    when,
)
from qcore.analysis.lint.rules.shared import FIX_SHAPES, SHAPE_ARITHMETIC, several_subgraphs
from qcore.analysis.lint.subject import Subject
from qcore.analysis.lint.targets import Row, Rule, Target, table

CODES = ("int8", "uint8")
QUANTIZE = "qcore quantize --mode int8 --no-float-fallback with --calibration, which names what would stay float"
FULL = "qcore quantize --mode int8 --input-type int8 --output-type int8"

NO_ACTIVATION = Rule("activation", no_activation, "make the activation an operator of its own")
CONSTANT_WEIGHTS = Rule("constant", constant_input(1, "filter"), "constant weights")
CONSTANT_BIAS = Rule("constant", constant_input(2, "bias"), "constant biases")
SAME_DILATION = Rule("dilation", equal_options("dilation_h_factor", "dilation_w_factor"), "the same dilation along both axes")
WEIGHTS = Rule("weights-type", input_types(1, "filter", *CODES), QUANTIZE)


def not_batch(index: int) -> Rule:
    """Axes that an input names do not include the batch."""
    return Rule("batch", axes_exclude(index, 0), "leave the batch alone")


def pads_no_batch(s: Subject) -> str | None:
    """PAD does not pad the first of four dimensions."""
    paddings = s.integers(1)
    return "pads the batch" if paddings and len(paddings) == 8 and any(paddings[:2]) else None


def zero_padding_only(s: Subject) -> str | None:
    """A constant in a concatenation is all (real) zeros, and one of two inputs."""
    for index, tensor in enumerate(s.inputs):
        if tensor is None or not tensor.is_constant:
            continue
        value, q = s.value(index), tensor.quantization
        zero = int(q.zero_point[0]) if q is not None and q.zero_point.size else 0
        if len(s.inputs) != 2 or value is None or (value != zero).any():
            return f"'{tensor.name}' is a constant: it must be all zeros, and one of two inputs"
    return None


def depth_is_multiple_of_4(s: Subject) -> str | None:
    """A mean over channels has a multiple of 4 of them."""
    axes, tensor = s.integers(1), s.principal
    if axes is None or tensor is None or not tensor.shape:
        return None
    over_depth = len(tensor.shape) - 1 in {a % len(tensor.shape) for a in axes}
    return f"a mean over {tensor.shape[-1]} channels, expected a multiple of 4" if over_depth and tensor.shape[-1] % 4 else None


def along_channels_alone(s: Subject) -> str | None:
    """PRELU has one slope for each channel."""
    alpha = s.input(1)
    return (
        f"alpha is {list(alpha.shape)}, only its innermost dimension may be above 1" if alpha and math.prod(alpha.shape[:-1]) > 1 else None
    )


UNVERIFIED = "RSQRT SLICE SPACE_TO_DEPTH SQUARED_DIFFERENCE SQUEEZE SUM"

CONVOLUTION = (CONSTANT_WEIGHTS, CONSTANT_BIAS, SAME_DILATION, WEIGHTS)
ONE_ROW = holds(lambda s: s.output is None or math.prod(s.output.shape[:-1]) <= 1, "gives more than one row, the target gives one")

OPERATORS = table(
    ("ADD EXPAND_DIMS L2_NORMALIZATION LOGISTIC MAXIMUM MINIMUM MUL QUANTIZE RELU RELU6 RELU_N1_TO_1 RESHAPE SUB TANH", Row(CODES)),
    ("RESIZE_NEAREST_NEIGHBOR SOFTMAX SPLIT STRIDED_SLICE TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM", Row(CODES)),
    (UNVERIFIED, Row(CODES)),
    ("AVERAGE_POOL_2D MAX_POOL_2D", Row(CODES, (NO_ACTIVATION,))),
    ("CONCATENATION", Row(CODES, (NO_ACTIVATION, Rule("constant-input", zero_padding_only)))),
    ("CONV_2D DEPTHWISE_CONV_2D", Row(CODES, CONVOLUTION)),
    (
        "FULLY_CONNECTED",
        Row(
            CODES,
            (
                CONSTANT_WEIGHTS,
                CONSTANT_BIAS,
                WEIGHTS,
                Rule("weights-format", option("weights_format", "DEFAULT")),
                Rule("one-row", ONE_ROW, "a batch of 1, or CONV_2D with a 1x1 filter"),
            ),
        ),
    ),
    ("MEAN", Row(CODES, (not_batch(1), Rule("depth", depth_is_multiple_of_4)))),
    ("REDUCE_MAX REDUCE_MIN", Row(CODES, (not_batch(1),))),
    ("PACK", Row(CODES, (Rule("batch", holds(lambda s: s.options.get("axis") != 0, "packs along the batch")),))),
    ("PAD", Row(CODES, (Rule("batch", pads_no_batch),))),
    ("PRELU", Row(CODES, (Rule("alpha", along_channels_alone, "PReLU with shared_axes=[1, 2]"),))),
    ("RESIZE_BILINEAR", Row(CODES, (Rule("batch", batch_of_one),))),
)


TARGET = Target(
    "edgetpu",
    "coral.ai documentation, Edge TPU Compiler 16",
    "coral.ai/docs/edgetpu/models-intro, Model requirements and Supported operations",
    OPERATORS,
    rules=(
        Rule("codes", activation_types(*CODES, "int32"), FULL),
        Rule("dynamic-shape", static_shapes, FIX_SHAPES),
        Rule("innermost-3", when(lambda s: s.name not in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), innermost_dimensions(3)), "a batch of 1"),
    ),
    model=(partial(several_subgraphs, "edgetpu", "warning", "operators within control flow run on the CPU"),),
    elsewhere="it and everything behind it run on the CPU",
    partitions="one",
    fixes=MappingProxyType(
        {
            **SHAPE_ARITHMETIC,
            "float32": QUANTIZE,
            "float16": QUANTIZE,
            "int16": "qcore quantize --mode int8",
            "DEQUANTIZE": FULL,
            "LEAKY_RELU": "PRELU",
        }
    ),
)

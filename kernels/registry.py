"""The table of operators: the planner, the registry-wide tests, the benchmarks and the operator table in the docs all read it."""

from __future__ import annotations

from types import MappingProxyType

from qcore.kernels import (
    activation,
    addition,
    arg,
    arithmetic,
    batch_matmul,
    cast,
    comparison,
    concatenation,
    control_flow,
    conv,
    conv3d,
    conversion,
    densify,
    depthwise,
    detection,
    division,
    fourier,
    fully_connected,
    gather,
    logical,
    lookup,
    lstm,
    matrix,
    mean,
    multiplication,
    normalization,
    one_hot,
    pad,
    pool,
    rectifier,
    reduce,
    reshape,
    resize,
    reverse,
    rnn,
    scan,
    segment,
    select,
    shape,
    softmax,
    space,
    split,
    svdf,
    tile,
    transpose,
    transpose_conv,
    unary,
    unique,
    variables,
)
from qcore.kernels import complex as complex_
from qcore.kernels import slice as slice_
from qcore.kernels.opdef import OpDef
from qcore.model import OperatorCode

_ROWS = (
    # pooling
    pool.AVERAGE_POOL_2D,
    pool.MAX_POOL_2D,
    pool.L2_POOL_2D,
    # convolutions
    conv.CONV_2D,
    depthwise.DEPTHWISE_CONV_2D,
    transpose_conv.TRANSPOSE_CONV,
    conv3d.CONV_3D,
    conv3d.CONV_3D_TRANSPOSE,
    # conversion of types
    conversion.QUANTIZE,
    conversion.DEQUANTIZE,
    conversion.FAKE_QUANT,
    cast.CAST,
    cast.BITCAST,
    # activations
    activation.ELU,
    activation.GELU,
    activation.HARD_SWISH,
    activation.LOGISTIC,
    activation.TANH,
    rectifier.RELU,
    rectifier.RELU6,
    rectifier.RELU_N1_TO_1,
    rectifier.RELU_0_TO_1,
    rectifier.LEAKY_RELU,
    rectifier.PRELU,
    # normalizations
    softmax.SOFTMAX,
    softmax.LOG_SOFTMAX,
    normalization.L2_NORMALIZATION,
    normalization.LOCAL_RESPONSE_NORMALIZATION,
    # arithmetic
    addition.ADD,
    addition.SUB,
    addition.SQUARED_DIFFERENCE,
    addition.ADD_N,
    multiplication.MUL,
    division.DIV,
    division.FLOOR_DIV,
    division.FLOOR_MOD,
    arithmetic.MAXIMUM,
    arithmetic.MINIMUM,
    arithmetic.POW,
    arithmetic.ATAN2,
    # functions of one number
    unary.ABS,
    unary.NEG,
    unary.EXP,
    unary.LOG,
    unary.SQRT,
    unary.RSQRT,
    unary.SQUARE,
    unary.SIN,
    unary.COS,
    unary.FLOOR,
    unary.CEIL,
    unary.ROUND,
    unary.SIGN,
    unary.ZEROS_LIKE,
    # comparisons, logic and bits
    comparison.EQUAL,
    comparison.NOT_EQUAL,
    comparison.LESS,
    comparison.LESS_EQUAL,
    comparison.GREATER,
    comparison.GREATER_EQUAL,
    logical.LOGICAL_AND,
    logical.LOGICAL_OR,
    logical.LOGICAL_NOT,
    logical.BITWISE_XOR,
    logical.RIGHT_SHIFT,
    # selection
    select.SELECT,
    select.SELECT_V2,
    select.WHERE,
    # dense products
    fully_connected.FULLY_CONNECTED,
    batch_matmul.BATCH_MATMUL,
    lookup.EMBEDDING_LOOKUP,
    # reductions
    reduce.REDUCE_MAX,
    reduce.REDUCE_MIN,
    reduce.REDUCE_PROD,
    reduce.REDUCE_ANY,
    reduce.REDUCE_ALL,
    mean.MEAN,
    mean.SUM,
    segment.SEGMENT_SUM,
    segment.UNSORTED_SEGMENT_SUM,
    segment.UNSORTED_SEGMENT_PROD,
    segment.UNSORTED_SEGMENT_MAX,
    segment.UNSORTED_SEGMENT_MIN,
    # positions of extremes
    arg.ARG_MAX,
    arg.ARG_MIN,
    arg.TOPK_V2,
    # data movement and shapes
    concatenation.CONCATENATION,
    concatenation.PACK,
    split.SPLIT,
    split.SPLIT_V,
    split.UNPACK,
    reshape.RESHAPE,
    reshape.SQUEEZE,
    reshape.EXPAND_DIMS,
    transpose.TRANSPOSE,
    pad.PAD,
    pad.PADV2,
    pad.MIRROR_PAD,
    slice_.SLICE,
    slice_.STRIDED_SLICE,
    gather.GATHER,
    gather.GATHER_ND,
    gather.SCATTER_ND,
    tile.TILE,
    tile.BROADCAST_TO,
    tile.BROADCAST_ARGS,
    tile.FILL,
    tile.RANGE,
    shape.SHAPE,
    shape.RANK,
    space.SPACE_TO_DEPTH,
    space.DEPTH_TO_SPACE,
    space.SPACE_TO_BATCH_ND,
    space.BATCH_TO_SPACE_ND,
    matrix.MATRIX_DIAG,
    matrix.MATRIX_SET_DIAG,
    matrix.SPARSE_TO_DENSE,
    densify.DENSIFY,
    matrix.DYNAMIC_UPDATE_SLICE,
    matrix.DILATE,
    # resizing
    resize.RESIZE_BILINEAR,
    resize.RESIZE_NEAREST_NEIGHBOR,
    # running sums
    scan.CUMSUM,
    # complex numbers
    complex_.REAL,
    complex_.IMAG,
    complex_.COMPLEX_ABS,
    fourier.RFFT2D,
    # indices
    one_hot.ONE_HOT,
    unique.UNIQUE,
    unique.BUCKETIZE,
    # detection
    detection.NON_MAX_SUPPRESSION_V4,
    detection.NON_MAX_SUPPRESSION_V5,
    # reversal
    reverse.REVERSE_V2,
    reverse.REVERSE_SEQUENCE,
    # recurrent operators
    lstm.LSTM,
    lstm.UNIDIRECTIONAL_SEQUENCE_LSTM,
    lstm.BIDIRECTIONAL_SEQUENCE_LSTM,
    rnn.RNN,
    rnn.UNIDIRECTIONAL_SEQUENCE_RNN,
    rnn.BIDIRECTIONAL_SEQUENCE_RNN,
    svdf.SVDF,
    # control flow and variables
    control_flow.IF,
    control_flow.WHILE,
    control_flow.CALL_ONCE,
    control_flow.STABLEHLO_CASE,
    control_flow.STABLEHLO_COMPOSITE,
    variables.VAR_HANDLE,
    variables.ASSIGN_VARIABLE,
    variables.READ_VARIABLE,
)

_CUSTOM_ROWS = (detection.DETECTION_POST_PROCESS,)

OPERATORS = MappingProxyType({row.name: row for row in _ROWS})
"""Every builtin operator that qcore runs, by its schema name."""

CUSTOM_OPERATORS = MappingProxyType({row.name: row for row in _CUSTOM_ROWS})
"""Every custom operator that qcore runs, by its custom code."""


def look_up(code: OperatorCode) -> OpDef | None:
    """The row of an operator, or None where qcore does not have it; a custom code never names a builtin operator."""
    return CUSTOM_OPERATORS.get(code.custom_code or "") if code.name == "CUSTOM" else OPERATORS.get(code.name)

"""The table of operators: the planner, the registry-wide tests, the benchmarks and the operator table in the docs all read it.

A row is an ``OpDef`` named like the operator. The modules that rows are in are imported when these are asked for: a model has few of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from qcore.kernels.opdef import OpDef
from qcore.model import OperatorCode

ROWS = {
    # pooling
    "pool": "AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D",
    # convolutions
    "conv": "CONV_2D",
    "depthwise": "DEPTHWISE_CONV_2D",
    "transpose_conv": "TRANSPOSE_CONV",
    "conv3d": "CONV_3D CONV_3D_TRANSPOSE",
    # conversion of types
    "conversion": "QUANTIZE DEQUANTIZE FAKE_QUANT",
    "cast": "CAST BITCAST",
    # activations
    "activation": "ELU GELU HARD_SWISH LOGISTIC TANH",
    "rectifier": "RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU PRELU",
    # normalizations
    "softmax": "SOFTMAX LOG_SOFTMAX",
    "normalization": "L2_NORMALIZATION LOCAL_RESPONSE_NORMALIZATION",
    # arithmetic
    "addition": "ADD SUB SQUARED_DIFFERENCE ADD_N",
    "multiplication": "MUL",
    "division": "DIV FLOOR_DIV FLOOR_MOD",
    "arithmetic": "MAXIMUM MINIMUM POW ATAN2",
    # functions of one number
    "unary": "ABS NEG EXP LOG SQRT RSQRT SQUARE SIN COS FLOOR CEIL ROUND SIGN ZEROS_LIKE",
    # comparisons, logic and bits
    "comparison": "EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL",
    "logical": "LOGICAL_AND LOGICAL_OR LOGICAL_NOT BITWISE_XOR RIGHT_SHIFT",
    # selection
    "select": "SELECT SELECT_V2 WHERE",
    # dense products
    "fully_connected": "FULLY_CONNECTED",
    "batch_matmul": "BATCH_MATMUL",
    "lookup": "EMBEDDING_LOOKUP",
    "sparse_lookup": "EMBEDDING_LOOKUP_SPARSE",
    # reductions
    "reduce": "REDUCE_MAX REDUCE_MIN REDUCE_PROD REDUCE_ANY REDUCE_ALL",
    "mean": "MEAN SUM",
    "segment": "SEGMENT_SUM UNSORTED_SEGMENT_SUM UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN",
    # positions of extremes
    "arg": "ARG_MAX ARG_MIN TOPK_V2",
    # data movement and shapes
    "concatenation": "CONCATENATION PACK",
    "split": "SPLIT SPLIT_V UNPACK",
    "reshape": "RESHAPE SQUEEZE EXPAND_DIMS",
    "transpose": "TRANSPOSE",
    "pad": "PAD PADV2 MIRROR_PAD",
    "slice": "SLICE STRIDED_SLICE",
    "gather": "GATHER GATHER_ND SCATTER_ND",
    "tile": "TILE BROADCAST_TO BROADCAST_ARGS FILL RANGE",
    "shape": "SHAPE RANK",
    "space": "SPACE_TO_DEPTH DEPTH_TO_SPACE SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND",
    "matrix": "MATRIX_DIAG MATRIX_SET_DIAG SPARSE_TO_DENSE DYNAMIC_UPDATE_SLICE DILATE",
    "densify": "DENSIFY",
    # resizing
    "resize": "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR",
    # running sums
    "scan": "CUMSUM",
    # complex numbers
    "complex": "REAL IMAG COMPLEX_ABS",
    "fourier": "RFFT2D",
    # indices
    "one_hot": "ONE_HOT",
    "unique": "UNIQUE BUCKETIZE",
    # tables
    "hashtable": "HASHTABLE HASHTABLE_IMPORT HASHTABLE_FIND HASHTABLE_SIZE",
    "hashtable_lookup": "HASHTABLE_LOOKUP",
    "lsh_projection": "LSH_PROJECTION",
    # text
    "skip_gram": "SKIP_GRAM",
    # detection
    "detection": "NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5",
    # reversal
    "reverse": "REVERSE_V2 REVERSE_SEQUENCE",
    # recurrent operators
    "lstm": "LSTM UNIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_LSTM",
    "rnn": "RNN UNIDIRECTIONAL_SEQUENCE_RNN BIDIRECTIONAL_SEQUENCE_RNN",
    "svdf": "SVDF",
    # control flow and variables
    "control_flow": "IF WHILE CALL_ONCE STABLEHLO_CASE STABLEHLO_COMPOSITE",
    "variables": "VAR_HANDLE ASSIGN_VARIABLE READ_VARIABLE",
    # random numbers
    "random_numbers": "RANDOM_UNIFORM RANDOM_STANDARD_NORMAL MULTINOMIAL",
    "random_bits": "STABLEHLO_RNG_BIT_GENERATOR",
    # StableHLO
    "stablehlo_elementwise": "STABLEHLO_ADD STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_MINIMUM STABLEHLO_AND STABLEHLO_SHIFT_LEFT",
    "stablehlo_pad": "STABLEHLO_PAD",
    "stablehlo_gather": "STABLEHLO_GATHER STABLEHLO_SCATTER",
    "reduce_window": "STABLEHLO_REDUCE_WINDOW REDUCE_WINDOW",
}
"""Rows by module."""

_CUSTOM = {
    "TFLite_Detection_PostProcess": ("detection", "DETECTION_POST_PROCESS"),
    "Convolution2DTransposeBias": ("mediapipe", "CONVOLUTION_2D_TRANSPOSE_BIAS"),
}
"""Module and row by custom code."""


class Table(Mapping[str, OpDef]):
    """Operators by name; homes: the module and the row of each."""

    def __init__(self, homes: Mapping[str, tuple[str, str]]):
        self._homes = homes

    def __getitem__(self, name: str) -> OpDef:
        module, row = self._homes[name]
        definition: OpDef = getattr(import_module(f"qcore.kernels.{module}"), row)
        return definition

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


OPERATORS = Table({row: (module, row) for module, rows in ROWS.items() for row in rows.split()})
"""Every builtin operator that qcore runs, by its schema name."""

CUSTOM_OPERATORS = Table(_CUSTOM)
"""Every custom operator that qcore runs, by its custom code."""


def look_up(code: OperatorCode) -> OpDef | None:
    """The row of an operator, or None where qcore does not have it; a custom code never names a builtin operator."""
    return CUSTOM_OPERATORS.get(code.custom_code or "") if code.name == "CUSTOM" else OPERATORS.get(code.name)

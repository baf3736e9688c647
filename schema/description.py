"""The ``.tflite`` format as data: enumerations, tables and unions, from which decoding and encoding follow.

Notation of a table, one field after another in the order of their numbers:

    name:type          a number, "string", an enumeration, a table or a union
    name:[type]        a vector of those
    name:type=default  where the default is not 0, False or the enumeration's first name
    name:[type]@16     a vector that starts at a multiple of 16 bytes
    ~name:type         deprecated: keeps its number, is neither read nor written

A union takes two numbers, one for which table it is and one for the table; its name here is the second one's.
Operators' options are in ``options``.

Source: the TensorFlow Lite schema, version 3d, as of LiteRT 2.3; also the two fields that its published package knows and its source
does not (FullyConnectedOptions.quant_spec, BlockwiseQuantization.block_shape), so that files which hold them lose nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from struct import Struct
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from qcore.errors import InputError, ModelError
from qcore.model import Table
from qcore.numerics.dtypes import ELEMENT_TYPES
from qcore.schema.options import BUILTIN_OPTIONS, BUILTIN_OPTIONS_2, options_table

FILE_IDENTIFIER = b"TFL3"
VERSION = 3

SCALARS = MappingProxyType(
    {
        "bool": Struct("<?"),
        "int8": Struct("<b"),
        "uint8": Struct("<B"),
        "uint16": Struct("<H"),
        "int32": Struct("<i"),
        "uint32": Struct("<I"),
        "int64": Struct("<q"),
        "uint64": Struct("<Q"),
        "float32": Struct("<f"),
    }
)
"""How each kind of number lies in the file: little-endian."""

DTYPES = MappingProxyType({name: np.dtype(f"<{np.dtype(name).kind}{number.size}") for name, number in SCALARS.items()})
"""The same numbers in vectors."""

# Five to a line: 0 to 4, 5 to 9, ...
_BUILTIN_OPERATORS = """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D
    DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED
    HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
    LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU
    RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN
    SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
    SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD
    UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE
    MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM
    STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT
    LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU
    MAXIMUM ARG_MAX MINIMUM LESS NEG
    PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT
    SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE
    EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM
    SQRT RSQRT SHAPE POW ARG_MIN
    FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR
    ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN
    FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL
    FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE
    MIRROR_PAD ABS SPLIT_V UNIQUE CEIL
    REVERSE_V2 ADD_N GATHER_ND COS WHERE
    RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE
    MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
    NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY
    SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE
    BROADCAST_TO RFFT2D CONV_3D IMAG REAL
    COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE
    REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE
    BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL
    GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
    UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST
    BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE
    STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
    STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE
    STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR
    STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER
    STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH
    STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE
    STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT
    STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR
    REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""

# name: (kind of number, names from 0 on)
_ENUMS = {
    "TensorType": ("int8", " ".join(ELEMENT_TYPES)),
    "BuiltinOperator": ("int32", _BUILTIN_OPERATORS),
    "DimensionType": ("int8", "DENSE SPARSE_CSR"),
    "CustomOptionsFormat": ("int8", "FLEXBUFFERS"),
    "Padding": ("int8", "SAME VALID"),
    "ActivationFunctionType": ("int8", "NONE RELU RELU_N1_TO_1 RELU6 TANH SIGN_BIT"),
    "LSHProjectionType": ("int8", "UNKNOWN SPARSE DENSE"),
    "FullyConnectedOptionsWeightsFormat": ("int8", "DEFAULT SHUFFLED4x16INT8"),
    "LSTMKernelType": ("int8", "FULL BASIC"),
    "CombinerType": ("int8", "SUM MEAN SQRTN"),
    "MirrorPadMode": ("int8", "REFLECT SYMMETRIC"),
    "ReduceWindowFunction": ("int32", "UNSUPPORTED ADD MUL MINIMUM MAXIMUM ALL ANY"),
    "RngAlgorithm": ("int8", "DEFAULT PHILOX THREEFRY"),
    "StablehloPrecisionConfig": ("uint32", "DEFAULT HIGH HIGHEST"),
    "StablehloComparisonDirection": (
        "uint32",
        "STABLEHLO_COMPARISON_DIRECTION_EQ STABLEHLO_COMPARISON_DIRECTION_NE STABLEHLO_COMPARISON_DIRECTION_GE "
        "STABLEHLO_COMPARISON_DIRECTION_GT STABLEHLO_COMPARISON_DIRECTION_LE STABLEHLO_COMPARISON_DIRECTION_LT",
    ),
    "StablehloComparisonType": (
        "uint32",
        "STABLEHLO_COMPARISON_TYPE_NOTYPE STABLEHLO_COMPARISON_TYPE_FLOAT STABLEHLO_COMPARISON_TYPE_FLOAT_TOTAL_ORDER "
        "STABLEHLO_COMPARISON_TYPE_SIGNED STABLEHLO_COMPARISON_TYPE_UNSIGNED",
    ),
}

_UNIONS = {
    "QuantizationDetails": "CustomQuantization BlockwiseQuantization MultiAxisQuantization",
    "SparseIndexVector": "Int32Vector Uint16Vector Uint8Vector",
    "BuiltinOptions": " ".join(BUILTIN_OPTIONS),
    "BuiltinOptions2": " ".join(BUILTIN_OPTIONS_2),
}

_TABLES = {
    "Model": """
        version:uint32 operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string buffers:[Buffer]
        metadata_buffer:[int32] metadata:[Metadata] signature_defs:[SignatureDef]
        external_buffer_groups:[ExternalBufferGroup] external_buffers:[ExternalBuffer]""",
    "OperatorCode": "deprecated_builtin_code:int8 custom_code:string version:int32=1 builtin_code:BuiltinOperator",
    "SubGraph": "tensors:[Tensor] inputs:[int32] outputs:[int32] operators:[Operator] name:string debug_metadata_index:int32=-1",
    "Operator": """
        opcode_index:uint32 inputs:[int32] outputs:[int32] builtin_options:BuiltinOptions custom_options:[uint8]
        custom_options_format:CustomOptionsFormat mutating_variable_inputs:[bool] intermediates:[int32]
        large_custom_options_offset:uint64 large_custom_options_size:uint64 builtin_options_2:BuiltinOptions2
        debug_metadata_index:int32=-1""",
    "Tensor": """
        shape:[int32] type:TensorType buffer:uint32 name:string quantization:QuantizationParameters is_variable:bool
        sparsity:SparsityParameters shape_signature:[int32] has_rank:bool variant_tensors:[VariantSubType] external_buffer:uint32""",
    "VariantSubType": "shape:[int32] type:TensorType has_rank:bool",
    "QuantizationParameters": """
        min:[float32] max:[float32] scale:[float32] zero_point:[int64] details:QuantizationDetails quantized_dimension:int32""",
    "CustomQuantization": "custom:[uint8]@16",
    "BlockwiseQuantization": "scales:int32 zero_points:int32 block_size:int32 block_shape:[int32]",
    "MultiAxisQuantization": "scales:int32 zero_points:int32 block_size:int32 quantized_dimensions:[int32]",
    "SparsityParameters": "traversal_order:[int32] block_map:[int32] dim_metadata:[DimensionMetadata]",
    "DimensionMetadata": """
        format:DimensionType dense_size:int32 array_segments:SparseIndexVector array_indices:SparseIndexVector""",
    "Int32Vector": "values:[int32]",
    "Uint16Vector": "values:[uint16]@4",
    "Uint8Vector": "values:[uint8]@4",
    "Buffer": "data:[uint8]@16 offset:uint64 size:uint64",
    "Metadata": "name:string buffer:uint32",
    "SignatureDef": """
        inputs:[TensorMap] outputs:[TensorMap] signature_key:string ~deprecated_tag:string subgraph_index:uint32""",
    "TensorMap": "name:string tensor_index:uint32",
    "ExternalBufferGroup": "name:string",
    "ExternalBuffer": "id:uint32 group:uint32 offset:uint64 length:uint64 packing:string",
    **BUILTIN_OPTIONS,
    **BUILTIN_OPTIONS_2,
}


@dataclass(frozen=True)
class Enum:
    """An enumeration: the kind of number it is stored as, and its names by number, from 0 on without gaps."""

    name: str
    stored_as: str
    names: tuple[str, ...]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each name."""
        return {name: number for number, name in enumerate(self.names)}


@dataclass(frozen=True)
class Field:
    """One field of a table.

    number: its place in the vtable; of a union, the place of the table itself (the place before says which table).
    type: a key of SCALARS, "string", or the name of an enumeration, table or union; kind says which of these five.
    default: what a file that leaves the field out means; an enumeration's default is a name, a missing vector, string or table None.
    force_align: a vector's elements start at a multiple of so many bytes.
    """

    name: str
    number: int
    type: str
    kind: Literal["number", "string", "enum", "table", "union"]
    is_vector: bool = False
    default: Any = None
    force_align: int = 1

    @cached_property
    def stored_as(self) -> str:
        """The kind of number in the file: of an enumeration, the one that stands for its names; of a table, string or union, an offset."""
        if self.kind == "enum":
            return ENUMS[self.type].stored_as
        return self.type if self.kind == "number" else "uint32"

    @cached_property
    def is_offset(self) -> bool:
        """Whether the table holds an offset to the value instead of the value."""
        return self.is_vector or self.kind not in ("number", "enum")

    @cached_property
    def inline_width(self) -> int:
        """Bytes that the field takes in its table."""
        return 4 if self.is_offset else SCALARS[self.stored_as].size


@dataclass(frozen=True)
class TableType:
    """A table: its fields by name, without the deprecated ones, and how many numbers its fields take."""

    name: str
    fields: dict[str, Field] = field(default_factory=dict)
    slots: int = 0

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """What a file that leaves a field out means, by the field's name."""
        return {name: field.default for name, field in self.fields.items()}


def _kind(type_name: str) -> Literal["number", "string", "enum", "table", "union"]:
    if type_name in SCALARS:
        return "number"
    if type_name == "string":
        return "string"
    if type_name in ENUMS:
        return "enum"
    return "union" if type_name in UNIONS else "table"


def _default(type_name: str, text: str) -> Any:
    if type_name in ENUMS:
        return text or ENUMS[type_name].names[0]
    if type_name == "bool":
        return text == "True"
    if type_name == "float32":
        return float(text or 0)
    return int(text or 0) if type_name in SCALARS else None


def _table(name: str, text: str) -> TableType:
    fields: dict[str, Field] = {}
    number = 0
    for word in text.split():
        field_name, _, rest = word.partition(":")
        rest, _, align = rest.partition("@")
        rest, _, default = rest.partition("=")
        is_vector = rest.startswith("[")
        type_name = rest.strip("[]")
        number += type_name in UNIONS
        if not word.startswith("~"):
            value = None if is_vector else _default(type_name, default)
            fields[field_name] = Field(field_name, number, type_name, _kind(type_name), is_vector, value, int(align or 1))
        number += 1
    return TableType(name, fields, number)


ENUMS = MappingProxyType({name: Enum(name, stored_as, tuple(names.split())) for name, (stored_as, names) in _ENUMS.items()})
"""Every enumeration by name."""

UNIONS = MappingProxyType({name: ("NONE", *tables.split()) for name, tables in _UNIONS.items()})
"""Every union by name: its tables' names by number; number 0 is no table."""

TABLES = MappingProxyType({name: _table(name, text) for name, text in _TABLES.items()})
"""Every table by name."""


def default_options(operator: str) -> Table:
    """What a builtin operator's options are where a file leaves them out: every field at its default.

    Args:
        operator: the builtin's schema name, e.g. "CONV_2D".

    Returns:
        a new table; of an operator that has no options, the table "NONE" without fields.

    Raises:
        InputError: no builtin operator has that name.
    """
    if operator not in ENUMS["BuiltinOperator"].numbers:
        raise InputError(f"default_options: {operator!r} is no builtin operator of the schema")
    name = options_table(operator)
    return Table(name, {} if name == "NONE" else dict(TABLES[name].defaults))


def value_of(table: Table, field: str) -> Any:
    """A table's field, or the field's default where the table leaves it out.

    Raises:
        ModelError: the schema has no such table, or the table no such field.
    """
    if table.name not in TABLES or field not in TABLES[table.name].fields:
        raise ModelError(f"the schema has no {table.name}.{field}")
    return table.fields.get(field, TABLES[table.name].fields[field].default)

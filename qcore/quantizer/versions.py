"""Versions of operators: how a file says which kernels it needs, so that a runtime too old refuses it instead of computing nonsense.

An operator needs the greater of the version that its float form had, for its options and shapes, and what its types ask for. A file
has one version of each type of operator, the greatest that any of them needs.

Source: tflite/converter/tools/versioning/op_version.cc#GetBuiltinOperatorVersion. Where it has no case for int16 activations with int8
weights (DEPTHWISE_CONV_2D), or for int4 weights with float32 or int16 (CONV_2D, FULLY_CONNECTED), the version whose kernel first took them.
"""

from __future__ import annotations

from types import MappingProxyType

from qcore.model import OPTIONAL, Model, Operator, OperatorCode, Tensor

_SIMPLE = {
    (2, 1): """
        ARG_MAX ARG_MIN DEPTH_TO_SPACE GELU GREATER L2_NORMALIZATION LESS_EQUAL LOG_SOFTMAX SPACE_TO_DEPTH SPLIT_V
        SQUARED_DIFFERENCE STRIDED_SLICE SUM""",
    (2, 2): "EXP LOG REDUCE_PROD SQRT",
    (2, 3): """
        ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION GREATER_EQUAL LESS LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD PACK PAD PADV2
        REDUCE_MAX REDUCE_MIN RELU RELU6 RSQRT SOFTMAX TANH TOPK_V2""",
    (2, 4): """
        BATCH_TO_SPACE_ND GATHER MAXIMUM MINIMUM MUL NOT_EQUAL RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SLICE SPACE_TO_BATCH_ND
        UNPACK""",
    (2, 5): "EQUAL SUB TRANSPOSE",
    (3, 1): "REVERSE_V2 SVDF TILE",
    (3, 3): "BROADCAST_TO",
    (1, 2): "LEAKY_RELU",
    (1, 3): "GATHER_ND",
    (1, 4): "DYNAMIC_UPDATE_SLICE",
}
_BY_FIRST_INPUT = MappingProxyType(
    {name: {"int8": int8, "int16": int16} for (int8, int16), names in _SIMPLE.items() for name in names.split()}
)
"""The version that an operator needs for the type of its first input."""

_BY_SECOND_INPUT = MappingProxyType({"FILL": {"int8": 3, "int16": 3}, "SPLIT": {"int8": 2, "int16": 4}})

_BY_WEIGHTS = MappingProxyType(
    {
        "CONV_2D": {("int8", "int8"): 3, ("int8", "int4"): 7, ("float32", "int4"): 7, ("int16", "int8"): 8, ("int16", "int4"): 8},
        "DEPTHWISE_CONV_2D": {("int8", "int8"): 3, ("int8", "int4"): 7, ("int16", "int8"): 5},
        "FULLY_CONNECTED": {
            ("int8", "int8"): 4,
            ("int8", "int4"): 10,
            ("float32", "int4"): 10,
            ("int16", "int8"): 11,
            ("int16", "int4"): 13,
        },
    }
)
"""The version that an operator needs for the types of its first input and its weights."""

_HYBRID = MappingProxyType(
    {
        "BATCH_MATMUL": (1, 4),
        "BIDIRECTIONAL_SEQUENCE_LSTM": (2, 3),
        "CONV_2D": (2, 5),
        "DEPTHWISE_CONV_2D": (4, 6),
        "EMBEDDING_LOOKUP": (1, 4),
        "FULLY_CONNECTED": (3, 9),
        "LSTM": (3, 4),
        "SVDF": (2, 4),
        "UNIDIRECTIONAL_SEQUENCE_LSTM": (2, 3),
        "UNIDIRECTIONAL_SEQUENCE_RNN": (2, 3),
    }
)
"""The versions that an operator needs for float32 inputs and int8 weights: at first, and with per-channel scales or asymmetric inputs."""

_FULLY_CONNECTED_CHANNELS = 12
"""Of FULLY_CONNECTED with float32 inputs and int8 weights with per-channel scales."""


def set_versions(model: Model) -> None:
    """Gives a model, which is edited in place, one code for each type of operator in use, of the version that these need."""
    codes: dict[tuple[str, str | None], OperatorCode] = {}
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            code = operator.code
            shared = codes.setdefault((code.name, code.custom_code), OperatorCode(code.name, code.version, code.custom_code))
            shared.version = max(shared.version, code.version, needed_version(operator, subgraph.tensors))
            operator.code = shared
    model.operator_codes = list(codes.values())


def needed_version(operator: Operator, tensors: list[Tensor]) -> int:
    """The version that an operator's types ask for; 1 where they ask for none.

    Args:
        operator: of the subgraph that has these tensors.
        tensors: of that subgraph.
    """
    name = operator.code.name
    inputs = [None if i == OPTIONAL else tensors[i] for i in operator.inputs]
    outputs = [tensors[i] for i in operator.outputs if i != OPTIONAL]
    types = ["" if tensor is None else tensor.dtype for tensor in [*inputs, None, None, None]]
    if name == "QUANTIZE":
        return _quantize_version(outputs)
    if name == "DEQUANTIZE":
        return _dequantize_version(inputs)
    if name == "TRANSPOSE_CONV":
        return 5 if types[2] == "int16" else 2 if types[1] == "int8" else 1
    if name in _HYBRID and outputs and outputs[0].dtype == "float32" and "int8" in types[1:3]:
        return _hybrid_version(operator, inputs)
    if name in _BY_WEIGHTS:
        return _BY_WEIGHTS[name].get((types[0], types[1]), 1)
    if name == "EMBEDDING_LOOKUP":
        return 4 if types[1] == "int4" else 1
    if name in _BY_SECOND_INPUT:
        return _BY_SECOND_INPUT[name].get(types[1], 1)
    return _BY_FIRST_INPUT.get(name, {}).get(types[0], 1)


def _has_channels(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.quantization is not None and len(tensor.quantization.scale) > 1


def _quantize_version(outputs: list[Tensor]) -> int:
    if any(tensor.dtype == "int4" for tensor in outputs):
        return 4
    if any(_has_channels(tensor) for tensor in outputs):
        return 3
    return 2 if any(tensor.dtype == "int16" for tensor in outputs) else 1


def _dequantize_version(inputs: list[Tensor | None]) -> int:
    dtype = inputs[0].dtype if inputs and inputs[0] is not None else ""
    if dtype == "int8" and _has_channels(inputs[0]):
        return 5
    return {"int8": 2, "int16": 3, "float16": 3, "int4": 6}.get(dtype, 1)


def _hybrid_version(operator: Operator, inputs: list[Tensor | None]) -> int:
    name = operator.code.name
    channels = _has_channels(inputs[1])
    if name == "FULLY_CONNECTED" and channels:
        return _FULLY_CONNECTED_CHANNELS
    at_first, later = _HYBRID[name]
    asymmetric = operator.options is not None and operator.options.fields.get("asymmetric_quantize_inputs", False)
    return later if channels or asymmetric else at_first

"""Versions that operators on floats need; ``qcore.quantizer.versions`` knows what their types ask for beyond.

Source: tflite/converter/tools/versioning/op_version.cc#GetBuiltinOperatorVersion.
"""

from __future__ import annotations

from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.quantizer.versions import set_versions

_PLAIN_RANK = 4


def set_float_versions(model: Model) -> None:
    """Gives the operators of a float model, which is edited in place, the versions that their options and shapes ask for."""
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            operator.code.version = float_version(operator, subgraph.tensors)
    set_versions(model)


def float_version(operator: Operator, tensors: list[Tensor]) -> int:
    """The version that an operator needs for its options and shapes."""
    options = operator.options.fields if operator.options is not None else {}
    shapes = [tensors[i].shape for i in operator.inputs if i != OPTIONAL]
    rank = max(map(len, shapes), default=0)
    match operator.name:
        case "CONV_2D":
            return 6 if shapes[0][3] != shapes[1][3] else 1
        case "DEPTHWISE_CONV_2D":
            return 2 if (options["dilation_h_factor"], options["dilation_w_factor"]) != (1, 1) else 1
        case "FULLY_CONNECTED":
            return 5 if options["keep_num_dims"] else 1
        case "TRANSPOSE_CONV":
            return 4 if options["fused_activation_function"] != "NONE" else 3 if len(operator.inputs) > 3 else 1
        case "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR":
            return 3
        case "BROADCAST_TO":
            return 2
        case "CAST" if options["in_data_type"] == "int8":
            return 3
        case "SUB" | "MAXIMUM" | "MINIMUM" if rank > _PLAIN_RANK and len(set(shapes)) > 1:
            return 3
        case "DIV" if rank > _PLAIN_RANK and len(set(shapes)) > 1:
            return 2
        case "STRIDED_SLICE" | "PAD" | "PADV2" | "TRANSPOSE" if len(shapes[0]) > _PLAIN_RANK:
            return 6 if operator.name == "TRANSPOSE" and len(shapes[0]) > _PLAIN_RANK + 1 else 4
        case _:
            return 1

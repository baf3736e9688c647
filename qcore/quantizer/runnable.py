"""Where TensorFlow's quantizer writes what TensorFlow Lite does not run: the conditions, for both modes with integer activations.

By default the modes write the same, and a warning names these operators. With ``runnable`` they stay in floating point, or get scales that
kernels can compute with.

Source: tflite/kernels, the Prepare and Eval of the operators; tflite/kernels/internal/quantization_util.cc
#QuantizeMultiplierSmallerThanOneExp, which ends the process; tflite/kernels/kernel_util.cc#CalculateActivationRangeQuantized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from qcore.model import Operator
from qcore.numerics import QuantParams
from qcore.quantizer.warning import warn

NO_KERNEL = MappingProxyType({"int8": ("REVERSE_SEQUENCE",), "int16x8": ("SCATTER_ND", "SQUARED_DIFFERENCE")})
"""Operators that TensorFlow's quantizer quantizes although no kernel of TensorFlow Lite or LiteRT takes them so, by mode."""

UNKNOWN_TYPES = "no kernel takes it in these types"
ZERO_POINT = "its filter is computed at run time, and has a zero point"
TOO_WIDE = "the range of its output or of an input is too wide"
TOO_NARROW = "the range of its output is too narrow beside those of its inputs"
NEVER_NONZERO = "its output was never other than 0, which makes a scale next to 0"
COPIED = "it copies codes of its table, whose scales are not that of its output"
ZERO_CONSTANT = "it reads a constant of zeros, which has a scale of 0"

_SYMMETRIC = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
"""Operators whose kernels refuse a filter with a zero point."""

_COMMON_SCALE = MappingProxyType({"ADD": (20, 1), "SQUARED_DIFFERENCE": (7, 2)})
"""Operators that rescale int8 inputs to twice the greater scale, and shift: the shift, and the power of it all that comes out."""

_WIDEST = MappingProxyType({"ADD": float(np.finfo(np.float32).max) * (1 - 2.0**-15), "SOFTMAX": 10 * 2.0**30})
"""Magnitudes from which on int16 kernels abort, or shift by more bits than there are. Masks of attention reach them."""

_DIVIDE_BY_SCALES = ("ADD", "SUB")
"""Operators whose int16 kernels abort on an input with a scale of 0."""

_NARROWEST_SUM = 2.0**-14
"""The int16 ADD aborts unless its output's scale is more than this part of each input's."""

_NOTHING = 2.0**-100
"""What reaches no further counts as 0: kernels could not divide by its scale."""


def refused_int8(operator: Operator, inputs: Sequence[QuantParams | None], outputs: Sequence[QuantParams | None]) -> str | None:
    """Why TensorFlow Lite does not run an operator right in int8 with these parameters; None where it does.

    Args:
        operator: one that the specification quantizes.
        inputs: the parameters that it will have, None for what is not real.
        outputs: likewise.
    """
    if operator.name in NO_KERNEL["int8"]:
        return UNKNOWN_TYPES
    if operator.name == "EMBEDDING_LOOKUP" and inputs[1] is not None and outputs[0] is not None and not _same(inputs[1], outputs[0]):
        return COPIED
    if operator.name in _SYMMETRIC and inputs[1] is not None and inputs[1].zero_point.any():
        return ZERO_POINT
    if operator.name not in _COMMON_SCALE or outputs[0] is None:
        return None
    shift, power = _COMMON_SCALE[operator.name]
    common = 2 * max((params.scale.max().astype(np.float64) for params in inputs if params is not None), default=np.float64(0))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        factor = common**power / (np.float32(2.0 ** (shift * power)) * outputs[0].scale.min()).astype(np.float64)
    if 0 < factor < 1:
        return None
    return TOO_WIDE if factor == 0 else TOO_NARROW


def refused_int16(name: str, reach: float) -> str | None:
    """Why TensorFlow Lite does not run an operator in int16 whatever its scales, or whose inputs and output reach so far."""
    if name in NO_KERNEL["int16x8"]:
        return UNKNOWN_TYPES
    return TOO_WIDE if reach >= _WIDEST.get(name, np.inf) else None


def refuses_zero_scale(name: str) -> bool:
    """The operator's int16 kernel aborts on an input with a scale of 0."""
    return name in _DIVIDE_BY_SCALES


def narrowest_sum(input_scale: float) -> float:
    """The scale that the output of an int16 ADD must exceed, for the greater scale of its inputs."""
    return input_scale * _NARROWEST_SUM


def is_nothing(reach: float) -> bool:
    """A tensor that reaches no further was never other than 0, as far as int16 kernels can tell."""
    return reach <= _NOTHING


def warn_of_refused(mode: str, refused: Mapping[str, str]) -> None:
    """Names the operators that were quantized although TensorFlow Lite fails on them: a warning for each reason.

    Args:
        mode: which wrote them.
        refused: the reason, by what to call the operator.
    """
    for reason in dict.fromkeys(refused.values()):
        operators = ", ".join(operator for operator, given in refused.items() if given == reason)
        warn(
            f"{mode}: TensorFlow Lite fails on what TensorFlow's quantizer makes of {operators}: {reason}; "
            "runnable=True keeps such operators in floating point, or mends their scales"
        )


def _same(one: QuantParams, other: QuantParams) -> bool:
    return np.array_equal(one.scale, other.scale) and np.array_equal(one.zero_point, other.zero_point)

"""Quantization mathematics: each rounding, each mapping, each formula once. docs/quantization.md derives them."""

from __future__ import annotations

from qcore.numerics.affine import dequantize, fake_quantize, fake_quantize_mask, quantize, quantize_by_reciprocal, round_to_codes
from qcore.numerics.bias import QuantizedBias, guarded_filter_range, quantize_bias
from qcore.numerics.dtypes import ELEMENT_TYPES, ElementType, element_type
from qcore.numerics.fixed_point import (
    DoubleRounding,
    Float32Rounding,
    Float64Rounding,
    HalfUpRounding,
    ReducedMultiplier,
    Requantizer,
    SingleRounding,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from qcore.numerics.float16 import to_bfloat16, to_float16
from qcore.numerics.metrics import (
    ErrorMetrics,
    ErrorSums,
    cosine_similarity,
    error_metrics,
    max_abs_error,
    mean_abs_error,
    mean_error,
    mean_squared_error,
    sqnr_db,
)
from qcore.numerics.packing import pack, packed_size, unpack
from qcore.numerics.params import QuantParams, choose_params, symmetric_params
from qcore.numerics.rounding import round_half_away, round_half_even
from qcore.numerics.tensor import QuantizedTensor, quantize_tensor
from qcore.numerics.weights import greatest_magnitude, quantize_by_division, quantize_by_reach, quantize_in_double

__all__ = [
    "ELEMENT_TYPES",
    "DoubleRounding",
    "ElementType",
    "ErrorMetrics",
    "ErrorSums",
    "Float32Rounding",
    "Float64Rounding",
    "HalfUpRounding",
    "QuantParams",
    "QuantizedBias",
    "QuantizedTensor",
    "ReducedMultiplier",
    "Requantizer",
    "SingleRounding",
    "choose_params",
    "cosine_similarity",
    "dequantize",
    "element_type",
    "error_metrics",
    "fake_quantize",
    "fake_quantize_mask",
    "greatest_magnitude",
    "guarded_filter_range",
    "max_abs_error",
    "mean_abs_error",
    "mean_error",
    "mean_squared_error",
    "pack",
    "packed_size",
    "quantize",
    "quantize_bias",
    "quantize_by_division",
    "quantize_by_reach",
    "quantize_by_reciprocal",
    "quantize_in_double",
    "quantize_multiplier",
    "quantize_tensor",
    "round_half_away",
    "round_half_even",
    "round_to_codes",
    "rounding_divide_by_pot",
    "saturating_rounding_doubling_high_mul",
    "sqnr_db",
    "symmetric_params",
    "to_bfloat16",
    "to_float16",
    "unpack",
]

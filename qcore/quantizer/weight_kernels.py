"""Which kernels of TensorFlow Lite and LiteRT take which weights, as one table: what the quantizer, docs/int4.md and tests read.

Every cell was measured: a model of one operator, run in a process that may end badly. A test measures all of them again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

Granularity = Literal["per_tensor", "per_channel", "blockwise"]
Activations = Literal["dequantized", "float32", "int8", "int16"]
"""What an operator reads beside its weights: float32, its weights behind a DEQUANTIZE; float32, which the kernel quantizes as it runs,
if it multiplies; or codes."""

RELEASES = MappingProxyType({"tensorflow": "2.21", "ai_edge_litert": "2.3"})
"""The releases that were measured, by package."""

ARITHMETICS = ("reference", "builtin", "xnnpack")
"""Each package has them; XNNPACK leaves to the builtin kernels what it does not take."""

OUTCOMES = MappingProxyType(
    {
        "o": "right",
        "x": "right, and XNNPACK computes it",
        "z": "blocks, or the scales of columns, count as 0",
        "m": "packed codes are read as others, or memory behind the weights or their scales; or what the condition says",
        "-": "refused",
        "!": "the process ends",
    }
)
"""What a letter of the table means."""

_TABLE = """
                               dequantized  float32  int8     int16
CONV_2D           int8 per_tensor  oox oox  oox oox  oox oox  ooo ooo
CONV_2D           int8 per_channel oox oox  oox oox  oox oox  ooo ooo
CONV_2D           int8 blockwise   zz! zz!  zzz zzz  --- ---  --- ---
CONV_2D           int4 per_tensor  ooo ooo  ooo ooo  ooo ooo  ooo ooo
CONV_2D           int4 per_channel ooo ooo  ooo ooo  ooo ooo  ooo ooo
CONV_2D           int4 blockwise   zzz zzz  zzz zzz  --- ---  --- ---
CONV_2D           int2 per_tensor  ooo ooo  mmm mmm  mmm ---  mmm mmm
CONV_2D           int2 per_channel ooo ooo  mmm mmm  --- ---  --- ---
CONV_2D           int2 blockwise   zzz zzz  mmm mmm  --- ---  --- ---
DEPTHWISE_CONV_2D int8 per_tensor  oox oox  mmm mmm  oox oox  ooo ooo
DEPTHWISE_CONV_2D int8 per_channel oox oox  ooo ooo  oox oox  ooo ooo
DEPTHWISE_CONV_2D int8 blockwise   zz! zz!  !!! !!!  --- ---  --- ---
DEPTHWISE_CONV_2D int4 per_tensor  ooo ooo  --- ---  -oo -oo  mmm mmm
DEPTHWISE_CONV_2D int4 per_channel ooo ooo  --- ---  -oo -oo  mmm mmm
DEPTHWISE_CONV_2D int4 blockwise   zzz zzz  --- ---  --- ---  --- ---
DEPTHWISE_CONV_2D int2 per_tensor  ooo ooo  --- ---  --- ---  mmm mmm
DEPTHWISE_CONV_2D int2 per_channel ooo ooo  --- ---  --- ---  --- ---
DEPTHWISE_CONV_2D int2 blockwise   zzz zzz  --- ---  --- ---  --- ---
FULLY_CONNECTED   int8 per_tensor  oox oox  oox oox  oox oox  ooo ooo
FULLY_CONNECTED   int8 per_channel oox oox  oox oox  oox oox  ooo ooo
FULLY_CONNECTED   int8 blockwise   zz! zz!  zz- zz-  --- ---  --- ---
FULLY_CONNECTED   int4 per_tensor  ooo ooo  ooo oox  ooo oox  ooo ooo
FULLY_CONNECTED   int4 per_channel ooo ooo  oox oox  oox oox  ooo ooo
FULLY_CONNECTED   int4 blockwise   zzz zzz  zox zox  --- ---  --- ---
FULLY_CONNECTED   int2 per_tensor  ooo ooo  ooo ooo  ooo ooo  ooo ooo
FULLY_CONNECTED   int2 per_channel ooo ooo  oox oox  oox oox  ooo ooo
FULLY_CONNECTED   int2 blockwise   zzz zzz  zz- zz-  --- ---  --- ---
EMBEDDING_LOOKUP  int8 per_tensor  ooo ooo  ooo ooo  ooo ooo  mmm mmm
EMBEDDING_LOOKUP  int8 per_channel ooo ooo  ooo ooo  --- ---  --- ---
EMBEDDING_LOOKUP  int8 blockwise   zzz zzz  --- ---  --- ---  --- ---
EMBEDDING_LOOKUP  int4 per_tensor  ooo ooo  ooo ooo  mmm mmm  mmm mmm
EMBEDDING_LOOKUP  int4 per_channel ooo ooo  ooo ooo  --- ---  --- ---
EMBEDDING_LOOKUP  int4 blockwise   zzz zzz  ooo ooo  !!! ---  !!! ---
EMBEDDING_LOOKUP  int2 per_tensor  ooo ooo  ooo ooo  mmm mmm  mmm mmm
EMBEDDING_LOOKUP  int2 per_channel ooo ooo  ooo ooo  --- ---  --- ---
EMBEDDING_LOOKUP  int2 blockwise   zzz zzz  --- ooo  --- ---  --- ---
TRANSPOSE_CONV    int8 per_tensor  oox oox  oox oox  oox oox  ooo ooo
TRANSPOSE_CONV    int8 per_channel oox oox  oox oox  oox oox  ooo ooo
TRANSPOSE_CONV    int8 blockwise   zz! zz!  !!! !!!  --- ---  --- ---
TRANSPOSE_CONV    int4 per_tensor  ooo ooo  mmm ---  mmm ---  --- ---
TRANSPOSE_CONV    int4 per_channel ooo ooo  mmm ---  mmm ---  --- ---
TRANSPOSE_CONV    int4 blockwise   zzz zzz  mmm ---  --- ---  --- ---
TRANSPOSE_CONV    int2 per_tensor  ooo ooo  mmm ---  mmm ---  --- ---
TRANSPOSE_CONV    int2 per_channel ooo ooo  mmm ---  --- ---  --- ---
TRANSPOSE_CONV    int2 blockwise   zzz zzz  mmm ---  --- ---  --- ---
BATCH_MATMUL      int8 per_tensor  oox oox  oox oox  oox oox  --- ooo
BATCH_MATMUL      int8 per_channel oox oox  -ox oox  zzz zzz  --- zzz
BATCH_MATMUL      int8 blockwise   zz! zz!  zzz zzz  zzz zzz  --- zzz
BATCH_MATMUL      int4 per_tensor  oox oox  --- ---  --- ---  --- ---
BATCH_MATMUL      int4 per_channel oox oox  --- ---  --- ---  --- ---
BATCH_MATMUL      int4 blockwise   zzz zzz  --- ---  --- ---  --- ---
BATCH_MATMUL      int2 per_tensor  oox oox  --- ---  --- ---  --- ---
BATCH_MATMUL      int2 per_channel oox oox  --- ---  --- ---  --- ---
BATCH_MATMUL      int2 blockwise   zzz zzz  --- ---  --- ---  --- ---
"""
"""Six letters for each kind of activations: of TensorFlow Lite's three arithmetics, then of LiteRT's."""


@dataclass(frozen=True)
class Case:
    """One kind of operator.

    operator: its name. weight_type: "int8", "int4" or "int2". granularity: of the scales of its weights.
    activations: what it reads beside them.
    condition: one of CONDITIONS, under which it was measured, or "".
    """

    operator: str
    weight_type: str
    granularity: Granularity
    activations: Activations
    condition: str = ""


def _read(table: str) -> Mapping[Case, str]:
    found = {}
    for line in table.strip().splitlines()[1:]:
        operator, weight_type, granularity, *letters = line.split()
        pairs = zip(letters[::2], letters[1::2], strict=True)
        for activations, pair in zip(get_args(Activations), pairs, strict=True):
            found[Case(operator, weight_type, granularity, activations)] = "".join(pair)  # type: ignore[arg-type]
    return MappingProxyType(found)


MEASURED = _read(_TABLE)
"""Six letters by case."""

LEAST_CODE, PART_BYTES, ONE_UNIT, FEW_UNITS, FUSED = "least code", "part bytes", "one unit", "few units", "fused"
CONDITIONS = MappingProxyType(
    {
        LEAST_CODE: "some weight has the least code of its type: -128, -8",
        PART_BYTES: "rows do not fill whole bytes",
        ONE_UNIT: "one unit, with a bias",
        FEW_UNITS: "fewer than four units",
        FUSED: "a fused RELU, which is left out",
    }
)

_FEW = 4

LIMITS = MappingProxyType(
    {
        Case("FULLY_CONNECTED", "int8", "per_tensor", "float32", LEAST_CODE): "mmxmmx",
        Case("FULLY_CONNECTED", "int8", "per_channel", "float32", LEAST_CODE): "mmxmmx",
        Case("FULLY_CONNECTED", "int4", "per_tensor", "float32", LEAST_CODE): "ommomx",
        Case("FULLY_CONNECTED", "int4", "per_channel", "float32", LEAST_CODE): "omxomx",
        Case("FULLY_CONNECTED", "int4", "per_tensor", "int8", ONE_UNIT): "oo-oox",
        Case("FULLY_CONNECTED", "int4", "per_channel", "int8", ONE_UNIT): "oo-oox",
        Case("FULLY_CONNECTED", "int2", "per_tensor", "int8", ONE_UNIT): "oo-oox",
        Case("FULLY_CONNECTED", "int2", "per_channel", "int8", ONE_UNIT): "oo-oox",
        Case("FULLY_CONNECTED", "int4", "blockwise", "float32", FEW_UNITS): "zzxzzx",
        Case("FULLY_CONNECTED", "int4", "blockwise", "float32", FUSED): "zmxzmx",
        Case("EMBEDDING_LOOKUP", "int4", "per_tensor", "float32", PART_BYTES): "mmmmmm",
        Case("EMBEDDING_LOOKUP", "int4", "per_channel", "float32", PART_BYTES): "mmmmmm",
        Case("EMBEDDING_LOOKUP", "int2", "per_tensor", "float32", PART_BYTES): "mmmmmm",
        Case("EMBEDDING_LOOKUP", "int2", "per_channel", "float32", PART_BYTES): "mmmmmm",
    }
)
"""Where a condition makes outcomes worse than MEASURED has them."""


def takes(case: Case, shape: Sequence[int]) -> bool:
    """Builtin kernels and XNNPACK of both packages compute it right, as far as the weights' shape decides about that.

    Some need weights without the least code, or an operator without a fused activation: see LIMITS.

    Args:
        case: without a condition.
        shape: of the weights.
    """
    bits = int(case.weight_type.removeprefix("int"))
    units = shape[0] if shape else 0
    met = {PART_BYTES: math.prod(shape[1:]) * bits % 8 != 0, ONE_UNIT: units == 1, FEW_UNITS: units < _FEW}
    conditions = [condition for condition in met if met[condition]]
    outcomes = [MEASURED.get(case, "------"), *(LIMITS.get(replace(case, condition=condition), "oooooo") for condition in conditions)]
    return all(letter in "ox" for outcome in outcomes for letter in outcome[1:3] + outcome[4:6])


def misreads_least_code(case: Case) -> bool:
    """Some kernel computes it right only where no weight has the least code."""
    return replace(case, condition=LEAST_CODE) in LIMITS

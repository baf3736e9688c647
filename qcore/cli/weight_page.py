"""docs/int4.md: which kernels take which weights, and what ``quantize_model`` therefore writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from qcore.quantizer.weight_kernels import CONDITIONS, LIMITS, MEASURED, OUTCOMES, RELEASES, Activations, Case, takes
from qcore.quantizer.weights import LOOKUPS

_PACKAGES = ("TensorFlow Lite", "LiteRT")
_WORDS = {"o": "right", "x": "right*", "z": "zeros", "m": "misread", "-": "refused", "!": "crash"}
_SHAPE = (64, 64)
"""Of weights that no condition is about."""

_MODES: dict[str, Activations] = {"weight_only": "dequantized", "dynamic_range": "float32", "int8": "int8", "int16x8": "int16"}

COLUMNS = ("operator", "weights", "scales", *get_args(Activations))


def rows() -> list[tuple[str, ...]]:
    """The lines of the table: outcomes of each kind of weights, by what operators read beside them."""
    kinds = dict.fromkeys((case.operator, case.weight_type, case.granularity) for case in MEASURED)
    return [(*map(_plain, kind), *(_outcomes(MEASURED[Case(*kind, each)]) for each in get_args(Activations))) for kind in kinds]


def markdown() -> str:
    """The whole page."""
    limits = [
        (case.operator, case.weight_type, _plain(case.granularity), case.activations, CONDITIONS[case.condition], _outcomes(letters))
        for case, letters in LIMITS.items()
    ]
    operators = dict.fromkeys(case.operator for case in MEASURED)
    releases = " and ".join(f"{name} {release}" for name, release in zip(_PACKAGES, RELEASES.values(), strict=True))
    return _PAGE.format(
        releases=releases,
        written=_table(("operator", *_MODES), [(operator, *(_written(operator, mode) for mode in _MODES)) for operator in operators]),
        outcomes="\n".join(f"- *{_WORDS[letter]}*: {OUTCOMES[letter]}" for letter in "zm!"),
        measured=_table(COLUMNS, rows()),
        limits=_table(("operator", "weights", "scales", "activations", "condition", "outcome"), limits),
    )


_PAGE = """# int4 weights

Made by `qcore operators --weights --markdown` from the table in `qcore/quantizer/weight_kernels.py`, which the quantizer reads; a test
keeps this page equal to it. Another test measures every cell again, with models of one operator that run in a process of their own, in
{releases}.

## What quantize_model writes

With `weight_type="int4"`, or a rule that says so for an operator. *blocks* is with `block_size`. A dash is what there is without int4,
int8 mostly: kernels take none beside the activations of the mode.

{written}

Rows that blocks do not divide have a scale for each channel; weights under a condition of the last table have that too, or int8. Next to
float32, FULLY_CONNECTED has codes in [-7, 7], and its fused activation becomes an operator where it has blocks. An EMBEDDING_LOOKUP of int4
gives float32; in the integer modes a QUANTIZE follows it, and with `float_fallback=False` it keeps int8.

```python
import qcore

model = qcore.load("model.tflite")
small = qcore.quantize_model(model, "dynamic_range", weight_type="int4", block_size=32)
rules = [qcore.Rule(True, operator="EMBEDDING_LOOKUP", weight_type="int4")]
mixed = qcore.quantize_model(model, "int8", samples, rules=rules)
```

The convention `ai-edge` has the blocks and the operators of litert-quantizer: in `weight_only` and `dynamic_range` it leaves others in
float32, and activations fused.

## What kernels make of weights

*dequantized* is float32 with a DEQUANTIZE behind the weights, *float32* without. Three words in a row are those of reference (BUILTIN_REF),
builtin (BUILTIN_WITHOUT_DEFAULT_DELEGATES) and XNNPACK (a plain interpreter); an asterisk says that XNNPACK computes it, and does not leave
it to the builtin kernels.

{outcomes}

qcore reads and writes all of these. Where a kernel is right, qcore has TensorFlow Lite's integers in that arithmetic; elsewhere it computes
what the operator means, or refuses.

{measured}

Under these conditions it is worse:

{limits}

LiteRT's XNNPACK computes FULLY_CONNECTED of int4 with one scale, TensorFlow Lite's does not: results differ by a step there, and qcore's
arithmetic "xnnpack" is TensorFlow Lite's.
"""


def _written(operator: str, mode: str) -> str:
    """The form of an operator's weights in a mode."""
    blocks = "; blocks" if takes(Case(operator, "int4", "blockwise", "float32"), _SHAPE) else ""
    if operator in LOOKUPS:
        return f"int4{blocks}"
    if mode == "weight_only":
        return f"int4 behind a DEQUANTIZE{blocks}"
    if not takes(Case(operator, "int4", "per_channel", _MODES[mode]), _SHAPE):
        return "-"
    return f"int4{blocks}" if mode == "dynamic_range" else "int4"


def _outcomes(letters: str) -> str:
    """Six letters in words."""
    halves = [_three(letters[:3]), _three(letters[3:])]
    return halves[0] if halves[0] == halves[1] else "; ".join(f"{name}: {half}" for name, half in zip(_PACKAGES, halves, strict=True))


def _three(letters: str) -> str:
    if set(letters) <= set("ox"):
        return _WORDS["x" if "x" in letters else "o"]
    words = [_WORDS[letter] for letter in letters]
    return words[0] if len(set(words)) == 1 else ", ".join(words)


def _plain(word: str) -> str:
    return word.replace("_", " ") if word.startswith("per_") else word


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *lines))

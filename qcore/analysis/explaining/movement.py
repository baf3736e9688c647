"""Operators that only move values: which input element an output element is.

No operator is followed by its own rules. Its kernel moves the digits of the elements' numbers, in the inputs' own type, instead of their
values; what arrives is the number of the element that the output's came from. Padding is what does not change when the digits do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from qcore.analysis.explaining.case import Case, Derivation, Real, place_text, real_value
from qcore.kernels import concatenation
from qcore.kernels.opdef import Array
from qcore.numerics.derivation import Line

EVERY = None

MOVED: MappingProxyType[str, tuple[int, ...] | None] = MappingProxyType(
    {
        **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "TILE", "BROADCAST_TO"), (0,)),
        **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), (0,)),
        **dict.fromkeys(("REVERSE_V2", "REVERSE_SEQUENCE", "GATHER", "GATHER_ND", "SPLIT_V", "UNPACK"), (0,)),
        **dict.fromkeys(("PAD", "MIRROR_PAD", "RESIZE_NEAREST_NEIGHBOR", "MATRIX_DIAG"), (0,)),
        **dict.fromkeys(("CONCATENATION", "PACK"), EVERY),
        **dict.fromkeys(("SELECT", "SELECT_V2"), (1, 2)),
        "PADV2": (0, 2),
        "SPLIT": (1,),
        "FILL": (1,),
        "DYNAMIC_UPDATE_SLICE": (0, 1),
        "MATRIX_SET_DIAG": (0, 1),
        "EMBEDDING_LOOKUP": (1,),
        "HASHTABLE_LOOKUP": (2,),
        "ONE_HOT": (2, 3),
        "SPARSE_TO_DENSE": (2, 3),
        "DILATE": (0, 2),
        "STABLEHLO_GATHER": (0,),
        "STABLEHLO_PAD": (0, 1),
    }
)
"""The inputs whose elements may come out, by operator."""

FIRST_ALONE = ("HASHTABLE_LOOKUP",)
"""Operators of which the first output alone is moved."""

BASE = 128
"""Of the digits: every integer and float type holds them."""


def explain_movement(case: Case) -> Derivation:
    """Where the element comes from."""
    moved = MOVED[case.node.operator]
    sources = [i for i, x in enumerate(case.inputs) if x is not None and (moved is EVERY or i in moved)]
    tensors = tuple(case.tensor(str(i + 1), f"input {i}", case.node.input(i)) for i in sources)
    found = origin(case, sources)
    if found is None:
        return Derivation([Line("q", "padding: no input's element", case.value)], tensors)
    source, place = found
    tensor, code = tensors[sources.index(source)], case.array(source)[place]
    lines = [Line(f"q{source + 1}", f"element {place_text(place)} of input {source}, '{tensor.name}'", code)]
    if code != case.value:
        lines.append(Line("q", "at the output's scale, by a table", case.value))
    if tensor.scale is None:
        return Derivation(lines, tensors)
    return Derivation(lines, tensors, Real(f"S (q - Z) of q{source + 1}", real_value(tensor, int(code))))


def origin(case: Case, sources: list[int]) -> tuple[int, tuple[int, ...]] | None:
    """The input and the place in it; None where the element is of no input."""
    arrays = [case.array(i) for i in sources]
    starts = np.cumsum([0, *(array.size for array in arrays)])
    numbers = [np.arange(start, start + array.size).reshape(array.shape) for start, array in zip(starts, arrays, strict=False)]
    number = 0
    for value, base in digits(arrays[0].dtype, int(starts[-1])):
        digit = moved_digit(case, sources, [each // value % base for each in numbers])
        if moved_digit(case, sources, [base - 1 - each // value % base for each in numbers]) != base - 1 - digit:
            return None
        number += value * digit
    which = int(np.searchsorted(starts, number, side="right")) - 1
    return sources[which], tuple(int(i) for i in np.unravel_index(number - starts[which], arrays[which].shape))


def digits(dtype: np.dtype[Any], count: int) -> Iterator[tuple[int, int]]:
    """The value of each digit of the numbers below count, and its base, an even number of values that the type holds."""
    base = 2 if dtype == np.bool_ else BASE
    value = 1
    while value < max(count, 2):
        yield value, base
        value *= base


def moved_digit(case: Case, sources: list[int], values: list[Array]) -> int:
    """The digit that the kernel moves to the element."""
    inputs = list(case.inputs)
    for i, digit in zip(sources, values, strict=True):
        inputs[i] = as_elements(digit, case.array(i).dtype)
    params = case.params
    if case.kernel is concatenation.concatenate:
        params = replace(params, tables=(None,) * len(inputs))
    results = case.kernel(params, *inputs)
    arrived = (results[case.output] if isinstance(results, tuple) else results)[case.element]
    return int(np.real(arrived)) if not isinstance(arrived, bytes) else int(arrived or b"-1")


def as_elements(digit: Array, dtype: np.dtype[Any]) -> Array:
    """Digits in a type; strings where it is that of strings."""
    return np.vectorize(lambda n: b"%d" % n, otypes=[object])(digit) if dtype.kind == "O" else digit.astype(dtype)

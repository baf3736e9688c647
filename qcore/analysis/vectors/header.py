"""Test vectors as a C99 header: macros for single numbers, static const arrays for the rest."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qcore.analysis.vectors.content import Vectors
from qcore.analysis.vectors.parameters import Number
from qcore.errors import UnsupportedError
from qcore.kernels.opdef import Array

WIDTH = 120
"""Most characters of a line of integers."""

MOST_NUMBERS = 2**24
"""That a header holds: compilers choke on more."""

TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "uint64": "uint64_t",
    "bool": "uint8_t",
    "float32": "float",
    "float64": "double",
}
"""Element types of C by those of NumPy."""


def header(vectors: Vectors) -> str:
    """The text of the header.

    Raises:
        UnsupportedError: there is no type of C for some elements, or there are too many.
    """
    count = sum(elements.size for elements in vectors.arrays.values())
    if count > MOST_NUMBERS:
        what = f"a header of {count} numbers, expected at most {MOST_NUMBERS}"
        raise UnsupportedError(f"vectors: {vectors.where}: {what}; the format npz does")
    guard = f"QCORE_{vectors.name.upper()}_H"
    lines = [*heading(vectors), "", f"#ifndef {guard}", f"#define {guard}", "", "#include <math.h>", "#include <stdint.h>", ""]
    lines += macro(vectors, "cases", len(vectors.cases))
    for number, (name, text) in enumerate(vectors.cases.items()):
        lines.append(comment(f"case {number}, {name}: {text}"))
    scales: dict[str, Array] = {}
    for member in vectors.members:
        described = member.describe()
        layout = f", {member.layout}" if member.layout else ""
        name, lines = member.role, [*lines, ""]
        lines.append(comment(f"{member.role}: {member.tensor.dtype}{described['shape']}{layout}, tensor '{member.tensor.name}'"))
        lines += macro(vectors, f"{name}_size", int(np.prod(member.shape, dtype=np.int64)))
        if member.shape:
            lines += array(vectors, f"{name}_shape", np.array(member.shape, np.int32))
        quantization = member.tensor.quantization
        if quantization is not None and quantization.scale.size:
            scales[f"{name}_scale"] = quantization.scale
            lines += array(vectors, f"{name}_scale", quantization.scale)
        lines += array(vectors, name, member.elements, cases=not member.is_constant)
    if vectors.accumulator is not None:
        lines += ["", comment("accumulator: sums of the output, with bias and zero points, before requantization")]
        lines += array(vectors, "accumulator", vectors.accumulator, cases=True)
    lines += ["", comment("packed parameters")]
    for name, value in vectors.parameters.items():
        if np.array_equal(scales.get(name, ()), value):
            continue  # stands with its tensor
        free = f"packed_{name}" if name in scales else name
        lines += macro(vectors, free, value) if np.ndim(value) == 0 else array(vectors, free, np.asarray(value))
    return "\n".join([*lines, "", f"#endif /* {guard} */", ""])


def heading(vectors: Vectors) -> list[str]:
    """The comment at the top."""
    rules = [
        f"{rule.name}{'' if rule.equation is None else f', equation ({rule.equation})'}: {', '.join(rule.parameters)}"
        for rule in vectors.told.rules
    ]
    lines = [
        vectors.where,
        f"arithmetic: {vectors.arithmetic}; computed by {vectors.kernel}",
        *(f"rounding by {rule}" for rule in rules),
        *(f"{name}: {function}" for name, function in vectors.told.functions.items()),
    ]
    options = ", ".join(f"{name} = {value}" for name, value in vectors.options.items())
    return [comment(line) for line in (*lines, *([f"options: {options}"] if options else []))]


def comment(text: str) -> str:
    """Comments, one for each line; nothing in the text can end them."""
    plain = text.encode("ascii", "backslashreplace").decode().replace("\\", "_").replace("*/", "* /").replace("/*", "/ *")
    return "\n".join(f"/* {line} */" for line in textwrap.wrap(plain, WIDTH - 6))


def identifier(vectors: Vectors, name: str) -> str:
    """A C name for a number of the operator."""
    return f"{vectors.name}_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"


def macro(vectors: Vectors, name: str, number: Number) -> list[str]:
    """A single number by name."""
    value = np.asarray(number)
    if value.dtype.kind in "fc":
        return [f"#define {identifier(vectors, name).upper()} {real(value)} /* {value!s} */"]
    written = integer(int(value))
    return [f"#define {identifier(vectors, name).upper()} {f'({written})' if written.startswith('-') else written}"]


def array(vectors: Vectors, name: str, elements: Array, cases: bool = False) -> list[str]:
    """An array by name, flat in the order of memory; with one more axis in front where there is one for each case."""
    kind = str(elements.dtype)
    if kind in ("float16", "bfloat16"):
        elements, kind = elements.view(np.uint16), "uint16"
    if kind not in TYPES:
        raise UnsupportedError(f"vectors: {vectors.where}: C has no type for the {kind} elements of {name}; the format npz does")
    rows = elements.reshape(len(elements), -1) if cases else elements.reshape(1, -1)
    size = max(1, rows.shape[1])
    lengths = f"[{len(rows)}][{size}]" if cases else f"[{size}]"
    lines = [f"static const {TYPES[kind]} {identifier(vectors, name)}{lengths} = {{"]
    for row in rows:
        values = list(reals(row) if kind.startswith("float") else wrapped([integer(int(v)) for v in row.tolist()])) or ["    0"]
        lines += ["    {", *("    " + line for line in values), "    },"] if cases else values
    return [*lines, "};"]


def wrapped(words: Sequence[str]) -> Iterator[str]:
    """Numbers in lines of limited width, a comma after each."""
    line = "   "
    for word in words:
        if len(line) + len(word) + 2 > WIDTH:
            yield line
            line = "   "
        line += f" {word},"
    if words:
        yield line


def integer(value: int) -> str:
    """A number as C writes it; the least ones have no literal of their own, and negative ones keep their sign to themselves."""
    if value < -(2**31):
        return f"({value + 1}LL - 1)"
    if value >= 2**31:
        return f"{value}{'ULL' if value >= 2**63 else 'LL'}"
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def reals(row: Array) -> Iterator[str]:
    """Real numbers, exact, one in a line beside its decimal form."""
    for value in row:
        yield f"    {real(value)}, /* {value!s} */"


def real(value: Any) -> str:
    """A real number as C writes it, exactly."""
    number = float(value)
    if not math.isfinite(number):
        return "NAN" if math.isnan(number) else "INFINITY" if number > 0 else "-INFINITY"
    digits, _, exponent = number.hex().partition("p")
    mantissa = digits.rstrip("0").removesuffix(".") if "." in digits else digits
    return f"{mantissa}p{exponent}" + ("f" if value.dtype == np.float32 else "")

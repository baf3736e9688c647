"""What results show: tables to a person, plain data to a program; alike in a notebook and on the command line."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

WIDTH = 160
"""Columns, where there is no terminal to fit."""


class Shown(ABC):
    """A result: ``print`` shows its tables, ``to_json`` is what a program reads."""

    width = WIDTH

    @abstractmethod
    def table(self) -> RenderableType:
        """Its tables, for a rich console."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""

    def to_json(self, *args: Any, **named: Any) -> str:
        """``as_dict``, with the same arguments, as text; infinities and NaN are the strings "Infinity", "-Infinity" and "NaN"."""
        return to_json(self.as_dict(*args, **named))

    def __str__(self) -> str:
        out = StringIO()
        Console(file=out, width=self.width, highlight=False, color_system=None).print(self.table())
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows."""
        printer.text(str(self))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[str] = ()) -> Table:
    """A table of plain text; columns named in numeric are right-aligned."""
    result = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False, min_width=len(title)
    )
    for column in columns:
        result.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        result.add_row(*(Text(str(cell)) for cell in row))
    return result


def spaced(parts: Iterable[RenderableType | None]) -> list[RenderableType]:
    """Parts of a page with an empty line between them; None leaves one out."""
    there = [part for part in parts if part is not None]
    return [line for part in there for line in (Text(), part)][1:]


def to_json(value: Any) -> str:
    """A value as JSON: NumPy's numbers and arrays as numbers and lists, numbers that JSON has not as "Infinity", "-Infinity" and "NaN"."""
    return json.dumps(plain(value), indent=2, allow_nan=False)


def plain(value: Any) -> Any:
    """The same as plain data."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return str(value) if isinstance(value, complex) else value


LONGEST_NAME = 30
"""Characters of a tensor's name in a table."""


def short_name(name: str) -> str:
    """The end of the first of the names that a fused operator's output has."""
    first = name.partition(";")[0]
    return first if len(first) <= LONGEST_NAME else f"...{first[3 - LONGEST_NAME :]}"


def dimensions(shape: Sequence[int]) -> str:
    """A shape as 1x224x224x3, or scalar."""
    return "x".join(map(str, shape)) or "scalar"

"""What commands share: the console, tables, and errors as one line and exit code 2."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qcore.errors import QCoreError

WIDTH_WITHOUT_TERMINAL = 160


def console() -> Console:
    """Standard output; wide enough for tables where it is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)


def guarded(command: Callable[[], int | None]) -> int:
    """Run a command, which may give an exit code; an error in what it was given becomes one line on standard error and exit code 2."""
    try:
        return command() or 0
    except QCoreError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader (head, less) has gone; nothing more can be shown.
        sys.stderr.close()
    return 0


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


def print_json(value: Any) -> None:
    """Print a value as JSON; NumPy scalars and arrays become numbers and lists."""
    print(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def size(count: int) -> str:
    """A number of bytes for people: 512 B, 13.1 kB, 3.5 MB."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def microseconds(seconds: float) -> str:
    """Seconds as microseconds, with the digits that tell."""
    return f"{seconds * 1e6:.{2 if seconds < 1e-5 else 1 if seconds < 1e-3 else 0}f}"


def dimensions(shape: Sequence[int]) -> str:
    """A shape as 1x224x224x3, or scalar."""
    return "x".join(map(str, shape)) or "scalar"

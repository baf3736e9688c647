"""What commands share: the console, and errors as one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from qcore.errors import QCoreError
from qcore.shown import WIDTH, to_json


def console() -> Console:
    """Standard output; wide enough for tables where it is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


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


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(to_json(value))


def size(count: int) -> str:
    """A number of bytes for people: 512 B, 13.1 kB, 3.5 MB."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def microseconds(seconds: float) -> str:
    """Seconds as microseconds, with the digits that tell."""
    return f"{seconds * 1e6:.{2 if seconds < 1e-5 else 1 if seconds < 1e-3 else 0}f}"

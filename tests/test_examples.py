"""The examples run, and print what their docstrings show."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def shown(name: str) -> list[list[str]]:
    """The lines of output in an example's docstring, in words."""
    text = ast.get_docstring(ast.parse((EXAMPLES / name).read_text())) or ""
    return [line.split() for line in text.splitlines() if line.startswith("    ")]


def test_the_digits_are_quantized_as_the_docstring_says(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "quantize_digits.py"), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split() for line in out.splitlines()] == shown("quantize_digits.py")
    assert len(list(tmp_path.glob("*.tflite"))) == len(out.splitlines()) - 1

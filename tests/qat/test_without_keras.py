"""Keras is optional: only ``qcore.qat`` and ``qcore.from_keras`` know of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_without_keras_qcore_works_and_training_says_what_is_missing() -> None:
    code = (
        "import sys; sys.modules['keras'] = None; import qcore; qcore.quantize_model, qcore.Interpreter\n"
        "try: import qcore.qat\n"
        "except qcore.UnsupportedError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.startswith("qcore.qat: needs Keras 3") and "pip install qcore[qat]" in result.stdout


def test_nothing_else_imports_keras_or_training() -> None:
    for file in (*ROOT.glob("qcore/**/*.py"), *ROOT.glob("kernels/**/*.py"), *ROOT.glob("schema/**/*.py")):
        parts = file.relative_to(ROOT).parts
        if parts[:2] == ("qcore", "qat"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name == "keras" or name.startswith(("keras.", "qcore.qat")) for name in names), file

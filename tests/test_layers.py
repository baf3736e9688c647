"""Imports go one way: no layer imports a later one when it is loaded."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    "errors",
    "shown",
    "numerics",
    "model",
    "schema",
    "kernels",
    "runtime",
    "calibration",
    "quantizer",
    "qat",
    "edit_io",
    "edit",
    "analysis",
    "cli",
)
# Neither reads nor runs the other, so they share a rank.
RANK = {layer: rank for rank, layer in enumerate(LAYERS)} | {"kernels": LAYERS.index("schema"), "run": LAYERS.index("cli")}


def modules() -> list[Path]:
    files = [*ROOT.glob("qcore/**/*.py"), *ROOT.glob("kernels/**/*.py"), *ROOT.glob("schema/**/*.py")]
    return [f for f in files if f.relative_to(ROOT).parts[:2] not in (("qcore", "kernels"), ("qcore", "schema")) and layer(f) in RANK]


def layer(file: Path) -> str:
    parts = file.relative_to(ROOT).parts
    return (parts[1] if parts[0] == "qcore" else parts[0]).removesuffix(".py")


@pytest.mark.parametrize("file", modules(), ids=lambda f: str(f.relative_to(ROOT)))
def test_a_module_imports_only_its_own_layer_and_earlier_ones(file: Path) -> None:
    own = RANK[layer(file)]
    for node in ast.parse(file.read_text()).body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module] if node.module != "qcore" else [f"qcore.{a.name}" for a in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "qcore" and len(parts) > 1 and parts[1] in RANK:
                other = RANK[parts[1]]
                assert other < own or parts[1] == layer(file) or (other == own == RANK["cli"]), f"imports {name}"


def test_import_qcore_loads_no_compiler_nor_tensorflow_nor_the_runtime() -> None:
    code = "import sys, qcore; print([m for m in ('llvmlite', 'numba', 'tensorflow', 'numpy', 'qcore.runtime') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_running_a_model_loads_no_compiler_nor_tensorflow() -> None:
    code = "import sys, qcore.run as r; r.main(['--json']); print([m for m in ('llvmlite', 'numba', 'tensorflow') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip().endswith("[]")


def test_the_commands_and_the_quantizer_start_without_a_compiler() -> None:
    code = "import sys, qcore, qcore.cli.main; qcore.quantize_model; print([m for m in ('llvmlite', 'numba') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_every_package_is_installed() -> None:
    """An installed qcore has no checkout beside it: what pyproject.toml does not list is missing there."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    tops = {"qcore": ROOT / "qcore", "qcore.kernels": ROOT / "kernels", "qcore.schema": ROOT / "schema"}
    found = {
        ".".join((name, *init.parent.relative_to(top).parts))
        for name, top in tops.items()
        for init in top.rglob("__init__.py")
        if name != "qcore" or init.parent.relative_to(top).parts[:1] not in (("kernels",), ("schema",))
    }
    assert sorted(listed) == sorted(found)

"""Test vectors in a folder: an archive or a header for each operator, its manifest, and a README of the folder."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import numpy as np

from qcore.analysis.trace_files import storable
from qcore.analysis.vectors.content import Format, Vectors
from qcore.analysis.vectors.header import header
from qcore.errors import InputError
from qcore.schema.files import write_whole

INTRODUCTION = """# Test vectors

Golden integers of single operators, written by `qcore vectors`. An operator has a file of vectors (`.npz` for NumPy, `.h` for C99) and a
manifest (`.json`) that says what they are: roles, shapes and layouts, scales, which arithmetic, which rounding rule by its equation.

| name | what it is |
|---|---|
| `input`, `filter`, `bias`, `output`, ... | elements of tensors, flat in the order of memory; once for each case, but for constants |
| `accumulator` | sums of the output with bias and zero points, before requantization, once for each case |
| `multiplier`, `shift` | a real factor is `multiplier * 2^(shift - 31)`; shift > 0 is to the left |
| `requantize_scale` | a real factor where the arithmetic requantizes in floating point |
| `reduced_multiplier` | the 15 bits that multiply accumulators of 64 bits |
| `*_zero_point`, `activation_min`, `activation_max` | codes; zero points are subtracted from inputs and added to outputs |
| `pad_top`, `pad_left` | rows and columns before the first; outside of it an input has its zero point |
| `table` | the output for every input code, in the order of the code's bits taken as unsigned: `table[(uint8_t)code]` |
| `vector_width`, `rest_*` | elements of the last axis in whole vectors go by the rule without `rest_`, those left over by the one with it |
| `filter_sums` | sums of the filter less its zero point, for each output channel |

In headers single numbers are macros, in capitals; a tensor has `_size` and `_shape` besides its elements, and `_scale`.
"""


def save(vectors: Iterable[Vectors], folder: str | Path, format: Format) -> list[Path]:
    """Write the vectors of operators; see ``Vectors.save``.

    Raises:
        InputError: there is no such format, or a file cannot be written.
        UnsupportedError: a header cannot hold such elements.
    """
    if format not in get_args(Format):
        raise InputError(f"vectors: format is {format!r}, expected {' or '.join(get_args(Format))}")
    folder, written = Path(folder), []
    try:
        for found in vectors:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{found.name}.{'h' if format == 'c' else 'npz'}"
            if format == "c":
                content = header(found).encode()
            else:
                arrays: dict[str, Any] = {name: storable(array) for name, array in found.arrays.items()}
                archive = io.BytesIO()
                np.savez_compressed(archive, **arrays)
                content = archive.getvalue()
            manifest = json.dumps(found.as_dict() | {"file": path.name}, indent=1) + "\n"
            write_whole("vectors", path, [content])
            write_whole("vectors", folder / f"{found.name}.json", [manifest.encode()])
            written.append(path)
        if written:
            write_whole("vectors", folder / "README.md", [readme(folder).encode()])
    except OSError as error:
        raise InputError(f"vectors: {folder}: {error.strerror}") from error
    return written


def readme(folder: Path) -> str:
    """The text of the README, from the manifests in the folder."""
    manifests = (json.loads(path.read_text()) for path in sorted(folder.glob("op[0-9][0-9][0-9]*_*.json")))
    table = ["| file | operator | arithmetic | rounding | cases |", "|---|---|---|---|---|", *map(row, manifests)]
    return "\n".join([INTRODUCTION, *table, ""])


def row(manifest: dict[str, Any]) -> str:
    """A line of the table of operators."""
    rules = ", ".join(f"{r['rule']}{'' if r['equation'] is None else ' (' + str(r['equation']) + ')'}" for r in manifest["rounding"])
    cells = manifest["file"], manifest["where"], manifest["arithmetic"], rules or "none", ", ".join(manifest["cases"])
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"

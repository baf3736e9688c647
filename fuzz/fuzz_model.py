"""Coverage-guided fuzzing: whatever the bytes are, running them as a model ends in a result or a QCoreError.

usage: pip install atheris && python fuzz/fuzz_model.py CORPUS_FOLDER [-max_total_time=60] [further libFuzzer options]

An empty corpus folder is filled with the bundled model and one of many small operators; add .tflite files of your own. Not part of
the test suite: it has no end of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["qcore"]):
    import qcore
    import qcore.runtime.interpreter
    from qcore.data import __file__ as data


def run(content: bytes) -> None:
    """Load, plan and run the bytes with small limits."""
    try:
        interpreter = qcore.Interpreter(model_content=content, memory_limit=2**26, loop_limit=10)
        interpreter.allocate_tensors()
        interpreter.invoke()
    except qcore.InternalError:
        raise
    except qcore.QCoreError:
        pass


def fill(folder: Path) -> None:
    """Put models into an empty corpus folder: mutation finds little in bytes that are no model."""
    from tests.runtime.test_damaged import movement_model

    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        (folder / "digits.tflite").write_bytes(Path(data).with_name("digits_int8.tflite").read_bytes())
        (folder / "movement.tflite").write_bytes(movement_model())


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    fill(Path(sys.argv[1]))
    atheris.Setup(sys.argv, run)
    atheris.Fuzz()

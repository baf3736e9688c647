"""LiteRT, where it is installed, on the same file and the same inputs, to be timed beside qcore."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from qcore.errors import InputError
from qcore.kernels.opdef import Array


def litert_invoke(path: str, inputs: Sequence[Array], threads: int) -> Callable[[], object]:
    """A function that invokes a LiteRT interpreter with its default kernels, XNNPACK's where these take an operator.

    Args:
        path: of a ``.tflite`` file.
        inputs: elements, in the model's order.
        threads: that it may use.

    Raises:
        InputError: LiteRT is not installed, or cannot run the file.
    """
    try:
        runtime = import_module("ai_edge_litert.interpreter")
    except ImportError:
        raise InputError("--against litert: it is not installed: pip install ai-edge-litert") from None
    try:
        interpreter = runtime.Interpreter(model_content=Path(path).read_bytes(), num_threads=threads)
        for details, array in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.resize_tensor_input(details["index"], array.shape)
        interpreter.allocate_tensors()
        for details, array in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(details["index"], array)
        interpreter.invoke()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"--against litert: {error}") from error
    invoke: Callable[[], object] = interpreter.invoke
    return invoke

"""qcore: the readable, executable specification of TensorFlow Lite quantization.

Reads and writes ``.tflite`` files, quantizes tensors and runs models with the very integers of TensorFlow Lite's kernels, without
TensorFlow. Public names load on first use, so that ``import qcore`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qcore.errors import InputError, InternalError, ModelError, QCoreError, QuantizationError, UnsupportedError

if TYPE_CHECKING:
    from qcore.analysis import Comparison, compare
    from qcore.analysis.evaluation import evaluate
    from qcore.calibration import Statistics, calibrate
    from qcore.keras import from_keras
    from qcore.model import Model
    from qcore.numerics import (
        QuantizedTensor,
        QuantParams,
        choose_params,
        dequantize,
        fake_quantize,
        quantize,
        quantize_multiplier,
        quantize_tensor,
    )
    from qcore.quantizer import Rule, Rules, quantize_model
    from qcore.runtime.interpreter import Interpreter
    from qcore.schema import load, save

__version__ = "0.1.0"

_HOMES = {
    "Model": "qcore.model",
    "QuantParams": "qcore.numerics",
    "QuantizedTensor": "qcore.numerics",
    "choose_params": "qcore.numerics",
    "dequantize": "qcore.numerics",
    "fake_quantize": "qcore.numerics",
    "quantize": "qcore.numerics",
    "quantize_multiplier": "qcore.numerics",
    "quantize_tensor": "qcore.numerics",
    "Rule": "qcore.quantizer",
    "Rules": "qcore.quantizer",
    "quantize_model": "qcore.quantizer",
    "Statistics": "qcore.calibration",
    "calibrate": "qcore.calibration",
    "Comparison": "qcore.analysis",
    "compare": "qcore.analysis",
    "evaluate": "qcore.analysis.evaluation",
    "from_keras": "qcore.keras",
    "Interpreter": "qcore.runtime.interpreter",
    "load": "qcore.schema",
    "save": "qcore.schema",
}

__all__ = [
    "Comparison",
    "InputError",
    "InternalError",
    "Interpreter",
    "Model",
    "ModelError",
    "QCoreError",
    "QuantParams",
    "QuantizationError",
    "QuantizedTensor",
    "Rule",
    "Rules",
    "Statistics",
    "UnsupportedError",
    "calibrate",
    "choose_params",
    "compare",
    "dequantize",
    "evaluate",
    "fake_quantize",
    "from_keras",
    "load",
    "quantize",
    "quantize_model",
    "quantize_multiplier",
    "quantize_tensor",
    "save",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'qcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

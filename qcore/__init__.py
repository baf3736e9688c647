"""qcore: the readable, executable specification of TensorFlow Lite quantization.

Reads and writes ``.tflite`` files, quantizes tensors and runs models with the very integers of TensorFlow Lite's kernels, without
TensorFlow. Public names load on first use, so that ``import qcore`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qcore.errors import InputError, InternalError, ModelError, QCoreError, QuantizationError, UnsupportedError

if TYPE_CHECKING:
    from qcore import edit
    from qcore.analysis import Comparison, compare
    from qcore.analysis.attributing.attribute import attribute
    from qcore.analysis.attributing.calibration import Calibrators, calibrators
    from qcore.analysis.attributing.result import Attribution
    from qcore.analysis.diffing.diff import diff
    from qcore.analysis.diffing.difference import Difference
    from qcore.analysis.evaluation import Evaluation, evaluate
    from qcore.analysis.explaining import Explanation, explain
    from qcore.analysis.identifying.identification import Identification
    from qcore.analysis.identifying.identify import identify
    from qcore.analysis.lint import Lint, lint
    from qcore.analysis.ranging.ranges import ranges
    from qcore.analysis.ranging.result import Ranges
    from qcore.analysis.report import report
    from qcore.analysis.tracing import Trace, trace
    from qcore.analysis.tuning import Tuning, tune
    from qcore.analysis.vectors import Vectors, vectors
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
    "Attribution": "qcore.analysis.attributing.result",
    "attribute": "qcore.analysis.attributing.attribute",
    "Calibrators": "qcore.analysis.attributing.calibration",
    "calibrators": "qcore.analysis.attributing.calibration",
    "Comparison": "qcore.analysis",
    "compare": "qcore.analysis",
    "Evaluation": "qcore.analysis.evaluation",
    "evaluate": "qcore.analysis.evaluation",
    "Explanation": "qcore.analysis.explaining",
    "explain": "qcore.analysis.explaining",
    "report": "qcore.analysis.report",
    "Ranges": "qcore.analysis.ranging.result",
    "ranges": "qcore.analysis.ranging.ranges",
    "Lint": "qcore.analysis.lint",
    "lint": "qcore.analysis.lint",
    "Vectors": "qcore.analysis.vectors",
    "vectors": "qcore.analysis.vectors",
    "Difference": "qcore.analysis.diffing.difference",
    "diff": "qcore.analysis.diffing.diff",
    "Identification": "qcore.analysis.identifying.identification",
    "identify": "qcore.analysis.identifying.identify",
    "Trace": "qcore.analysis.tracing",
    "trace": "qcore.analysis.tracing",
    "Tuning": "qcore.analysis.tuning",
    "tune": "qcore.analysis.tuning",
    "from_keras": "qcore.keras",
    "Interpreter": "qcore.runtime.interpreter",
    "load": "qcore.schema",
    "save": "qcore.schema",
}

__all__ = [
    "Attribution",
    "Calibrators",
    "Comparison",
    "Difference",
    "Evaluation",
    "Explanation",
    "Identification",
    "InputError",
    "InternalError",
    "Interpreter",
    "Lint",
    "Model",
    "ModelError",
    "QCoreError",
    "QuantParams",
    "QuantizationError",
    "QuantizedTensor",
    "Ranges",
    "Rule",
    "Rules",
    "Statistics",
    "Trace",
    "Tuning",
    "UnsupportedError",
    "Vectors",
    "attribute",
    "calibrate",
    "calibrators",
    "choose_params",
    "compare",
    "dequantize",
    "diff",
    "edit",
    "evaluate",
    "explain",
    "fake_quantize",
    "from_keras",
    "identify",
    "lint",
    "load",
    "quantize",
    "quantize_model",
    "quantize_multiplier",
    "quantize_tensor",
    "ranges",
    "report",
    "save",
    "trace",
    "tune",
    "vectors",
]


def __getattr__(name: str) -> Any:
    if name == "edit":  # a module, whose functions are called by its name
        return importlib.import_module("qcore.edit")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'qcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

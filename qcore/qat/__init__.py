"""Quantization-aware training for Keras 3, on any of its backends, to the integers that ship.

    quantized = qcore.qat.quantize_model(model, weight_bits=4)
    qcore.qat.calibrate(quantized, batches)
    quantized.compile(...); quantized.fit(...)
    integer = qcore.qat.export(quantized)
    print(qcore.qat.check(quantized, integer, samples))

The only part of qcore that imports Keras, but for ``qcore.from_keras``. docs/qat.md walks through it.
"""

from __future__ import annotations

from qcore.errors import UnsupportedError

try:
    import keras  # noqa: F401
except ImportError as error:
    raise UnsupportedError(f"qcore.qat: needs Keras 3, which cannot be imported ({error}): pip install qcore[qat]") from error

from qcore.qat.baking import bake
from qcore.qat.calibrating import calibrate
from qcore.qat.checking import Check, OperatorCheck, check
from qcore.qat.exporting import export
from qcore.qat.layers import FakeQuant, QuantizedKernel
from qcore.qat.quantizing import quantize_model

__all__ = ["Check", "FakeQuant", "OperatorCheck", "QuantizedKernel", "bake", "calibrate", "check", "export", "quantize_model"]

"""Quantizing whole models: from a float ``Model`` to a quantized one, as TensorFlow Lite's converter does it."""

from __future__ import annotations

from qcore.quantizer.api import quantize_model
from qcore.quantizer.rules import Rule, Rules

__all__ = ["Rule", "Rules", "quantize_model"]

"""Looking into models: what quantization did to them."""

from __future__ import annotations

from qcore.analysis.comparing import compare
from qcore.analysis.comparison import Comparison, OperatorError, OutputError

__all__ = ["Comparison", "OperatorError", "OutputError", "compare"]

"""How one element of a tensor came about."""

from __future__ import annotations

from qcore.analysis.explaining.element import explain, explain_traced
from qcore.analysis.explaining.explanation import Chain, Explanation

__all__ = ["Chain", "Explanation", "explain", "explain_traced"]

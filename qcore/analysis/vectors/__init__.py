"""Test vectors of single operators, for those who write kernels."""

from __future__ import annotations

from qcore.analysis.vectors.content import Vectors
from qcore.analysis.vectors.making import vectors

__all__ = ["Vectors", "vectors"]

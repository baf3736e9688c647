"""Mixed precision: the types of each operator's weights and activations, chosen by what they cost in bytes and in accuracy."""

from __future__ import annotations

from qcore.analysis.tuning.choosing import tune
from qcore.analysis.tuning.result import Point, Tuning

__all__ = ["Point", "Tuning", "tune"]

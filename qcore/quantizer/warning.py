"""Warnings of ``quantize_model``, which point at the line that called it, however deep the pass is that warns."""

from __future__ import annotations

import sys
import warnings


def warn(message: str) -> None:
    """Warns whoever called into the package."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "qcore":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)

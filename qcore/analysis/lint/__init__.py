"""Whether a model will run where it is meant to: rules of targets, and what breaks them."""

from __future__ import annotations

from qcore.analysis.lint.findings import Finding, Lint
from qcore.analysis.lint.linting import lint

__all__ = ["Finding", "Lint", "lint"]

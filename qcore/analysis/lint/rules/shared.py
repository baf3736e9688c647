"""Rules for models as a whole that several targets have."""

from __future__ import annotations

from collections.abc import Iterator

from qcore.analysis.lint.findings import Finding, Severity
from qcore.analysis.lint.subject import is_dynamic
from qcore.model import Model

FIX_SHAPES = "give inputs fixed shapes before the model is converted"
SHAPE_ARITHMETIC = dict.fromkeys(("SHAPE", "int32"), f"{FIX_SHAPES}, where this computes shapes")
"""What to do about operators and types that compute shapes."""


def dynamic_inputs(target: str, severity: Severity, message: str, model: Model) -> Iterator[Finding]:
    """Inputs whose shape is only known at run time; ``{stored}`` in the message stands for the shape in the file."""
    for number, graph in enumerate(model.subgraphs[:1]):
        for tensor in (graph.tensors[i] for i in graph.inputs):
            if is_dynamic(tensor):
                signature = list(tensor.shape_signature or ())
                found = f"input is {signature}: {message.format(stored=list(tensor.shape))}"
                yield Finding(
                    severity, f"{target}/dynamic-shape", number, None, "", tensor.name, found, FIX_SHAPES, "shape_signature in the file"
                )


def several_subgraphs(target: str, severity: Severity, message: str, model: Model) -> Iterator[Finding]:
    """More than one subgraph, as control flow needs them."""
    if len(model.subgraphs) > 1:
        yield Finding(
            severity, f"{target}/subgraphs", 1, None, "", "", f"the model has {len(model.subgraphs)} subgraphs: {message}", "", ""
        )


def said(target: str, rule: str, severity: Severity, message: str, fix: str, source: str, model: Model) -> Iterator[Finding]:
    """Something that holds for every model."""
    yield Finding(severity, f"{target}/{rule}", 0, None, "", "", message, fix, source)

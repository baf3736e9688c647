"""What a target is made of: a table of operators, rules for them, and rules for the model as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Literal

from qcore.analysis.lint.findings import Finding, Severity
from qcore.analysis.lint.subject import Subject
from qcore.errors import InputError
from qcore.model import Model

Check = Callable[[Subject], str | None]
"""What is wrong with an operator, or None."""

ModelCheck = Callable[[Model], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """A rule that operators keep or break.

    name: without the target's. check: what is wrong. fix: what to do about it.
    severity: where it is not the target's own for an operator that it does not run.
    source: beyond the row's.
    """

    name: str
    check: Check
    fix: str = ""
    severity: Severity | None = None
    source: str = ""


@dataclass(frozen=True)
class Row:
    """An operator that the target runs.

    types: element types of the principal input; none where any will do.
    rules: that the operator must keep.
    source: the symbol or section that says so, where it is not the target's.
    """

    types: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Target:
    """Where a model may run.

    name: on the command line. edition: release that the rules are of. source: document or file that they are from.
    operators: by name; CUSTOM operators by their own.
    rules: that every operator must keep.
    model: checks of the model as a whole.
    unmapped: severity of an operator that the target does not run.
    elsewhere: what becomes of such an operator.
    partitions: "many": the target takes several pieces of a graph; "one": the first alone; None: it runs all or nothing.
    """

    name: str
    edition: str
    source: str
    operators: Mapping[str, Row]
    rules: tuple[Rule, ...] = ()
    model: tuple[ModelCheck, ...] = ()
    unmapped: Severity = "warning"
    elsewhere: str = "it runs on the CPU"
    partitions: Literal["one", "many"] | None = "many"
    fixes: Mapping[str, str] = field(default_factory=dict)


def table(*entries: tuple[str, Row]) -> Mapping[str, Row]:
    """A table of operators, each entry for one or several names."""
    return MappingProxyType({name: row for names, row in entries for name in names.split()})


HOMES = MappingProxyType(
    {"any": "general", "tflm": "tflm", "edgetpu": "edgetpu", "ethos-u": "ethos_u", "nnapi": "nnapi", "gpu-fp16": "gpu_fp16"}
)
"""The module in ``rules`` of each target."""


def target_named(name: str) -> Target:
    """The target of that name.

    Raises:
        InputError: there is none.
    """
    if name not in HOMES:
        raise InputError(f"lint: target is {name!r}, expected one of {', '.join(HOMES)}")
    found: Target = import_module(f"qcore.analysis.lint.rules.{HOMES[name]}").TARGET
    return found

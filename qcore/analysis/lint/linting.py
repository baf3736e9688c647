"""Applying the rules of a target to a model."""

from __future__ import annotations

from collections.abc import Iterator

from qcore.analysis.lint.findings import Finding, Lint, Severity
from qcore.analysis.lint.partitions import partitions
from qcore.analysis.lint.predicates import short
from qcore.analysis.lint.subject import Subject
from qcore.analysis.lint.targets import Rule, Target, target_named
from qcore.errors import QCoreError
from qcore.model import Model
from qcore.schema import load


def lint(model: Model | str | bytes, target: str = "tflm") -> Lint:
    """What of a model will not run on a target, or will run badly.

    Nothing is run or compiled: rules look at types, shapes, options and constants.

    Args:
        model: a Model, path or content.
        target: "tflm", "edgetpu", "ethos-u", "nnapi", "gpu-fp16"; or "any", for rules that hold everywhere.

    Raises:
        InputError: there is no such target.
        ModelError: the file is wrong.
    """
    rules = target_named(target)
    loaded = model if isinstance(model, Model) else load(model)
    findings: list[Finding] = [finding for check in rules.model for finding in check(loaded)]
    mapped: list[set[int]] = []
    for number, graph in enumerate(loaded.subgraphs):
        mapped.append(set())
        for position in range(len(graph.operators)):
            found = [*of_operator(rules, Subject(loaded, number, position))]
            findings += found
            if not any(is_unmapped(rules, finding.severity) for finding in found):
                mapped[-1].add(position)
    pieces = partitions(loaded.subgraphs[0], mapped[0]) if rules.partitions and loaded.subgraphs else []
    if rules.partitions == "one" and pieces:
        findings += left_behind(rules, loaded, pieces)
        mapped[0] = set(pieces[0])
    if rules.partitions and loaded.subgraphs and loaded.subgraphs[0].operators:
        findings += of_partitions(rules, len(pieces))
    operators, count = sum(len(graph.operators) for graph in loaded.subgraphs), sum(map(len, mapped))
    return Lint(rules.name, rules.edition, findings, operators, count, len(pieces) if rules.partitions else None)


def is_unmapped(target: Target, severity: Severity) -> bool:
    """A finding of that severity keeps the target from running the operator."""
    return severity == "error" or (severity == "warning" and target.unmapped == "warning")


def of_operator(target: Target, subject: Subject) -> Iterator[Finding]:
    """What is wrong with one operator; of one of a type that the target does not take, that alone."""

    def finding(rule: Rule, message: str, row_source: str = "") -> Finding:
        output = subject.output
        source = ", ".join(part for part in (target.source, rule.source or row_source) if part)
        where = subject.subgraph, subject.position, subject.name, "" if output is None else output.name
        return Finding(rule.severity or target.unmapped, f"{target.name}/{rule.name}", *where, message, rule.fix, source)

    row = target.operators.get(subject.name)
    if row is None and target.operators:
        fix = target.fixes.get(subject.name, "")
        yield finding(Rule("operator", lambda s: None, fix), f"the target does not have this operator: {target.elsewhere}")
        return
    principal = subject.principal
    if row is not None and row.types and principal is not None and principal.dtype not in row.types:
        fix = target.fixes.get(principal.dtype, "")
        message = f"input {short(principal)} is {principal.dtype}, the target takes {', '.join(row.types)}"
        yield finding(Rule("type", lambda s: None, fix), message, row.source)
        return
    for rule in (*target.rules, *(() if row is None else row.rules)):
        try:
            message_or_none = rule.check(subject)
        except QCoreError as error:
            message_or_none = f"the rule cannot be checked: {error}"
        if message_or_none is not None:
            yield finding(rule, message_or_none, "" if row is None else row.source)


def left_behind(target: Target, model: Model, pieces: list[list[int]]) -> Iterator[Finding]:
    """Operators that the target could run, behind the first piece, which is all that it takes."""
    graph = model.subgraphs[0]
    for position in (p for piece in pieces[1:] for p in piece):
        operator = graph.operators[position]
        output = graph.tensors[operator.outputs[0]].name if operator.outputs else ""
        message = (
            f"comes behind an operator that the target does not run; of a graph in pieces it takes the first alone: {target.elsewhere}"
        )
        yield Finding("warning", f"{target.name}/one-partition", 0, position, operator.name, output, message, "", target.source)


def of_partitions(target: Target, count: int) -> Iterator[Finding]:
    """What the number of pieces means."""
    about = 0, None, "", ""
    if count == 0:
        yield Finding("error", f"{target.name}/nothing", *about, "no operator of the model is one that the target runs", "", target.source)
    elif count > 1 and target.partitions == "many":
        message = f"the graph falls into {count} pieces for the target, with the CPU between them; each change of hands costs time"
        yield Finding("warning", f"{target.name}/partitions", *about, message, "", target.source)

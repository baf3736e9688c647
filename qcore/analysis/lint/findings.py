"""What lint finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.text import Text

from qcore.shown import Shown, spaced, table

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

PLACES = 6
"""Operators that a line names, of all that it is about."""


@dataclass(frozen=True)
class Finding:
    """A rule that a model breaks.

    severity: "error": it will not run there; "warning": it will run elsewhere, as a rule on the CPU, or badly; "note": good to know.
    rule: its name, such as ``ethos-u/stride``.
    subgraph, op: of the operator; op is None where the finding is about the model as a whole.
    operator, tensor: names; "" where there is none.
    message: what was found, and what the target takes.
    fix: what can be done about it; "" where nothing simple can.
    source: where the rule is written down.
    """

    severity: Severity
    rule: str
    subgraph: int
    op: int | None
    operator: str
    tensor: str
    message: str
    fix: str
    source: str


class Lint(Shown, Sequence[Finding]):
    """Findings for a target, the most severe first, in the order of operators.

    target, edition: whose rules, and of which release of it.
    operators: of all subgraphs. mapped: how many of them the target itself runs.
    partitions: pieces that the target is given of the first subgraph, with the CPU between them; None where that is not its way.
    """

    def __init__(self, target: str, edition: str, findings: Sequence[Finding], operators: int, mapped: int, partitions: int | None):
        self.target, self.edition = target, edition
        self.operators, self.mapped, self.partitions = operators, mapped, partitions
        self._findings = sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.subgraph, -1 if f.op is None else f.op))

    def __len__(self) -> int:
        return len(self._findings)

    def __getitem__(self, index: Any) -> Any:
        return self._findings[index]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    @property
    def counts(self) -> dict[Severity, int]:
        """Findings by severity."""
        found = Counter(finding.severity for finding in self._findings)
        return {severity: found[severity] for severity in SEVERITIES}

    @property
    def ok(self) -> bool:
        """Nothing is an error."""
        return not self.counts["error"]

    def of(self, severity: Severity) -> list[Finding]:
        """Findings of that severity."""
        return [finding for finding in self._findings if finding.severity == severity]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "target": self.target,
            "edition": self.edition,
            "operators": self.operators,
            "mapped": self.mapped,
            "partitions": self.partitions,
            "counts": self.counts,
            "findings": [asdict(finding) for finding in self._findings],
        }

    def table(self, full: bool = False) -> RenderableType:
        """A table, and a line that sums up.

        Args:
            full: a line for every finding, with its source; else one for all operators that break a rule likewise.
        """
        groups: dict[tuple[object, ...], list[Finding]] = {}
        for number, finding in enumerate(self):
            alike = (number,) if full else (finding.severity, finding.rule, finding.fix)
            groups.setdefault(alike, []).append(finding)
        columns = ("severity", "rule", "operator", "op", "found", "what to do", *(("source",) if full else ()))
        rows = [_row(alike)[: len(columns)] for alike in groups.values()]
        found = table(f"{self.target}: {self.edition}", columns, rows) if rows else None
        return Group(*spaced((found, Text(self.summary))))

    @property
    def summary(self) -> str:
        """In one line."""
        counts = ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in self.counts.items() if count)
        mapped = f"; {self.mapped} of {self.operators} operators run there" if self.partitions is not None else ""
        pieces = f" in {self.partitions} piece{'' if self.partitions == 1 else 's'}" if self.partitions else ""
        return f"{self.target}: {counts or 'nothing found'}{mapped}{pieces}"


def _row(alike: Sequence[Finding]) -> tuple[str, ...]:
    """A line for findings that are alike: what the first says, and where the others are."""
    first = alike[0]
    places = [f"{f.op}" if f.subgraph == 0 else f"{f.subgraph}:{f.op}" for f in alike if f.op is not None]
    more = f" and {len(places) - PLACES} more" if len(places) > PLACES else ""
    operators = ", ".join(dict.fromkeys(f.operator for f in alike))
    return first.severity, first.rule, operators, " ".join(places[:PLACES]) + more, first.message, first.fix, first.source

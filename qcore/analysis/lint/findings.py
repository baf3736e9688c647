"""What lint finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


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


class Lint(Sequence[Finding]):
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

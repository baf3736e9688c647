"""What an identification found: which arithmetics can have made each tensor of a dump, and which all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from qcore.kernels.opdef import Arithmetic, Array
from qcore.shown import Shown

if TYPE_CHECKING:
    from rich.console import RenderableType

ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)

PROOF = 16
"""Floats that one arithmetic gives to the bit and another does not, from which on they tell the two apart where not both of them are
computed to the last bit: fewer may be chance."""

SHARE, MANY = 16, 256
"""An arithmetic that does not give all floats to the bit is told from one that misses so many times as many, and so many at least."""


@dataclass(frozen=True)
class Mismatch:
    """How far what an arithmetic gives is from what was dumped.

    elements: how many there are. differing: how many are not equal.
    largest: the greatest difference: in steps (codes) of integers; of floats, as part of the dump's greatest magnitude. Infinite where
        shapes differ, or just one of the two is NaN.
    tolerance: how great it may be; more than 0 only of floats, whose last bits depend on processors and compilers.
    sure: qcore computes the last bits as the arithmetic's own kernels do, for all it knows.
    """

    elements: int
    differing: int
    largest: float = 0.0
    tolerance: float = 0.0
    sure: bool = True

    @property
    def equal(self) -> bool:
        """To the bit, but for the signs of zeros."""
        return self.differing == 0

    @property
    def fits(self) -> bool:
        """Equal, or as near as qcore's floats can say."""
        return self.equal or self.largest <= self.tolerance

    @classmethod
    def between(cls, got: Array, dumped: Array, tolerance: float = 0.0, sure: bool = True) -> Mismatch:
        """Of two arrays; tolerance, sure: of floats."""
        if got.shape != dumped.shape or got.dtype != dumped.dtype:
            return cls(dumped.size, dumped.size, np.inf)
        different = np.asarray(got != dumped)
        real = dumped.dtype.kind in "fc"
        if real:
            different &= ~(np.isnan(got) & np.isnan(dumped))
        differing = int(np.count_nonzero(different))
        if not differing:
            return cls(dumped.size, 0, sure=sure or not real)
        if dumped.dtype == object:
            return cls(dumped.size, differing, np.inf)
        wide = np.complex128 if dumped.dtype.kind == "c" else np.float64
        with np.errstate(invalid="ignore"):
            apart = np.abs(got[different].astype(wide) - dumped[different].astype(wide))
        largest = float(np.nan_to_num(apart, nan=np.inf).max())
        if not real:
            return cls(dumped.size, differing, largest)
        magnitude = float(np.abs(dumped[np.isfinite(dumped)]).max(initial=0))
        return cls(dumped.size, differing, largest / max(magnitude, float(np.finfo(np.float32).tiny)), tolerance, sure)


@dataclass(frozen=True)
class Verdict:
    """One tensor of the dump, computed anew from the nearest dumped tensors before it.

    tensor, dtype: its name and element type.
    operators, names: positions and names of the operators that compute it from those, in order.
    kinds: what they are, such as "CONV_2D int8", each once.
    mismatches: by arithmetic.
    note: why there are none.
    """

    tensor: str
    dtype: str
    operators: tuple[int, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    mismatches: Mapping[Arithmetic, Mismatch]
    note: str = ""

    @property
    def fits(self) -> tuple[Arithmetic, ...]:
        """The arithmetics that can have made it."""
        return tuple(arithmetic for arithmetic, mismatch in self.mismatches.items() if mismatch.fits)

    @property
    def tells(self) -> bool:
        """It rules an arithmetic out, or is equal to the bit in some only."""
        return len({(mismatch.fits, mismatch.equal) for mismatch in self.mismatches.values()}) > 1

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        mismatches = {arithmetic: asdict(mismatch) | {"fits": mismatch.fits} for arithmetic, mismatch in self.mismatches.items()}
        return asdict(self) | {"fits": self.fits, "mismatches": mismatches}


@dataclass(frozen=True)
class Identification(Shown):
    """Whose arithmetic made a dump.

    verdicts: of each dumped tensor that operators compute, in the order they run.
    mixture: where no arithmetic fits all: one for each kind of operator that together do, if one was found.
    builds: how kernels are built or run that are nearest, for each arithmetic where they are not the usual ones.
    notes: what else to know.
    """

    verdicts: tuple[Verdict, ...]
    mixture: Mapping[str, Arithmetic] | None = None
    builds: Mapping[Arithmetic, str] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    @property
    def checked(self) -> tuple[Verdict, ...]:
        """Verdicts that were reached."""
        return tuple(verdict for verdict in self.verdicts if verdict.mismatches)

    @property
    def fits(self) -> tuple[Arithmetic, ...]:
        """The arithmetics that can have made it: those that fit every tensor, without any from which the bits of floats tell another."""
        return tuple(a for a in self.candidates if not any(self.beats(b, a) for b in self.candidates))

    @property
    def candidates(self) -> tuple[Arithmetic, ...]:
        """The arithmetics that fit every tensor: integers equal, floats within rounding."""
        return tuple(a for a in ARITHMETICS if self.checked and all(a in verdict.fits for verdict in self.checked))

    @property
    def arithmetic(self) -> Arithmetic | None:
        """The one that made it; None where none fits, or several do and nothing tells them apart.

        One goes before those that fit just as another package is built.
        """
        usual = [a for a in self.fits if a not in self.builds] or self.fits
        return usual[0] if len(usual) == 1 else None

    def beats(self, a: Arithmetic, b: Arithmetic) -> bool:
        """The bits of floats tell that it was a, not b, of two that fit.

        So they do where a gives whole tensors to the bit that b does not, or misses few elements and b a great many; and b gives none
        that a does not.
        """
        pairs = [(verdict.mismatches[a], verdict.mismatches[b]) for verdict in self.checked]
        if any(of_b.equal and not of_a.equal for of_a, of_b in pairs):
            return False
        missed_by_a, missed_by_b = (sum(mismatch.differing for mismatch in mismatches) for mismatches in zip(*pairs, strict=True))
        sure = missed_by_a == 0 and all(mismatch.sure for pair in pairs for mismatch in pair)
        by_b_alone = sum(of_b.differing for of_a, of_b in pairs if of_a.equal)
        return by_b_alone >= (1 if sure else PROOF) or missed_by_b >= max(MANY, SHARE * missed_by_a)

    @property
    def evidence(self) -> str:
        """How many elements are not what each arithmetic gives, where the last bits of floats decide; else nothing."""
        beaten = [a for a in self.candidates if a not in self.fits]
        if not beaten:
            return ""
        missed = {a: sum(verdict.mismatches[a].differing for verdict in self.checked) for a in self.candidates}
        return "told by the last bits of floats; elements that differ: " + ", ".join(f"{a} {missed[a]}" for a in self.candidates)

    @property
    def closest(self) -> Arithmetic | None:
        """The one that fits most tensors; of several, that gives more to the bit; of several, more elements. A hint, no proof."""

        def distance(a: Arithmetic) -> tuple[float, ...]:
            mismatches = [verdict.mismatches[a] for verdict in self.checked]
            apart = sum(m.differing / m.elements for m in mismatches if m.elements)
            return -sum(m.fits for m in mismatches), -sum(m.equal for m in mismatches), apart, sum(m.largest for m in mismatches)

        return sorted(ARITHMETICS, key=distance)[0] if self.checked else None

    @property
    def first_misfit(self) -> Verdict | None:
        """The first tensor that no arithmetic can have made of its inputs."""
        return next((verdict for verdict in self.checked if not verdict.fits), None)

    @property
    def by_kind(self) -> dict[str, tuple[Arithmetic, ...]]:
        """For each kind of operator, the arithmetics that can have made what it alone computes."""
        alone: dict[str, list[Verdict]] = {}
        for verdict in self.checked:
            if len(verdict.kinds) == 1:
                alone.setdefault(verdict.kinds[0], []).append(verdict)
        return {kind: Identification(tuple(verdicts)).fits for kind, verdicts in alone.items()}

    @property
    def conclusion(self) -> str:
        """In one line."""
        if not self.checked:
            return "nothing could be checked"
        if self.arithmetic is not None:
            others = (f"{a} {self.builds[a]}" for a in self.fits if a != self.arithmetic)
            return "; ".join((f"made by {self.arithmetic}", *(f"{other} gives the same numbers" for other in others)))
        if self.fits:
            same = f"{' and '.join(self.fits)} fit alike"
            equal = all(v.mismatches[a].equal for v in self.checked for a in self.fits)
            return (
                f"{same}: they give the same numbers here" if equal else f"{same}, within the rounding of floats; closest is {self.closest}"
            )
        if self.mixture is not None:
            parts = ", ".join(f"{kind} by {arithmetic}" for kind, arithmetic in self.mixture.items())
            return f"made by no single arithmetic; this mixture fits: {parts}"
        return f"no arithmetic fits; closest is {self.closest}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        first = self.first_misfit
        return {
            "conclusion": self.conclusion,
            "arithmetic": self.arithmetic,
            "evidence": self.evidence,
            "fits": self.fits,
            "closest": self.closest,
            "mixture": self.mixture,
            "builds": self.builds,
            "by_kind": self.by_kind,
            "first_misfit": None if first is None else first.as_dict(),
            "verdicts": [verdict.as_dict() for verdict in self.verdicts],
            "notes": self.notes,
        }

    def table(self, everything: bool = False) -> RenderableType:
        """The conclusion, the tensors that it rests on, and what fits each kind of operator.

        Args:
            everything: show the tensors that tell nothing apart, too.
        """
        from qcore.analysis.identifying.text import rendered

        return rendered(self, everything)

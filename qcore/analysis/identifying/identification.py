"""What an identification found: which arithmetics can have made each tensor of a dump, and which all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

import numpy as np

from qcore.kernels.opdef import Arithmetic, Array

ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)

PROOF = 16
"""Floats that one arithmetic gives to the bit and another does not, from which on they tell the two apart: fewer may be chance."""


@dataclass(frozen=True)
class Mismatch:
    """How far what an arithmetic gives is from what was dumped.

    elements: how many there are. differing: how many are not equal.
    largest: the greatest difference: in steps (codes) of integers; of floats, as part of the dump's greatest magnitude. Infinite where
        shapes differ, or just one of the two is NaN.
    tolerance: how great it may be; more than 0 only of floats that qcore does not compute to the last bit.
    """

    elements: int
    differing: int
    largest: float = 0.0
    tolerance: float = 0.0

    @property
    def equal(self) -> bool:
        """To the bit, but for the signs of zeros."""
        return self.differing == 0

    @property
    def fits(self) -> bool:
        """Equal, or as near as qcore's floats can say."""
        return self.equal or self.largest <= self.tolerance

    @classmethod
    def between(cls, got: Array, dumped: Array, tolerance: float = 0.0) -> Mismatch:
        """Of two arrays; tolerance: of floats."""
        if got.shape != dumped.shape or got.dtype != dumped.dtype:
            return cls(dumped.size, dumped.size, np.inf)
        different = np.asarray(got != dumped)
        real = dumped.dtype.kind in "fc"
        if real:
            different &= ~(np.isnan(got) & np.isnan(dumped))
        differing = int(np.count_nonzero(different))
        if not differing:
            return cls(dumped.size, 0)
        if dumped.dtype == object:
            return cls(dumped.size, differing, np.inf)
        wide = np.complex128 if dumped.dtype.kind == "c" else np.float64
        with np.errstate(invalid="ignore"):
            apart = np.abs(got[different].astype(wide) - dumped[different].astype(wide))
        largest = float(np.nan_to_num(apart, nan=np.inf).max())
        if not real:
            return cls(dumped.size, differing, largest)
        magnitude = float(np.abs(dumped[np.isfinite(dumped)]).max(initial=0))
        return cls(dumped.size, differing, largest / max(magnitude, float(np.finfo(np.float32).tiny)), tolerance)


@dataclass(frozen=True)
class Verdict:
    """One tensor of the dump, computed anew from the nearest dumped tensors before it.

    tensor, dtype: its name and element type.
    operators: positions of the operators that compute it from those, in order. kinds: what they are, such as "CONV_2D int8", each once.
    mismatches: by arithmetic.
    note: why there are none.
    """

    tensor: str
    dtype: str
    operators: tuple[int, ...]
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


@dataclass(frozen=True)
class Identification:
    """Whose arithmetic made a dump.

    verdicts: of each dumped tensor that operators compute, in the order they run.
    mixture: where no arithmetic fits all: one for each kind of operator that together do, if one was found.
    notes: what else to know.
    """

    verdicts: tuple[Verdict, ...]
    mixture: Mapping[str, Arithmetic] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def checked(self) -> tuple[Verdict, ...]:
        """Verdicts that were reached."""
        return tuple(verdict for verdict in self.verdicts if verdict.mismatches)

    @property
    def fits(self) -> tuple[Arithmetic, ...]:
        """The arithmetics that fit every tensor."""
        return tuple(a for a in ARITHMETICS if self.checked and all(a in verdict.fits for verdict in self.checked))

    @property
    def arithmetic(self) -> Arithmetic | None:
        """The one that made it; None where none fits, or several do and nothing tells them apart.

        Of several that fit floats, it is the one that gives tensors to the bit which the others do not, and never the other way round.
        """

        def wins(a: Arithmetic, b: Arithmetic) -> bool:
            return self._evidence(a, b) >= PROOF and not self._evidence(b, a)

        return next((a for a in self.fits if all(wins(a, b) for b in self.fits if b != a)), None)

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
        """For each kind of operator, the arithmetics that fit wherever it alone computes a tensor."""
        found: dict[str, tuple[Arithmetic, ...]] = {}
        for verdict in self.checked:
            if len(verdict.kinds) == 1:
                kind = verdict.kinds[0]
                found[kind] = tuple(a for a in found.get(kind, ARITHMETICS) if a in verdict.fits)
        return found

    @property
    def conclusion(self) -> str:
        """In one line."""
        if not self.checked:
            return "nothing could be checked"
        if self.arithmetic is not None:
            return f"made by {self.arithmetic}"
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

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; an infinite difference is null."""

        def plain(mismatch: Mismatch) -> dict[str, Any]:
            largest = mismatch.largest if np.isfinite(mismatch.largest) else None
            return asdict(mismatch) | {"largest": largest, "fits": mismatch.fits}

        def row(verdict: Verdict) -> dict[str, Any]:
            mismatches = {a: plain(m) for a, m in verdict.mismatches.items()}
            return {
                "tensor": verdict.tensor,
                "dtype": verdict.dtype,
                "operators": verdict.operators,
                "kinds": verdict.kinds,
                "fits": verdict.fits,
                "mismatches": mismatches,
                "note": verdict.note,
            }

        first = self.first_misfit
        return {
            "conclusion": self.conclusion,
            "arithmetic": self.arithmetic,
            "fits": self.fits,
            "closest": self.closest,
            "mixture": self.mixture,
            "by_kind": self.by_kind,
            "first_misfit": None if first is None else row(first),
            "verdicts": [row(verdict) for verdict in self.verdicts],
            "notes": self.notes,
        }

    def _evidence(self, a: Arithmetic, b: Arithmetic) -> int:
        """Elements that b does not give to the bit, of tensors that a gives to the bit."""
        return sum(verdict.mismatches[b].differing for verdict in self.checked if verdict.mismatches[a].equal)

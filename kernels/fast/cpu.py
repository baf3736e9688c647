"""What this processor can do, and which of its instructions kernels may use.

Four tiers: "avx512" (VNNI, 512 bits), "avxvnni" (256 bits), "avx2", and "generic", which any processor runs. The best that LLVM
reports is taken; the environment variable QCORE_CPU names a lower one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

from qcore.errors import InputError


@dataclass(frozen=True)
class Tier:
    """A set of instructions.

    lanes: 32-bit numbers in a vector.
    needs: LLVM's names of the features.
    """

    name: str
    lanes: int
    needs: tuple[str, ...]


TIERS = (
    Tier("avx512", 16, ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vbmi", "avx512vnni")),
    Tier("avxvnni", 8, ("avx2", "avxvnni")),
    Tier("avx2", 8, ("avx2",)),
    Tier("generic", 4, ()),
)
"""From the best on."""


@cache
def features() -> dict[str, bool]:
    """What LLVM reports of this processor: by its names of features, whether it has them."""
    return dict(llvm.get_host_cpu_features())


def usable() -> list[Tier]:
    """The tiers that this processor can run, from the best on."""
    return [tier for tier in TIERS if all(features().get(need) for need in tier.needs)]


def tier() -> Tier:
    """The tier to generate code for: what QCORE_CPU names, or the best.

    Raises:
        InputError: there is no such tier, or this processor has not got what it needs.
    """
    choices = {tier.name: tier for tier in usable()}
    name = os.environ.get("QCORE_CPU") or next(iter(choices))
    if name not in choices:
        raise InputError(f"QCORE_CPU: got {name!r}, this processor has {', '.join(choices)}")
    return choices[name]


def target_features(chosen: Tier) -> str:
    """LLVM's list of the features that code of a tier may use: all of this processor's, or those of a lower tier alone."""
    if chosen.name == "generic":
        return ""
    allowed = dict(features())
    for other in TIERS[: TIERS.index(chosen)]:
        allowed |= dict.fromkeys(set(other.needs) - set(chosen.needs), False)
    if chosen.name != "avx512":
        allowed |= {name: False for name in allowed if name.startswith("avx512")}
    return ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(allowed.items()))

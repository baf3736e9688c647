"""What this processor can do, and which of its instructions kernels may use.

On x86-64 the tiers are "avx512" (VNNI, 512 bits), "avxvnni" (256 bits) and "avx2", on aarch64 "i8mm" and "dotprod"; "generic" is what any
processor runs. The best that this one has is taken; the environment variable QCORE_CPU names a lower one.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from qcore.errors import InputError
from qcore.kernels.fast.host import host


@dataclass(frozen=True)
class Tier:
    """A set of instructions.

    family: of the processors, LLVM's name.
    lanes: 32-bit numbers in a vector.
    needs: LLVM's names of the features.
    """

    name: str
    family: str
    lanes: int
    needs: tuple[str, ...]


TIERS = (
    Tier("avx512", "x86_64", 16, ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vbmi", "avx512vnni")),
    Tier("avxvnni", "x86_64", 8, ("avx2", "avxvnni")),
    Tier("avx2", "x86_64", 8, ("avx2",)),
    Tier("i8mm", "aarch64", 4, ("dotprod", "i8mm")),
    Tier("dotprod", "aarch64", 4, ("dotprod",)),
)
"""Those that need what not every processor of their family has; of each family from the best on."""

TOLD_BY_SYSTEM = MappingProxyType(
    {
        "dotprod": (16, 1 << 20, b"hw.optional.arm.FEAT_DotProd"),
        "i8mm": (26, 1 << 13, b"hw.optional.arm.FEAT_I8MM"),
    }
)
"""Features of aarch64 that LLVM does not look for: a word of Linux's auxiliary vector and the bit in it, and macOS's name."""


def generic(family: str) -> Tier:
    """What any processor runs."""
    return Tier("generic", family, 4, ())


@cache
def family() -> str:
    """This processor's."""
    return host().triple.split("-")[0].replace("arm64", "aarch64")


@cache
def features() -> dict[str, bool]:
    """Whether this processor has features, by LLVM's names of them."""
    told = {name: _told(*place) for name, place in TOLD_BY_SYSTEM.items() if family() == "aarch64"}
    return dict(host().features) | told


def _told(word: int, bit: int, name: bytes) -> bool:
    """Whether the system says that there is a feature."""
    try:
        system = ctypes.CDLL(None)
        if sys.platform == "darwin":
            value, size = ctypes.c_int(0), ctypes.c_size_t(4)
            return system.sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)) == 0 and value.value == 1
        return bool(system.getauxval(ctypes.c_ulong(word)) & bit)
    except (OSError, TypeError, AttributeError):  # another system
        return False


def usable() -> list[Tier]:
    """The tiers that this processor can run, from the best on."""
    special = [tier for tier in TIERS if tier.family == family() and all(features().get(need) for need in tier.needs)]
    return [*special, generic(family())]


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
    for higher in TIERS[: TIERS.index(chosen)]:
        if higher.family == chosen.family:
            allowed |= dict.fromkeys(set(higher.needs) - set(chosen.needs), False)
    if chosen.name != "avx512":
        allowed |= {name: False for name in allowed if name.startswith("avx512")}
    return ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(allowed.items()))

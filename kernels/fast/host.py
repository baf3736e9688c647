"""What LLVM says of this processor, kept so that a process that finds its code in the cache need not load LLVM to ask.

The answer is kept under all that it follows from: LLVM's library, the system's kernel, and what that says of the processor, with all
features that it knows. So machines that share a folder, or one whose processor was changed, ask for themselves: an instruction that
a processor lacks would end the process. Where the system does not say as much, LLVM is asked each time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import llvmlite

from qcore.kernels.fast.cache import digest, stored

PROCESSORS = Path("/proc/cpuinfo")
_TELLING = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
"""What it says of a processor of x86-64; of others it says other things."""


class Host(NamedTuple):
    """This processor.

    llvm: version of the LLVM that says so.
    triple: LLVM's name of the target.
    name: LLVM's name of the processor.
    features: whether it has them, by LLVM's names.
    """

    llvm: str
    triple: str
    name: str
    features: Mapping[str, bool]


@cache
def host() -> Host:
    """This processor, as LLVM sees it."""
    known = _known()
    content = _asked() if known is None else stored(f"host_{digest(known.encode()).hex()}", _asked)
    llvm, triple, name, features = content.decode().split("\n")
    return Host(llvm, triple, name, {feature[1:]: feature[0] == "+" for feature in features.split()})


def _asked() -> bytes:
    from qcore.kernels.fast.backend import describe

    llvm, triple, name, features = describe()
    return "\n".join((llvm, triple, name, " ".join(f"{'+' if has else '-'}{one}" for one, has in features.items()))).encode()


def _known() -> str | None:
    """All that LLVM's answer follows from; None where the system does not say enough."""
    try:
        with PROCESSORS.open() as file:
            lines = dict(line.split(":", 1) for line in takewhile(str.strip, file))
    except (OSError, ValueError):
        return None
    said = {name.strip(): value.strip() for name, value in lines.items()}
    if not all(said.get(name) for name in _TELLING):
        return None
    system = os.uname()
    libraries = [path.stat() for path in sorted(Path(llvmlite.__file__).parent.glob("binding/*llvmlite.*"))]
    return repr(
        (
            llvmlite.__version__,
            [(library.st_size, library.st_mtime_ns) for library in libraries],
            (system.sysname, system.release, system.version, system.machine),
            [said[name] for name in _TELLING],
        )
    )

"""From instructions to functions that can be called, kept on disk from one process to the next.

An entry of the cache is named by a digest of everything that it follows from: what was asked for, all of this package's sources, LLVM's
version, the processor and its features. It holds an image (see ``image``), or an object file where there is none.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import llvmlite

from qcore import kernels, numerics
from qcore.kernels.fast.cache import digest, stored
from qcore.kernels.fast.cpu import Tier, target_features
from qcore.kernels.fast.host import host
from qcore.kernels.fast.image import MAGIC, NotFlat, can_load, flattened, loaded
from qcore.kernels.fast.ir import Code

if TYPE_CHECKING:
    from qcore.kernels.fast.backend import Backend


class Kernel(Protocol):
    """What a function is to do: a frozen dataclass whose ``repr`` says all of it."""

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function, but for its end."""


class Compiler:
    """Makes kernels callable; one for each tier is enough, ``compiler`` gives it. Code lives as long as the process."""

    def __init__(self, tier: Tier):
        self.tier = tier
        self._cpu = "" if tier.name == "generic" else host().name
        self._features = target_features(tier)
        versions = llvmlite.__version__, host().llvm, host().triple
        self._identity = repr((sources_digest(), versions, tier, self._cpu, self._features, can_load()))
        self._addresses: dict[Kernel, int] = {}
        self._lock = threading.Lock()

    @cached_property
    def _backend(self) -> Backend:
        """LLVM, loaded when it is needed."""
        from qcore.kernels.fast.backend import Backend

        return Backend(self._cpu, self._features)

    def addresses(self, kernels: Iterable[Kernel]) -> dict[Kernel, int]:
        """The function of each kernel, compiled or fetched from the cache."""
        wanted = dict.fromkeys(kernels)
        with self._lock:
            self._add(wanted)
        return {kernel: self._addresses[kernel] for kernel in wanted}

    def _add(self, wanted: Iterable[Kernel]) -> None:
        images: dict[Kernel, bytes] = {}
        objects: dict[Kernel, bytes] = {}
        for kernel in wanted:
            if kernel not in self._addresses:
                content = stored(self._name(kernel), lambda k=kernel: self._compile(k))  # type: ignore[misc]
                (images if content.startswith(MAGIC) else objects)[kernel] = content
        if images:
            self._addresses |= zip(images, loaded(list(images.values())), strict=True)
        if objects:
            named = {self._name(kernel): content for kernel, content in objects.items()}
            self._addresses |= zip(objects, self._backend.loaded(named), strict=True)

    def _name(self, kernel: Kernel) -> str:
        return f"qcore_{digest(f'{kernel!r} {self._identity}'.encode()).hex()}"

    def _compile(self, kernel: Kernel) -> bytes:
        name = self._name(kernel)
        instructions = kernel.emit(name, self.tier).finish()
        if can_load():
            with suppress(NotFlat):
                return flattened(self._backend.compiled(instructions, movable=True), name)
        return self._backend.compiled(instructions)


_compilers: dict[Tier, Compiler] = {}
_compilers_lock = threading.Lock()


def compiler(tier: Tier) -> Compiler:
    """The compiler of a tier: one for all threads, since its code goes when it does."""
    with _compilers_lock:
        if tier not in _compilers:
            _compilers[tier] = Compiler(tier)
        return _compilers[tier]


@cache
def sources_digest() -> str:
    """Of every source file that generated code may depend on: the kernels, and the maths that they take constants from."""
    sources = (path for package in (kernels, numerics) for folder in package.__path__ for path in Path(folder).rglob("*.py"))
    digest = hashlib.blake2b()
    for source in sorted(sources):
        content = source.read_bytes()
        digest.update(f"{source.name} {len(content)} ".encode() + content)
    return digest.hexdigest()

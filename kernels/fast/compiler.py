"""From instructions to functions that can be called, kept on disk from one process to the next.

An entry of the cache is an object file, named by a digest of everything that it follows from: what was asked for, all of this package's
sources, LLVM's version, the processor and its features. It begins with a digest of itself, so that a damaged one is made anew; it is
written beside its place and moved there, so that processes that make the same one at a time do not disturb each other.

The folder is QCORE_CACHE, or ``qcore`` in the user's cache folder; QCORE_CACHE=off keeps nothing.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Protocol

import llvmlite
import llvmlite.binding as llvm

from qcore import kernels, numerics
from qcore.kernels.fast.cpu import Tier, target_features
from qcore.kernels.fast.ir import Code

_DIGEST = 32


class Kernel(Protocol):
    """What a function is to do: a frozen dataclass whose ``repr`` says all of it."""

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function, but for its end."""


class Compiler:
    """Makes kernels callable; one for each tier is enough, ``compiler`` gives it. Code lives as long as the process."""

    def __init__(self, tier: Tier):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.tier = tier
        target = llvm.Target.from_default_triple()
        cpu = "" if tier.name == "generic" else llvm.get_host_cpu_name()
        features = target_features(tier)
        self._machine = target.create_target_machine(cpu=cpu, features=features, opt=3, jit=True)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self._machine)
        self._identity = repr((sources_digest(), llvmlite.__version__, llvm.llvm_version_info, tier, cpu, features))
        self._addresses: dict[Kernel, int] = {}
        self._lock = threading.Lock()

    def addresses(self, kernels: Iterable[Kernel]) -> dict[Kernel, int]:
        """The function of each kernel, compiled or fetched from the cache."""
        wanted = dict.fromkeys(kernels)
        with self._lock:
            self._add(wanted)
        return {kernel: self._addresses[kernel] for kernel in wanted}

    def _add(self, wanted: Iterable[Kernel]) -> None:
        missing = {kernel: self._name(kernel) for kernel in wanted if kernel not in self._addresses}
        for kernel, name in missing.items():
            content = stored(name, lambda k=kernel, n=name: self._compile(k.emit(n, self.tier)))  # type: ignore[misc]
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(content))
        if missing:
            self._engine.finalize_object()
        for kernel, name in missing.items():
            self._addresses[kernel] = self._engine.get_function_address(name)

    def _name(self, kernel: Kernel) -> str:
        return f"qcore_{hashlib.blake2b(f'{kernel!r} {self._identity}'.encode(), digest_size=_DIGEST).hexdigest()}"

    def _compile(self, code: Code) -> bytes:
        module = llvm.parse_assembly(code.finish())
        module.verify()
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_unrolling = False
        options.loop_vectorization = False
        options.slp_vectorization = False
        builder = llvm.create_pass_builder(self._machine, options)
        builder.getModulePassManager().run(module, builder)
        return bytes(self._machine.emit_object(module))


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


def cache_folder() -> Path | None:
    """Where object files are kept; None where nowhere."""
    chosen = os.environ.get("QCORE_CACHE")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "qcore"
    except RuntimeError:  # no home
        return None


def stored(name: str, make: Callable[[], bytes]) -> bytes:
    """The content of that name from the cache; made, and put there if that can be, where it is missing or damaged."""
    folder = cache_folder()
    if folder is None:
        return make()
    path = folder / f"{name}.o"
    try:
        entry = path.read_bytes()
    except OSError:
        entry = b""
    content = entry[_DIGEST:]
    if entry and entry[:_DIGEST] == _digest(content):
        return content
    content = make()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(_digest(content) + content)
        Path(file.name).replace(path)
    except OSError:
        return content  # a cache that cannot be written costs time alone
    return content


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()

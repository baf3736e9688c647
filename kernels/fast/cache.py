"""What is kept on disk from one process to the next, so that it need not be made again.

An entry begins with a digest of its name and content, so that a damaged or foreign one is made anew; it is written beside its place
and moved there, so that processes that make the same one at a time do not disturb each other.

The folder is QCORE_CACHE, or ``qcore`` in the user's cache folder; QCORE_CACHE=off keeps nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_DIGEST = 32


def digest(content: bytes) -> bytes:
    """Tells this content from any other."""
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()


def cache_folder() -> Path | None:
    """Where entries are kept; None where nowhere."""
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
    path = folder / name
    try:
        entry = path.read_bytes()
    except OSError:
        entry = b""
    content = entry[_DIGEST:]
    if entry[:_DIGEST] == _seal(name, content):
        return content
    content = make()
    with suppress(OSError):  # a cache that cannot be written costs time alone
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, _seal(name, content) + content)
    return content


def _write(path: Path, entry: bytes) -> None:
    """Put an entry in its place, whole or not at all."""
    temporary = path.with_name(f".{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(entry)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _seal(name: str, content: bytes) -> bytes:
    return digest(name.encode() + content)

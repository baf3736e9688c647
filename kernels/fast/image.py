"""Machine code as one piece that runs wherever it lies, so that a process that finds its code in the cache needs no LLVM.

An image is an object file laid out in advance: its sections one after another, and each distance between them written where it is
used. All that is left to fill in is where two functions of the C library are, which code calls through the image's header. An object
that asks for more (another processor's, another format, other functions, memory to write to) has no image; LLVM loads it.

The header is 64 bytes: MAGIC; int64, where the function begins; the addresses of CALLED; for each of these a jump to it.

Source: System V Application Binary Interface, AMD64 supplement, section 4.4 (relocation); ELF-64 Object File Format 1.5.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Sequence
from functools import cache
from struct import Struct
from types import MappingProxyType
from typing import NamedTuple

MAGIC = b"qcorex64"
CALLED = MappingProxyType({"memcpy": ctypes.memmove, "memset": ctypes.memset})
"""What code may call of the C library."""

_ALIGNMENT = 64
_HEADER = Struct("<8s3q8s8s16x")
_JUMPS = {name: 32 + 8 * i for i, name in enumerate(CALLED)}
_JUMP = b"\xff\x25" + (-22).to_bytes(4, "little", signed=True)
"""jmp *-22(%rip): to the address that lies 16 bytes before the jump, which is 6 bytes long."""

_FILE, _SECTION, _SYMBOL, _RELOCATION = Struct("<16sHHIQQQIHHHHHH"), Struct("<IIQQQQIIQQ"), Struct("<IBBHQQ"), Struct("<QIIq")
_LITTLE_ENDIAN_64, _RELOCATABLE, _X86_64 = b"\x7fELF\x02\x01\x01", 1, 62
_CONTENT, _SYMBOLS, _RELOCATIONS, _UNWINDING = 1, 2, 4, 0x70000001
_WRITTEN, _LOADED = 1, 2
_PC32, _PLT32 = 2, 4


class NotFlat(Exception):
    """Raised for an object that has no image, with the reason."""


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def flattened(code: bytes, function: str) -> bytes:
    """The image of an object file that LLVM wrote, for the function of that name.

    Raises:
        NotFlat: it has none.
    """
    identity, kind, machine, *fields = _FILE.unpack_from(code) if len(code) >= _FILE.size else (b"", 0, 0)
    if not identity.startswith(_LITTLE_ENDIAN_64) or (kind, machine) != (_RELOCATABLE, _X86_64):
        raise NotFlat("it is no object file in ELF for x86-64")
    table, count = fields[3], fields[9]
    sections = [_Section(*_SECTION.unpack_from(code, table + i * _SECTION.size)) for i in range(count)]
    image = bytearray(_HEADER.size)
    places: dict[int, int] = {}
    for i, section in enumerate(sections):
        if section.flags & _LOADED and section.size and section.type != _UNWINDING:
            if section.type != _CONTENT or section.flags & _WRITTEN or section.alignment > _ALIGNMENT:
                raise NotFlat(f"section {i} is not just to be read and run")
            image += bytes(-len(image) % section.alignment)
            places[i] = len(image)
            image += _content(code, section)
    symbols = _symbols(code, sections, places)
    for relocations in sections:
        if relocations.type == _RELOCATIONS and relocations.info in places:
            for offset, kind, number, addend in _RELOCATION.iter_unpack(_content(code, relocations)):
                name, target = symbols[number]
                if kind not in (_PC32, _PLT32) or target is None:
                    raise NotFlat(f"a relocation of type {kind} to '{name}'")
                place = places[relocations.info] + offset
                image[place : place + 4] = (target + addend - place).to_bytes(4, "little", signed=True)
    entry = dict(symbols)[function]
    _HEADER.pack_into(image, 0, MAGIC, entry, 0, 0, _JUMP, _JUMP)
    return bytes(image)


def _content(code: bytes, section: _Section) -> bytes:
    return code[section.offset : section.offset + section.size]


def _symbols(code: bytes, sections: Sequence[_Section], places: dict[int, int]) -> list[tuple[str, int | None]]:
    """Name of each symbol, and its place in the image where it has one."""
    (table,) = (section for section in sections if section.type == _SYMBOLS)
    names = _content(code, sections[table.link])
    symbols = []
    for at, _, _, section, value, _ in _SYMBOL.iter_unpack(_content(code, table)):
        name = names[at : names.index(0, at)].decode()
        symbols.append((name, places[section] + value if section in places else _JUMPS.get(name)))
    return symbols


def loaded(images: Sequence[bytes]) -> list[int]:
    """The functions of images: they are copied to memory that can be run once it can no longer be written, and stays for good.

    Raises:
        OSError: the system refuses.
    """
    places, size = [], 0
    for image in images:
        places.append(size)
        size += -(-len(image) // _ALIGNMENT) * _ALIGNMENT
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    base = library.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if base in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "no memory for code")
    addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in CALLED.values()]
    functions = []
    for place, image in zip(places, images, strict=True):
        entry = _HEADER.unpack_from(image)[1]
        header = _HEADER.pack(MAGIC, entry, *addresses, _JUMP, _JUMP)
        ctypes.memmove(base + place, header + image[_HEADER.size :], len(image))
        functions.append(base + place + entry)
    if library.mprotect(base, size, mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "memory cannot be made to run")
    return functions


@cache
def can_load() -> bool:
    """Whether this is a system whose objects have images, and it lets a process run what it has written."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return False
    try:
        loaded([_HEADER.pack(MAGIC, 0, 0, 0, _JUMP, _JUMP)])
    except OSError:
        return False
    return True

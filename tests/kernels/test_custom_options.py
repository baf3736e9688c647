"""Options of custom operators: numbers of every kind, and bytes that are damaged."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers

from qcore.errors import ModelError, QCoreError
from qcore.kernels.custom_options import CustomOptions, custom_options
from qcore.kernels.opdef import Node

VALUES: dict[str, Any] = {"a": 3, "b": -2.75, "c": True, "d": None, "e": "7", "f": 2**40, "g": [1, 2], "h": {"a": 1}}


def options(data: bytes) -> CustomOptions:
    return custom_options(Node("OP", "OP (op 0)", (), (), custom_options=data))


def test_numbers_by_name() -> None:
    read = options(bytes(flexbuffers.Dumps(VALUES)))
    assert [read.real(name) for name in "abcde"] == [3, -2.75, 1, 0, 7]
    assert [read.integer(name) for name in "abc"] == [3, -2, 1]
    assert [read.real(name, 9) for name in ("d", "none of them", "")] == [9, 9, 9]


def test_what_is_no_number_is_refused() -> None:
    read = options(bytes(flexbuffers.Dumps(VALUES | {"e": "seven", "i": float("nan")})))
    with pytest.raises(ModelError, match=r"^OP \(op 0\): option e cannot be read"):
        read.real("e")
    for name in "fi":
        with pytest.raises(ModelError, match=f"option {name} is .*, expected an int32"):
            read.integer(name)


@pytest.mark.parametrize("data", [b"", b"\x00", b"no options at all", bytes(flexbuffers.Dumps([1, 2])), bytes(flexbuffers.Dumps(1))])
def test_what_is_no_map_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        options(data).real("a")


def test_damaged_bytes_raise_nothing_else() -> None:
    """Every byte of a map replaced by some others; many bytes at random; and cut short."""
    whole, rng = bytes(flexbuffers.Dumps(VALUES)), np.random.default_rng(0)
    damaged = [whole[:i] + bytes([b]) + whole[i + 1 :] for i in range(len(whole)) for b in (0, 1, 0x7F, 0x80, 0xFF)]
    damaged += [whole[:i] for i in range(len(whole))] + [rng.bytes(n) for n in range(3, 60)]
    for data in damaged:
        for name in "abh":
            with contextlib.suppress(QCoreError):
                assert isinstance(options(data).real(name), float)

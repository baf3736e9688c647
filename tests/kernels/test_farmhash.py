"""Fingerprint64: values as FarmHash itself gives them; the tests against TensorFlow go through every length."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels.farmhash import fingerprint64


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"", 0x9AE16A3B2F90404F),
        (b"a", 0xB3454265B6DF75E3),
        (b"qcore", 0x5CB7B99DE99016CC),
        (b"x" * 40, 0xEBF8E8AEAC993C94),
        (b"y" * 200, 0x0804E01E145D93B4),
    ],
)
def test_known_values(text: bytes, wanted: int) -> None:
    strings = np.frombuffer(text * 3, np.uint8).reshape(3, -1) if text else np.zeros((3, 0), np.uint8)
    assert fingerprint64(strings).tolist() == [wanted] * 3


def test_no_strings() -> None:
    for length in (0, 3, 7, 12, 30, 60, 100):
        assert fingerprint64(np.zeros((0, length), np.uint8)).shape == (0,)

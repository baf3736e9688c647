"""The C library's functions: against the one of this machine, where that is GNU's, and against mathematics."""

from __future__ import annotations

import ctypes
import platform

import numpy as np
import pytest

from qcore.kernels import library_functions as functions

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.uniform(-110, 95, 2000), RNG.normal(size=2000), [0, 1, -1, 22, 21.9, 0.25, -104, 1e-9, 0.3465736, 1.0397207]])
X = X.astype(np.float32)


def own(name: str, x: np.ndarray) -> np.ndarray:
    """This machine's function, number by number."""
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split("."))) < (2, 28):
        pytest.skip("the C library is not GNU's, or an old one")
    if name in ("tanhf", "expm1f") and tuple(map(int, version.split("."))) > (2, 40):
        pytest.skip(f"{name} of this C library is a newer one")
    function = getattr(ctypes.CDLL("libm.so.6"), name)
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return np.array([function(float(each)) for each in x], np.float32)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "expm1"])
def test_functions_are_this_machine_s_to_the_bit(name: str) -> None:
    x = np.abs(X) + np.float32(1e-20) if name == "log" else X[np.abs(X) < 80] if name == "expm1" else X
    np.testing.assert_array_equal(getattr(functions, name)(x), own(f"{name}f", x))


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "expm1"])
def test_functions_are_near(name: str) -> None:
    x = np.abs(X) + np.float32(1e-20) if name == "log" else X[np.abs(X) < 80]
    np.testing.assert_allclose(getattr(functions, name)(x), getattr(np, name)(x.astype(np.float64)), rtol=4e-7, atol=1e-7)


def test_the_logistic_function_ends_at_zero_and_one() -> None:
    assert functions.logistic(np.float32([-200, -9, 0, 17])).tolist() == [0, np.float32(1) / (1 + np.exp(np.float32(9))), 0.5, 1]

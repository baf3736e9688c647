"""Native functions that call others: the form that all of them have."""

from __future__ import annotations

import ctypes

from qcore.kernels.fast.ir import FUNCTION, I64, POINTER, Code, Value

NATIVE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
"""Address of the arguments, thread, threads."""


def run_call(code: Code, calls: Value, i: Value, thread: Value) -> None:
    """Run a thread's part of the call of that number.

    calls: address of pairs of int64, each the addresses of a function and of its arguments.
    """
    b, call = code.builder, code.at(calls, code.multiply(i, 16))
    function = b.inttoptr(code.load(I64, call, 0, 8), FUNCTION.as_pointer())
    b.call(function, [b.inttoptr(code.load(I64, call, 8, 8), POINTER), thread, code.threads])

"""Native calls in the order they run, and the functions that run them.

A call is a kernel and its arguments. The loop over calls is native too, so that a whole model is one call from Python, which lets
other Python threads run meanwhile. Threads share every call, and begin the next when all of it is done (see ``team``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.calls import NATIVE, run_call
from qcore.kernels.fast.compiler import Kernel, compiler
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import Code
from qcore.kernels.fast.team import Team, team


class Arguments(NamedTuple):
    """Of the loop over calls: address of pairs of int64, each the address of a function and of its arguments; how many."""

    calls: int
    call_count: int


@dataclass(frozen=True)
class Loop:
    """The kernel that runs calls one after another, in one thread."""

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function."""
        code = Code(name, Arguments)
        with code.loop(0, code["call_count"]) as i:
            run_call(code, code.pointer("calls"), i, code.thread)
        return code


@dataclass(frozen=True)
class Call:
    """A kernel, its arguments, and the arrays whose addresses these hold, which must live as long."""

    kernel: Kernel
    arguments: NamedTuple
    keep: tuple[NDArray[Any], ...] = ()


class Program:
    """Calls ready to run.

    Args:
        calls: in order.
        tier: whose instructions to use.
        threads: that share the work.
    """

    def __init__(self, calls: Sequence[Call], tier: Tier, threads: int = 1):
        addresses = compiler(tier).addresses([Loop(), *(call.kernel for call in calls)])
        self._arguments = [np.array(call.arguments, np.int64) for call in calls]
        self._keep = [call.keep for call in calls]
        pairs = [(addresses[call.kernel], array.ctypes.data) for call, array in zip(calls, self._arguments, strict=True)]
        self._calls = np.array(pairs, np.int64).reshape(-1, 2)
        self._loop = np.array(Arguments(self._calls.ctypes.data, len(calls)), np.int64)
        self._function, self._address = NATIVE(addresses[Loop()]), self._loop.ctypes.data
        self._team: Team | None = team(threads, tier) if threads > 1 else None

    def run(self) -> None:
        """Run every call; in this thread alone where other programs keep the others busy."""
        if self._team is None or not self._team.run(self._loop):
            self._function(self._address, 0, 1)

"""Where an operator runs: what its lowering sees of it, and the memory that it may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.memory import aligned_bytes
from qcore.kernels.opdef import Array, Step


class NotCovered(Exception):
    """Raised by a lowering for what it does not do, with the reason: the step then runs on NumPy."""


class Scratch:
    """Memory for what calls leave to the calls of the same operator; the next operator may have it again."""

    def __init__(self) -> None:
        self._memory = aligned_bytes(0)

    def take(self, size: int) -> NDArray[np.uint8]:
        """So many bytes, at an address that is a multiple of ALIGNMENT, with SLACK around them."""
        if size > self._memory.size:
            self._memory = aligned_bytes(size)
        return self._memory[:size]


@dataclass(frozen=True)
class Site:
    """One planned operator.

    step: what the reference would run.
    inputs: their memory, in the arena or a constant's; None for an input left out.
    outputs: their memory.
    constant: which inputs are constants.
    in_arena: which inputs lie in the arena, so that a little may be read beyond their ends.
    tier: whose instructions to use.
    scratch: memory for one piece of work.
    threads: that share the work.
    exact: every bit is to be the reference's, of floats too whose sums NumPy takes in an order of its own.
    """

    step: Step
    inputs: tuple[Array | None, ...]
    outputs: tuple[Array, ...]
    constant: tuple[bool, ...]
    in_arena: tuple[bool, ...]
    tier: Tier
    scratch: Scratch
    threads: int = 1
    exact: bool = False

    @property
    def params(self) -> Any:
        """Of the step."""
        return self.step.params

    def input(self, index: int) -> Array:
        """The memory of an input that there is."""
        array = self.inputs[index]
        assert array is not None
        return array

    def readable(self, index: int) -> Array:
        """An input that kernels may read a little beyond; a copy of a constant, which callers keep."""
        x = self.input(index)
        if self.in_arena[index]:
            return x
        self.require(self.constant[index], f"input {index} is a variable")
        copy = aligned_bytes(x.nbytes).view(x.dtype).reshape(x.shape)
        copy[...] = x
        return copy

    def require(self, condition: bool, otherwise: str) -> None:
        """Leave the operator to NumPy unless the condition holds.

        Raises:
            NotCovered: it does not.
        """
        if not condition:
            raise NotCovered(otherwise)

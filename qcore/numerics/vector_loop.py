"""Loops of vector instructions, which leave the last few elements to ordinary ones that round differently.

TensorFlow Lite's builtin kernels for x86-64 are such loops in places: so the same value may come out as two codes, by where it lies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Elementwise = Callable[..., NDArray[Any]]


@dataclass(frozen=True, eq=False)
class VectorLoop:
    """One function for the elements in full vectors along the last axis, another for those left over.

    width: elements that the loop takes at a time.
    vectors, rest: functions of elements of one array or several, with results of one type in an array of their own.
    """

    width: int
    vectors: Elementwise
    rest: Elementwise

    def __call__(self, *inputs: NDArray[Any]) -> NDArray[Any]:
        """Each element's value; inputs have one shape, and so has the result."""
        left_over = inputs[0].shape[-1] % self.width
        result = self.vectors(*inputs)
        if left_over:
            result[..., -left_over:] = self.rest(*(x[..., -left_over:] for x in inputs))
        return result

    def part(self, place: int, length: int) -> tuple[Elementwise, int]:
        """The function for one of so many elements along the last axis, and the element's place among those that it is called with."""
        first_left_over = length - length % self.width
        return (self.vectors, place) if place < first_left_over else (self.rest, place - first_left_over)


def along_memory(loop: VectorLoop, *inputs: NDArray[Any]) -> NDArray[Any]:
    """The loop over all elements in the order of memory, as if they had one axis."""
    return loop(*(x.reshape(-1) for x in inputs)).reshape(inputs[0].shape)

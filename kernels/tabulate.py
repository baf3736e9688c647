"""A function of one code, computed ahead for every code of its type, so that running it is a look-up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from qcore.kernels.opdef import Array, Operand, Step
from qcore.numerics.lookup_table import look_up
from qcore.numerics.vector_loop import Elementwise, VectorLoop, along_memory


def unary_step(kernel: Callable[[Any, Array], Array], params: Any, input: Operand) -> Step:
    """The step of a kernel that maps each element of its one input by itself.

    Integers of 8 bits run as a table, and those of 16 bits where the tensor has more elements than the table.
    """
    step, storage = Step(kernel, params, (input.shape,)), input.storage
    if storage.kind in "iu" and (storage.itemsize == 1 or (storage.itemsize == 2 and math.prod(input.shape) > 1 << 16)):
        codes = np.arange(1 << (8 * storage.itemsize), dtype=f"u{storage.itemsize}").view(storage)
        return Step(look_up, kernel(params, codes), step.shapes, tabulated=step)
    return step


def vector_step(width: int, vectors: Step, rest: Step) -> Step:
    """The step of a vector loop over all elements in the order of memory, made of two that map each element by itself."""
    alone = Step(along_memory, VectorLoop(width, elementwise(untabulated(vectors)), elementwise(untabulated(rest))), vectors.shapes)
    return replace(alone, params=VectorLoop(width, elementwise(vectors), elementwise(rest)), tabulated=alone)


def untabulated(step: Step) -> Step:
    """What a step's table was made of, or the step itself."""
    return step.tabulated or step


def elementwise(step: Step) -> Elementwise:
    """What a step makes of its one input."""
    return cast(Elementwise, partial(step.kernel, step.params))

"""An operator's error taken apart: one substitution after the other leads from the float operator to the quantized one.

Each substitution changes the result, and the changes add up to the error, since every one begins where the one before ended. A part's share
is its inner product with the whole error over that error's square: the shares add up to 1, and what two parts have in common goes to both
alike. A negative share is that of a part which works against the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.opdef import Array
from qcore.model import Tensor
from qcore.numerics.affine import dequantize
from qcore.runtime.real_values import parameters

Part = Literal["input", "clipping", "weights", "bias", "requantization"]
PARTS: tuple[Part, ...] = get_args(Part)

MEANINGS = MappingProxyType(
    {
        "input": "inputs rounded to codes; in the model as a whole, whatever is wrong with them",
        "clipping": "inputs and outputs cut off at the ends of their ranges",
        "weights": "constants rounded to codes",
        "bias": "the bias rounded to codes",
        "requantization": "the output rounded to codes, and the integer arithmetic that leads there",
    }
)

Stages = Sequence[tuple[Part, Array]]
"""What is substituted, and the result after it."""


@dataclass
class SplitSums:
    """Sums over all elements so far.

    squares: float64[parts], of each part squared. products: float64[parts], of each times the whole error. total: of that squared.
    """

    count: int = 0
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(PARTS)))
    products: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(PARTS)))
    total: float = 0.0

    def add(self, start: Array, stages: Stages) -> None:
        """Take up a sample: the float operator's result, and those after each substitution, the last of which is the quantized one's.

        Elements that are not finite throughout are left out.
        """
        results = [np.asarray(values, np.float64).reshape(-1) for values in (start, *(values for _, values in stages))]
        finite = np.logical_and.reduce([np.isfinite(values) for values in results])
        results = [values[finite] for values in results]
        errors = np.zeros((len(PARTS), results[0].size))
        for (part, _), before, after in zip(stages, results, results[1:], strict=False):
            errors[PARTS.index(part)] += after - before
        whole = results[-1] - results[0]
        self.count += whole.size
        self.squares += np.einsum("pe,pe->p", errors, errors)
        self.products += errors @ whole
        self.total += float(whole @ whole)

    def result(self) -> Split:
        """The parts."""
        shares = self.products / self.total if self.total else self.products
        rms = np.sqrt(self.squares / max(self.count, 1))
        return Split(
            (self.total / max(self.count, 1)) ** 0.5,
            dict(zip(PARTS, shares.tolist(), strict=True)),
            dict(zip(PARTS, rms.tolist(), strict=True)),
        )


@dataclass(frozen=True)
class Split:
    """The parts of an error, by ``Part``.

    rmse: root of the mean square of the whole error, real units.
    shares: of its square; they add up to 1, or are all 0 where there is no error.
    rms: root of the mean square of each part by itself, real units.
    """

    rmse: float
    shares: dict[Part, float]
    rms: dict[Part, float]


def clipped(tensor: Tensor, real: Array) -> Array:
    """Real values cut off at the ends of a tensor's range; as they are where it has none, or one for each channel."""
    params = parameters(tensor)
    if params is None or not params.per_tensor or real.dtype.kind != "f":
        return real
    low, high = dequantize(np.array([params.quantized_min, params.quantized_max]), params)
    return np.clip(real, low, high)

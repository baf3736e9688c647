"""What each way to find ranges would cost each tensor, from one recording of calibration, beside the ranges that a quantized model has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qcore.analysis.comparing import SideBySide
from qcore.calibration import Choice, Method, Statistics
from qcore.errors import InputError
from qcore.model import Model, Tensor
from qcore.numerics.affine import dequantize
from qcore.runtime.plan import Settings
from qcore.runtime.real_values import parameters


@dataclass(frozen=True)
class TensorCosts:
    """What ranges cost one tensor.

    index, tensor: number and name in the float model.
    dtype: of the codes that the quantized model has for it. count: values seen.
    present: what the quantized model's own range costs.
    choices: what each method's costs.
    """

    index: int
    tensor: str
    dtype: str
    count: int
    present: Choice
    choices: dict[Method, Choice]

    @property
    def best(self) -> Method:
        """The method that costs least; of equals the first."""
        return min(self.choices, key=lambda method: self.choices[method].mean_squared_error)

    def excess_db(self, choice: Choice) -> float:
        """How much more than the best a range costs, in dB: 6 are one bit."""
        least = self.choices[self.best].mean_squared_error
        return 10 * math.log10(choice.mean_squared_error / least) if least and choice.mean_squared_error else 0.0


def calibrators(float_model: Model, quantized_model: Model, statistics: Statistics, signature: str | None = None) -> list[TensorCosts]:
    """What each method would have cost every tensor of the float model that the quantized one holds as codes, with one scale.

    Costs are expected squared errors of rounding and clipping, by the histograms of the statistics.

    Raises:
        InputError: the statistics are of another model, or hold no samples; the models do not correspond.
    """
    statistics.check(float_model)
    if not statistics.samples:
        raise InputError("calibrators: these statistics hold no samples, just the least and the greatest values")
    pair = SideBySide(float_model, quantized_model, signature, "raise", Settings())
    found = []
    for value, counterpart in pair.pairs.of_a.items():
        codes = next((t for i in pair.quantized.flow.forms[counterpart] if (t := pair.quantized.graph.tensors[i]).dtype != "float32"), None)
        ends = None if codes is None else real_ends(codes)
        known = statistics.tensors.get((pair.float.subgraph, value))
        if codes is not None and ends is not None and known is not None and known.count:
            key = pair.float.subgraph, value
            present, choices = statistics.cost(*key, ends, codes.dtype), statistics.choices(*key, codes.dtype)
            found.append(TensorCosts(value, known.name, codes.dtype, known.count, present, choices))
    return sorted(found, key=lambda row: row.index)


def real_ends(tensor: Tensor) -> tuple[float, float] | None:
    """The ends of a tensor's range, where it has one scale."""
    params = parameters(tensor)
    if params is None or not params.per_tensor:
        return None
    low, high = dequantize([params.quantized_min, params.quantized_max], params).tolist()
    return low, high


def mean_excess_db(rows: Sequence[TensorCosts], method: Method) -> float:
    """What a method costs more than the best, in dB, the mean over tensors."""
    return sum(row.excess_db(row.choices[method]) for row in rows) / len(rows) if rows else 0.0

"""What each way to find ranges would cost each tensor, from one recording of calibration, beside the ranges that a quantized model has."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from typing import Any, get_args

from rich.console import RenderableType

from qcore.analysis.comparing import SideBySide
from qcore.calibration import Choice, Method, Statistics
from qcore.calibration.calibrating import read_model
from qcore.errors import InputError
from qcore.model import Model, Tensor
from qcore.numerics.affine import dequantize
from qcore.runtime.plan import Settings
from qcore.runtime.real_values import parameters
from qcore.shown import Shown, short_name, table


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


@dataclass(frozen=True)
class Calibrators(Shown):
    """What each way to find ranges costs a quantized model.

    tensors: by number in the float model.
    """

    tensors: tuple[TensorCosts, ...]

    def mean_excess_db(self, method: Method | None = None) -> float:
        """What a method, or None the present ranges, cost more than the best, in dB: the mean over tensors."""
        rows = self.tensors
        return sum(row.excess_db(row.present if method is None else row.choices[method]) for row in rows) / max(len(rows), 1)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"tensors": [asdict(row) | {"best": row.best} for row in self.tensors]}

    def table(self) -> RenderableType:
        """A line for each tensor, and their mean."""
        methods = get_args(Method)
        columns = ("tensor", "codes", "best RMSE", "by", "present", *methods, "clipped by the best")
        cells = [
            (
                short_name(row.tensor),
                row.dtype,
                f"{row.choices[row.best].mean_squared_error ** 0.5:.3g}",
                row.best,
                f"{row.excess_db(row.present):+.1f}",
                *(f"{row.excess_db(row.choices[method]):+.1f}" for method in methods),
                f"{row.choices[row.best].clipped:.3%}",
            )
            for row in self.tensors
        ]
        means = (f"{self.mean_excess_db(method):+.1f}" for method in (None, *methods))
        cells.append(("mean", "", "", "", *means, ""))
        what = "squared error of quantizing them, by each calibrator and as the model is at present, in dB over the best"
        return table(f"{len(self.tensors)} tensors: {what}", columns, cells, ("best RMSE", "present", *methods, "clipped by the best"))


def calibrators(
    float_model: Model | str | os.PathLike[str] | bytes,
    quantized_model: Model | str | os.PathLike[str] | bytes,
    statistics: Statistics,
    signature: str | None = None,
) -> Calibrators:
    """What each method would have cost every tensor of the float model that the quantized one holds as codes, with one scale.

    Costs are expected squared errors of rounding and clipping, by the histograms of the statistics.

    Args:
        float_model: a ``Model``, a path or a file's bytes.
        quantized_model: likewise.
        statistics: of the float model, with samples; ``Statistics.load`` reads a file of them.
        signature: whose subgraphs; None for the first ones.

    Raises:
        InputError: the statistics are of another model, or hold no samples; the models do not correspond.
    """
    models = read_model(float_model), read_model(quantized_model)
    statistics.check(models[0])
    if not statistics.samples:
        raise InputError("calibrators: these statistics hold no samples, just the least and the greatest values")
    pair = SideBySide(*models, signature, "raise", Settings())
    found = []
    for value, counterpart in pair.pairs.of_a.items():
        codes = next((t for i in pair.quantized.flow.forms[counterpart] if (t := pair.quantized.graph.tensors[i]).dtype != "float32"), None)
        ends = None if codes is None else real_ends(codes)
        known = statistics.tensors.get((pair.float.subgraph, value))
        if codes is not None and ends is not None and known is not None and known.count:
            key = pair.float.subgraph, value
            present, choices = statistics.cost(*key, ends, codes.dtype), statistics.choices(*key, codes.dtype)
            found.append(TensorCosts(value, known.name, codes.dtype, known.count, present, choices))
    return Calibrators(tuple(sorted(found, key=lambda row: row.index)))


def real_ends(tensor: Tensor) -> tuple[float, float] | None:
    """The ends of a tensor's range, where it has one scale."""
    params = parameters(tensor)
    if params is None or not params.per_tensor:
        return None
    low, high = dequantize([params.quantized_min, params.quantized_max], params).tolist()
    return low, high

"""``Statistics``: what calibration has seen of a model, and the ranges that follow from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np

from qcore.calibration.clipping import Distribution, squared_error
from qcore.calibration.observers import Method, check_method, find_range
from qcore.calibration.outliers import Outlier, find_outlier
from qcore.calibration.statistics_file import Contents, pack, read_file, unpack
from qcore.calibration.tensor_statistics import NEVER, Range, TensorStatistics
from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.model import Model, Quantization, Tensor
from qcore.numerics.params import quantized_type
from qcore.schema.files import write_whole

Key = tuple[int, int]


@dataclass(frozen=True)
class Choice:
    """What one method makes of a tensor.

    min, max: its range, float32 numbers in real units.
    clipped: part of the values beyond it, to a histogram bin's width.
    mean_squared_error: expected of quantizing all values with that range widened to contain 0, real units squared.
    """

    min: float
    max: float
    clipped: float
    mean_squared_error: float


@dataclass(eq=False)
class Statistics:
    """What was seen of a model's tensors on sample data.

    Its size does not depend on how many samples there were. Statistics of parts of the data merge into those of the whole: in any order
    and grouping the result is the same, to the last bit. One recording serves every method: set ``method``, or name one in ``range``.

    method: how ``range`` finds ranges. percentile: of method "percentile".
    samples: how many there were.
    tensors: by numbers of subgraph and tensor, what was seen of each float32 tensor that is not constant.

    Raises:
        InputError: no such method, or no such percentile.
    """

    method: Method = "minmax"
    percentile: float = 99.99
    samples: int = 0
    tensors: dict[Key, TensorStatistics] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_method(self.method, self.percentile)

    def observe(
        self, sample: int, subgraph: int, tensors: Mapping[int, Tensor], values: Mapping[int, Array], overwritten: Mapping[int, int]
    ) -> None:
        """Take up values that a sample led to.

        Args:
            sample: its number, not less than those before.
            subgraph: where they were computed.
            tensors: that subgraph's tensors that are calibrated, by number.
            values: values of any of its tensors, by number.
            overwritten: by number of an output, the input that TensorFlow Lite writes it over.
        """
        for index, array in values.items():
            if index in tensors:
                key = subgraph, index
                if key not in self.tensors:
                    self.tensors[key] = TensorStatistics(tensors[index].name)
                ends = self.tensors[key].observe(sample, array)
                if ends is not None and index in overwritten:
                    self.tensors[subgraph, overwritten[index]].overwrite(*ends)

    def merge(self, other: Statistics) -> Statistics:
        """The statistics of everything that either has seen; both stay as they are.

        Raises:
            InputError: their methods differ, or they are of different models.
        """
        if (self.method, self.percentile) != (other.method, other.percentile):
            raise InputError(f"merging statistics: got methods {self.method} {self.percentile} and {other.method} {other.percentile}")
        merged: dict[Key, TensorStatistics] = {}
        for key, tensor in [*self.tensors.items(), *other.tensors.items()]:
            merged[key] = merged.get(key, TensorStatistics(tensor.name)).merged(tensor)
        return Statistics(self.method, self.percentile, self.samples + other.samples, merged)

    def range(self, subgraph: int, tensor: int, dtype: str = "int8", method: Method | None = None) -> Range | None:
        """The range to quantize a tensor with; not yet widened to contain 0.

        Args:
            subgraph: its number in the model that was calibrated.
            tensor: its number in the subgraph.
            dtype: element type of the codes to come; it matters to "entropy" and "mse" only.
            method: instead of the statistics' own.

        Returns:
            Lower and upper end, float32 numbers in real units; None where no finite value was seen.

        Raises:
            InputError: no such method or type, or one that needs more than the least and greatest value, which is all there is.
        """
        known = self.tensors.get((subgraph, tensor))
        chosen = method or self.method
        check_method(chosen, self.percentile)
        if known is None or not known.has_range:
            return None
        if not known.count and chosen != "minmax":
            raise InputError(
                f"tensor {tensor} '{known.name}' of subgraph {subgraph}: method {chosen!r} needs samples, "
                "these statistics hold just the least and the greatest value"
            )
        return find_range(known, chosen, self.percentile, dtype)

    def choices(self, subgraph: int, tensor: int, dtype: str = "int8") -> dict[Method, Choice]:
        """What every method would choose for a tensor, and what that costs; empty where no finite value was seen.

        Raises:
            InputError: a type without codes, or statistics without samples.
        """
        found: dict[Method, Choice] = {}
        for method in get_args(Method):
            ends = self.range(subgraph, tensor, dtype, method)
            if ends is None:
                break
            found[method] = self.cost(subgraph, tensor, ends, dtype)
        return found

    def cost(self, subgraph: int, tensor: int, ends: Range, dtype: str = "int8") -> Choice:
        """What quantizing a tensor that was seen with some range costs.

        Raises:
            InputError: a type without codes, or statistics without samples.
        """
        known = self.tensors[subgraph, tensor]
        if not known.count:
            raise InputError(f"tensor {tensor} '{known.name}' of subgraph {subgraph}: these statistics hold no samples of it")
        low, high = min(ends[0], 0.0), max(ends[1], 0.0)
        values = Distribution.of(known)
        error = squared_error(values, low, high, (1 << quantized_type(dtype).bits) - 1)
        return Choice(*ends, values.beyond(low, high) / known.count, error / known.count)

    def outliers(self, factor: float = 2.0) -> list[Outlier]:
        """Samples that make a tensor's range at least so many times wider than the others do, the worst first.

        Only the few most extreme samples of each tensor are known, and at most a quarter of all samples counts as outliers.

        Raises:
            InputError: factor is not over 1.
        """
        if not factor > 1:
            raise InputError(f"outliers: factor is {factor!r}, expected a number over 1")
        found = (find_outlier(key, tensor, self.samples, factor) for key, tensor in self.tensors.items() if tensor.count)
        return sorted((o for o in found if o is not None), key=lambda o: (-o.factor, o.subgraph, o.tensor))

    def report(self, factor: float = 2.0) -> str:
        """Lines for people: tensors with NaN or infinities, and outliers; each names tensor and samples."""
        lines = [f"{self.samples} samples, {len(self.tensors)} tensors"]
        for (subgraph, index), t in sorted(self.tensors.items()):
            if t.first_nonfinite != NEVER:
                lines.append(
                    f"tensor '{t.name}' (subgraph {subgraph}, tensor {index}): {t.nan} NaN and {t.infinite} infinite values left out, "
                    f"first in sample {t.first_nonfinite}"
                )
        return "\n".join([*lines, *map(str, self.outliers(factor))])

    def check(self, model: Model) -> None:
        """Refuse statistics of another model.

        Raises:
            InputError: the model has no tensor of that number and name.
        """
        for (subgraph, index), known in self.tensors.items():
            tensors = model.subgraphs[subgraph].tensors if subgraph < len(model.subgraphs) else []
            name = tensors[index].name if index < len(tensors) else None
            if name != known.name:
                raise InputError(
                    f"statistics of another model: they have a tensor {index} '{known.name}' in subgraph {subgraph}, "
                    + ("the model has none of that number" if name is None else f"in the model it is '{name}'")
                )

    @classmethod
    def from_model(cls, model: Model) -> Statistics:
        """The ranges that a model's float32 tensors carry, as those of a file that TensorFlow's calibrator wrote.

        They know the least and the greatest value only: nothing but method "minmax" can use them.
        """
        tensors = {}
        for subgraph, graph in enumerate(model.subgraphs):
            for index, t in enumerate(graph.tensors):
                q = t.quantization
                if is_calibrated(t) and q is not None and q.min.size == q.max.size == 1 and not q.scale.size:
                    low, high = float(q.min[0]), float(q.max[0])
                    if np.isfinite([low, high]).all() and low <= high:
                        tensors[subgraph, index] = TensorStatistics(t.name, minimum=low, maximum=high)
        return cls(tensors=tensors)

    def to_model(self, model: Model) -> Model:
        """A copy of the model whose tensors carry their ranges, as a file that TensorFlow's calibrator wrote.

        Raises:
            InputError: these are statistics of another model.
        """
        self.check(model)
        graphs = [replace(graph, tensors=[replace(tensor) for tensor in graph.tensors]) for graph in model.subgraphs]
        for subgraph, index in self.tensors:
            ends = self.range(subgraph, index)
            if ends is not None:
                low, high = np.array(ends, np.float32)[:, np.newaxis]
                graphs[subgraph].tensors[index].quantization = Quantization(min=low, max=high)
        return replace(model, subgraphs=graphs)

    def to_bytes(self) -> bytes:
        """The contents of a file; equal statistics give equal bytes. ``qcore.calibration.statistics_file`` describes it."""
        return pack(Contents(self.method, self.percentile, self.samples, self.tensors))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file.

        Raises:
            InputError: it cannot be written.
        """
        write_whole("statistics", path, [self.to_bytes()])

    @classmethod
    def load(cls, source: str | os.PathLike[str] | bytes) -> Statistics:
        """The statistics in a file.

        Args:
            source: a path, or the file's contents.

        Raises:
            InputError: it cannot be read, is no such file, or is damaged.
        """
        contents = unpack(source if isinstance(source, bytes) else read_file(source))
        return cls(contents.method, contents.percentile, contents.samples, contents.tensors)


def is_calibrated(tensor: Tensor) -> bool:
    """Calibration looks at it: it is float32 and not constant.

    Source: tflite/tools/optimize/calibration/calibrator.cc#GetLoggableTensorIndices.
    """
    return tensor.dtype == "float32" and not tensor.is_constant

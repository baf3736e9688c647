"""Test vectors of one operator, and what a manifest says of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import RenderableType

from qcore.analysis.vectors.parameters import Number, Told
from qcore.kernels.opdef import Arithmetic, Array
from qcore.model import Tensor
from qcore.shown import Shown, dimensions, short_name, table

Format = Literal["npz", "c"]


ACCUMULATOR = "sums with bias and zero points, before requantization"


@dataclass(frozen=True, eq=False)
class Member:
    """A tensor of the operator: its role (``input``, ``filter``, ``output``), and what the file says of it.

    layout: of its axes, where they have names: "NHWC", "OHWI".
    elements: of a constant, [...]; of any other, those of every case: [cases, ...].
    """

    role: str
    tensor: Tensor
    layout: str
    is_constant: bool
    elements: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return self.elements.shape if self.is_constant else self.elements.shape[1:]

    def describe(self) -> dict[str, Any]:
        """For the manifest."""
        q = self.tensor.quantization
        quantized = q is not None and q.scale.size > 0
        return {
            "role": self.role,
            "tensor": self.tensor.name,
            "dtype": self.tensor.dtype,
            "shape": list(self.shape),
            "layout": self.layout,
            "constant": self.is_constant,
            "scale": q.scale.tolist() if quantized and q is not None else [],
            "zero_point": q.zero_point.tolist() if quantized and q is not None else [],
            "quantized_dimension": q.quantized_dimension if quantized and q is not None and q.scale.size > 1 else None,
        }


@dataclass(frozen=True, eq=False)
class Vectors(Shown):
    """Everything that a kernel needs to compute one operator, and what must come out.

    operator, position: in the first subgraph. where: as messages name it.
    kernel: what computes it in qcore.
    cases: what each is, by name, in the order of arrays.
    members: inputs and outputs.
    told: packed parameters by name.
    accumulator: int32 | int64[cases, ...], of the first output before requantization; None where there is not one for each element.
    """

    operator: str
    position: int
    where: str
    kernel: str
    arithmetic: Arithmetic
    options: Mapping[str, Any]
    cases: Mapping[str, str]
    members: tuple[Member, ...]
    told: Told
    accumulator: Array | None

    @property
    def name(self) -> str:
        """Of its files, and what C identifiers begin with: op007_conv_2d."""
        return f"op{self.position:03d}_{re.sub(r'[^a-z0-9]+', '_', self.operator.lower()).strip('_')}"

    @functools.cached_property
    def parameters(self) -> dict[str, Number]:
        """Packed parameters by name: integers, and float factors where the arithmetic has such."""
        return self.told.numbers

    def __getitem__(self, role: str) -> Array:
        """Elements of a tensor by its role, or an array of parameters, or ``accumulator``."""
        return self.arrays[role]

    @functools.cached_property
    def arrays(self) -> dict[str, Array]:
        """All arrays by name: tensors by role, parameters, and ``accumulator``."""
        arrays = {member.role: member.elements for member in self.members}
        arrays.update({name: np.asarray(number) for name, number in self.parameters.items()})
        return arrays if self.accumulator is None else arrays | {"accumulator": self.accumulator}

    @property
    def rounding(self) -> str:
        """The rules that accumulators are rounded by."""
        return ", ".join(rule.name + ("" if rule.equation is None else f" ({rule.equation})") for rule in self.told.rules)

    def table(self) -> RenderableType:
        """A line for each array."""
        rows: list[tuple[object, ...]] = [
            (
                m.role,
                m.elements.dtype,
                dimensions(m.shape),
                m.layout,
                "all" if m.is_constant else len(self.cases),
                short_name(m.tensor.name),
            )
            for m in self.members
        ]
        for name, array in ((name, np.asarray(number)) for name, number in self.parameters.items()):
            rows.append((name, array.dtype, dimensions(array.shape), "", "all", array if array.ndim == 0 else ""))
        if self.accumulator is not None:
            rows.append(("accumulator", self.accumulator.dtype, dimensions(self.accumulator.shape[1:]), "", len(self.cases), ""))
        title = f"{self.operator} (op {self.position}), {self.arithmetic} arithmetic" + (f": {self.rounding}" if self.rounding else "")
        return table(title, ("array", "type", "shape", "layout", "cases", "tensor or value"), rows, ("cases",))

    def as_dict(self) -> dict[str, Any]:
        """The manifest: what the arrays are, as plain data for JSON."""
        small = {name: np.asarray(number) for name, number in self.parameters.items()}
        return {
            "name": self.name,
            "operator": self.operator,
            "position": self.position,
            "where": self.where,
            "kernel": self.kernel,
            "arithmetic": self.arithmetic,
            "rounding": [{"rule": r.name, "equation": r.equation, "parameters": list(r.parameters)} for r in self.told.rules],
            "equations": "docs/quantization.md of qcore",
            "options": {key: value if isinstance(value, int | float) else str(value) for key, value in self.options.items()},
            "cases": dict(self.cases),
            "tensors": [member.describe() for member in self.members],
            "accumulator": None if self.accumulator is None else {"dtype": str(self.accumulator.dtype), "holds": ACCUMULATOR},
            "parameters": {n: a.item() if a.ndim == 0 else {"dtype": str(a.dtype), "shape": list(a.shape)} for n, a in small.items()},
            "functions": self.told.functions,
        }

    def save(self, folder: str | Path, format: Format = "npz") -> Path:
        """Write the vectors, their manifest, and the folder's README.

        Args:
            folder: made where there is none.
            format: "npz": ``<name>.npz``, arrays by name; "c": ``<name>.h``, a header of C99.

        Returns:
            The file.

        Raises:
            InputError: there is no such format, or a file cannot be written.
            UnsupportedError: a header cannot hold such elements.
        """
        from qcore.analysis.vectors.files import save

        return save([self], folder, format)[0]

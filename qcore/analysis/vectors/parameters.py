"""Every number that a prepared operator computes with, by name: read off its step's params, none of it computed again."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np

from qcore.kernels.common import Window
from qcore.kernels.opdef import Array, Step
from qcore.kernels.products import PackedFilter
from qcore.numerics.fixed_point import DoubleRounding, ReducedMultiplier, Requantizer
from qcore.numerics.lookup_table import look_up
from qcore.numerics.shifting import RightRounding
from qcore.numerics.vector_loop import VectorLoop

Number = int | float | np.generic | Array

RENAMED = {
    ("QuantizedOutput", "zero_point"): "output_zero_point",
    ("qcore.kernels.depthwise.Geometry", "multiplier"): "depth_multiplier",
    ("qcore.kernels.conv.Geometry", "depth"): "group_depth",
    ("Float32Rounding", "scale"): "requantize_scale",
    ("Float64Rounding", "scale"): "requantize_scale",
    ("Rows", "count"): "rows",
}
"""Fields whose own name says too little outside of their class."""

PACKED = frozenset({"taps", "matrix"})
"""Fields that hold a filter again, in another order."""

ALONG = {"height": ("h", "top"), "width": ("w", "left")}
"""How names of a window's parameters end, by its axis."""


@dataclass(frozen=True)
class Rule:
    """How accumulators are rounded.

    name: of the class in qcore.numerics. equation: its number in docs/quantization.md, where it has one.
    parameters: that belong to it.
    """

    name: str
    equation: int | None
    parameters: tuple[str, ...]


@dataclass
class Told:
    """What there is to tell of some params: numbers by name, functions by what they are for, rounding rules."""

    numbers: dict[str, Number] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)

    def prefixed(self, prefix: str) -> Told:
        """The same, all names beginning with the prefix."""
        return Told(
            {prefix + name: number for name, number in self.numbers.items()},
            {prefix + name: function for name, function in self.functions.items()},
            [Rule(rule.name, rule.equation, tuple(prefix + name for name in rule.parameters)) for rule in self.rules],
        )

    def add(self, other: Told) -> None:
        """Take in another's."""
        self.numbers.update(other.numbers)
        self.functions.update(other.functions)
        self.rules.extend(other.rules)


def tell(step: Step) -> Told:
    """The parameters of a step. A look-up has its table, and what the table was made of where that is known."""
    told = Told() if step.tabulated is None else tell(step.tabulated)
    told.add(tell_value("table" if step.kernel is look_up else "params", step.params))
    return told


def tell_value(name: str, value: object) -> Told:
    """What a params object is made of; name: of the field that it is the value of."""
    if isinstance(value, int | float | np.generic) or (isinstance(value, np.ndarray) and value.dtype != object):
        return Told({name: value})
    if isinstance(value, PackedFilter):
        return Told({"filter_sums": value.sums})
    if isinstance(value, Mapping):
        return Told({f"{name}_{key}": item for key, item in value.items()})
    if isinstance(value, VectorLoop):
        told = Told({"vector_width": value.width})
        told.add(tell_value(name, value.vectors))
        told.add(tell_value(name, value.rest).prefixed("rest_"))
        return told
    if isinstance(value, partial):
        arguments = zip(inspect.signature(value.func).parameters, value.args, strict=False)
        told = joined((f"{key}_", tell_value(key, item)) for key, item in arguments)
        return told if told.numbers else Told(functions={name: value.func.__name__})
    if is_dataclass(value):
        return tell_fields(value)
    if callable(value) and not isinstance(value, type):
        return Told(functions={name: getattr(value, "__name__", type(value).__name__)})
    return Told()


def tell_fields(value: Any) -> Told:
    """What a dataclass is made of: its fields' own names, or behind the name of the field that holds them where two would be alike."""
    kind = type(value)
    told = joined((f"{f.name}_", tell_field(value, f.name)) for f in fields(value) if f.name not in PACKED)
    if isinstance(value, ReducedMultiplier):
        told.numbers["reduced_multiplier"] = value.reduced
    if isinstance(value, Requantizer | RightRounding):
        equation = DoubleRounding.equation if isinstance(value, RightRounding) else value.equation
        told.rules.append(Rule(kind.__name__, equation, tuple(told.numbers)))
    elif callable(value) and not told.rules:
        told.rules.append(Rule(kind.__name__, None, tuple(told.numbers)))
    return told


def tell_field(value: Any, name: str) -> Told:
    """What one field of a dataclass holds."""
    item, kind = getattr(value, name), type(value)
    if isinstance(item, Window):
        return tell_window(name, item, getattr(value, "taps", None))
    return tell_value(RENAMED.get((kind.__name__, name)) or RENAMED.get((f"{kind.__module__}.{kind.__name__}", name), name), item)


def tell_window(axis: str, along: Window, taps: tuple[slice, slice] | None) -> Told:
    """A window along an axis; taps: of the filter that it is left with, where those that only meet padding were taken off."""
    end, before = ALONG[axis]
    numbers: dict[str, Number] = {f"stride_{end}": along.stride, f"dilation_{end}": along.dilation}
    first = 0 if taps is None else taps[tuple(ALONG).index(axis)].start
    numbers[f"pad_{before}"] = along.pad_before + first * along.dilation
    if taps is None:
        numbers[f"filter_{axis}"] = along.size
    return Told(numbers)


def joined(parts: Iterator[tuple[str, Told]]) -> Told:
    """Several in one; those of their names that are the same begin with the prefix that comes with each."""
    listed = list(parts)
    counts = Counter(name for _, told in listed for name in (*told.numbers, *told.functions))
    result = Told()
    for prefix, told in listed:
        alike = any(counts[name] > 1 for name in (*told.numbers, *told.functions))
        result.add(told.prefixed(prefix) if alike else told)
    return result

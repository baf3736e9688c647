"""What is explained: one element of an operator's output, the tensors that it comes from, and the lines that lead to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from qcore.errors import InternalError
from qcore.kernels.common import float_activation_range
from qcore.kernels.opdef import Array, Node, Operand, Shape
from qcore.numerics.derivation import Line, decimal, exactly, rounded
from qcore.numerics.dtypes import element_type


@dataclass(frozen=True)
class Tensor:
    """A tensor's part in an element.

    number: the index that symbols have for it: "1" is the input, "2" the filter or second input, "b" the bias, "3" the output.
    scale, zero_point: those of the element's channel; None where the tensor is not quantized.
    """

    number: str
    role: str
    name: str
    dtype: str
    shape: Shape
    scale: np.float32 | None = None
    zero_point: int | None = None


@dataclass(frozen=True, eq=False)
class Products:
    """The products that an element sums up.

    input, filter: [products, rank], which elements meet.
    input_values, filter_values: these, codes less their zero point where they are quantized.
    """

    input: Array
    filter: Array
    input_values: Array
    filter_values: Array

    @property
    def values(self) -> Array:
        """int64 or float64[products], exact."""
        wide = np.int64 if self.input_values.dtype.kind in "iu" else np.float64
        return np.multiply(self.input_values, self.filter_values, dtype=wide)


@dataclass(frozen=True, eq=False)
class Case:
    """One element of an operator's output in one arithmetic, and all that went into it.

    node: the operator as it was prepared. kernel, params: what computed the element; not the table that may stand for it.
    inputs: elements of the operator's inputs. output: which output the element is of.
    element: its place in it; shape: the output's.
    value: what the kernel gave.
    """

    node: Node
    kernel: Callable[..., Any]
    params: Any
    inputs: tuple[Array | None, ...]
    output: int
    element: tuple[int, ...]
    shape: Shape
    value: Any

    def tensor(self, number: str, role: str, operand: Operand, place: tuple[int, ...] | None = None) -> Tensor:
        """A tensor's part; place: of the element of it, for scales per channel."""
        q = operand.quantization
        if q is None or q.scale.size == 0 or operand.dtype == "float32":
            return Tensor(number, role, operand.name, operand.dtype, operand.shape)
        axis = q.quantized_dimension
        channel = place[axis] if q.scale.size > 1 and place is not None and axis < len(place) else 0
        zero_point = 0 if q.zero_point.size == 0 else int(q.zero_point[channel if q.zero_point.size > 1 else 0])
        return Tensor(number, role, operand.name, operand.dtype, operand.shape, q.scale[channel], zero_point)

    @property
    def kernel_name(self) -> str:
        """Where the kernel stands: module and function."""
        function: Any = self.kernel
        while isinstance(function, partial):
            function = function.func
        return f"{function.__module__.removeprefix('qcore.')}.{function.__qualname__}"

    @property
    def result(self) -> Tensor:
        """The output's part."""
        return self.tensor("3", "output", self.node.outputs[self.output], self.element)

    def array(self, index: int) -> Array:
        """An input that is there."""
        array = self.inputs[index]
        if array is None:
            raise InternalError(f"{self.node.where}: input {index} is left out, but the kernel took it")
        return array

    def aligned(self, index: int) -> tuple[int, ...]:
        """The element of an input that meets this one, where inputs broadcast."""
        shape = self.array(index).shape
        return tuple(0 if size == 1 else place for size, place in zip(shape, self.element[len(self.element) - len(shape) :], strict=True))


@dataclass(frozen=True)
class Real:
    """What the element would be in real numbers, of the real values of all codes and of infinite precision.

    formula: how it comes about.
    approximate: it is taken in float64, for want of a rational number.
    bounds: of the fused activation.
    """

    formula: str
    value: Fraction
    approximate: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def lines(self, output: Tensor) -> list[Line]:
        """How that becomes a code of the output."""
        lines = [Line("r", self.formula + (" (float64)" if self.approximate else ""), self.value)]
        low, high = self.bounds
        value = exactly(low) if self.value < low else exactly(high) if self.value > high else self.value
        if value != self.value:
            lines.append(Line("r'", f"within [{low:g}, {high:g}]", value))
        if output.scale is None or output.zero_point is None or output.scale == 0:
            return lines
        name = lines[-1].symbol
        steps = rounded("R", f"{name} / S3", value / exactly(output.scale), "away from zero", 2)
        kind = element_type(output.dtype)
        return [*lines, steps, clamped(int(steps.value), output.zero_point, kind.quantized_min, kind.quantized_max)]


@dataclass(frozen=True, eq=False)
class Derivation:
    """How one element came about.

    lines: the last one's value is the element that the kernel gave.
    tensors: that take part, but for the output.
    real: None where real numbers play no part.
    products: of a weighted operator.
    expected, close: of a float that the lines do not give to the bit: what it is near, and how near at least.
    """

    lines: list[Line]
    tensors: tuple[Tensor, ...]
    real: Real | None = None
    products: Products | None = None
    expected: float | None = None
    close: float = 0.0


Explainer = Callable[[Case], Derivation]


def clamped(steps: int, zero_point: int, least: int, greatest: int, equation: int = 21) -> Line:
    """The line of a requantized number that becomes a code."""
    code = min(max(steps + zero_point, least), greatest)
    cut = "" if code == steps + zero_point else f" = {steps + zero_point}"
    return Line("q", f"R + Z3 = {steps} + {zero_point}{cut}, within [{least}, {greatest}]", code, equation)


def real_value(tensor: Tensor, code: int) -> Fraction:
    """What a code of a quantized tensor stands for, exactly."""
    assert tensor.scale is not None and tensor.zero_point is not None
    return exactly(tensor.scale) * (code - tensor.zero_point)


def centred(number: str, code: int, zero_point: int) -> Line:
    """The line of a code less its zero point."""
    return Line(f"c{number}", f"q{number} - Z{number} = {code} - {zero_point}", code - zero_point, 1)


def activation_bounds(node: Node) -> tuple[float, float]:
    """Of the fused activation, real; none where the operator has no such thing."""
    return float_activation_range(node, node.options.get("fused_activation_function", "NONE"))


def place_text(place: tuple[int, ...] | Array) -> str:
    """An element's place to be read."""
    return f"[{', '.join(str(int(i)) for i in place)}]"


def scale_text(*scales: np.float32 | None) -> str:
    """A product of scales to be read."""
    return " * ".join(decimal(scale) for scale in scales)

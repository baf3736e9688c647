"""What several operator families share: windows over space, fused activations, and the checks they repeat."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from qcore.errors import ModelError
from qcore.kernels.opdef import Array, Node, Operand, Shape
from qcore.numerics.dtypes import ELEMENT_TYPES
from qcore.numerics.rounding import round_half_away, round_half_even

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
MAX_RANK = 32
MAX_ELEMENTS = 2**59
MAX_INTEGERS = 2**16


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis: output o reads inputs ``o * stride + k * dilation - pad_before`` for k in [0, size).

    Source: tflite/kernels/padding.h#ComputePaddingHeightWidth.
    """

    input: int
    output: int
    size: int
    stride: int
    dilation: int
    pad_before: int

    def part(self, start: int, stop: int) -> Window:
        """The window of the outputs from start to stop alone."""
        return replace(self, output=stop - start, pad_before=self.pad_before - start * self.stride)

    def touching(self) -> range:
        """The range of k outside of which none touches the input; no longer than inputs and outputs reach, whatever the size."""
        first = -(((self.output - 1) * self.stride - self.pad_before) // self.dilation)
        last = (self.input - 1 + self.pad_before) // self.dilation
        return range(max(0, first), min(self.size, last + 1))

    def taps(self) -> Iterator[tuple[int, slice, slice]]:
        """For every k that touches the input: k, the outputs that it reaches, and the inputs which these outputs read."""
        for k in self.touching():
            offset = k * self.dilation - self.pad_before
            first = max(0, -(offset // self.stride))
            last = min(self.output, -((offset - self.input) // self.stride))
            if first < last:
                start = first * self.stride + offset
                yield k, slice(first, last), slice(start, start + (last - first - 1) * self.stride + 1, self.stride)

    def counts(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """int32[output]: how many inputs each output's undilated window covers, padding not counted."""
        starts = np.arange(self.output, dtype=np.int64) * self.stride - self.pad_before
        covered = np.minimum(starts + self.size, self.input) - np.maximum(starts, 0)
        return covered.astype(np.int32)


def window(node: Node, what: str, input_size: int, size: int, stride: int, padding: str, dilation: int = 1) -> Window:
    """The window of a convolution or pooling along one axis ("height" or "width").

    Raises:
        ModelError: a size, stride or dilation below 1, or a window that gives no output.
    """
    for name, value in ((f"filter {what}", size), (f"stride along {what}", stride), (f"dilation along {what}", dilation)):
        node.require(1 <= value <= INT32_MAX, f"{name} is {value}, expected at least 1")
    extent = (size - 1) * dilation + 1
    if padding == "SAME":
        output = math.ceil(input_size / stride)
    elif padding == "VALID":
        reach = input_size - extent + stride
        output = reach // stride if reach > 0 else -(-reach // stride)  # C++ cuts quotients off: less than a stride short gives none
    else:
        raise node.unsupported(f"padding {padding}, expected SAME or VALID")
    node.require(output >= 0, f"{what} {input_size} is less than the filter's extent {extent}")
    return Window(input_size, output, size, stride, dilation, max(0, (output - 1) * stride + extent - input_size) // 2)


def float_activation_range(node: Node, activation: str) -> tuple[float, float]:
    """Real bounds of an activation that clamps; RELU_0_TO_1 is never fused.

    Others that a file may name are let pass and not applied, as TensorFlow Lite does: no bounds.

    Source: tflite/kernels/kernel_util.h#CalculateActivationRange.
    """
    ranges = {
        "NONE": (-math.inf, math.inf),
        "TANH": (-math.inf, math.inf),
        "SIGN_BIT": (-math.inf, math.inf),
        "RELU": (0.0, math.inf),
        "RELU6": (0.0, 6.0),
        "RELU_N1_TO_1": (-1.0, 1.0),
        "RELU_0_TO_1": (0.0, 1.0),
    }
    if activation not in ranges:
        raise node.unsupported(f"fused activation {activation}, qcore has {', '.join(ranges)}")
    return ranges[activation]


def quantized_activation_range(node: Node, activation: str, output: Operand) -> tuple[int, int]:
    """Bounds of a fused activation in the output's integers: ``zero_point + round_half_away(bound / scale)`` within the type.

    Source: tflite/kernels/kernel_util.cc#CalculateActivationRangeQuantized.
    """
    low, high = output.type.quantized_min, output.type.quantized_max
    bounds = []
    for bound, edge in zip(float_activation_range(node, activation), (low, high), strict=True):
        if math.isinf(bound):
            bounds.append(edge)
            continue
        steps = float(round_half_away(np.array([bound], np.float32) / np.float32(output.scale))[0])
        node.require(abs(steps) <= INT32_MAX, f"bound {bound} of {activation} does not fit int32 at output scale {output.scale}")
        bounds.append(min(max(output.zero_point + int(steps), low), high))
    return bounds[0], bounds[1]


def float32_activation_range(node: Node, activation: str, output: Operand) -> tuple[int, int]:
    """XNNPACK's bounds: ``round_half_even(bound / scale + zero_point)``, quotient and sum in float32, within the type.

    Source: XNNPACK src/xnnpack/requantization.h#xnn_qs8_quantize.
    """
    limits = output.type.quantized_min, output.type.quantized_max
    bounds = np.array(float_activation_range(node, activation), np.float32) / np.float32(output.scale) + np.float32(output.zero_point)
    low, high = round_half_even(np.clip(bounds, *limits))
    return int(low), int(high)


def require_same_type(node: Node, *operands: Operand) -> None:
    """Refuse the model unless all these tensors have one element type."""
    first = operands[0]
    for other in operands[1:]:
        node.require(other.dtype == first.dtype, f"'{other.name}' is {other.dtype}, '{first.name}' is {first.dtype}, expected one type")


def require_rank(node: Node, operand: Operand, least: int, most: int | None = None) -> None:
    """Refuse the model unless the tensor's rank is in [least, most]; most is least where left out."""
    most = least if most is None else most
    wanted = str(least) if least == most else f"{least} to {most}"
    node.require(least <= operand.rank <= most, f"'{operand.name}' has rank {operand.rank} {list(operand.shape)}, expected {wanted}")


def parameters(operand: Operand) -> tuple[float, int]:
    """The scale and zero point that hold for the whole tensor; (0.0, 0) where there is no one pair.

    Source: tflite/core/subgraph.cc#GetLegacyQuantization.
    """
    if operand.quantization is None or operand.quantization.scale.size != 1:
        return 0.0, 0
    return operand.scale, operand.zero_point


def require_same_quantization(node: Node, input: Operand, output: Operand) -> None:
    """Refuse the model unless both tensors have one scale and zero point, as operators that only move values need."""
    if output.type.quantized:
        (scale, zero_point), (output_scale, output_zero_point) = parameters(input), parameters(output)
        node.require(
            (scale, zero_point) == (output_scale, output_zero_point),
            f"'{input.name}' has scale {scale} and zero point {zero_point}, '{output.name}' {output_scale} and {output_zero_point}, "
            "expected the same",
        )


def require_centred_int16(node: Node, *operands: Operand) -> None:
    """Refuse the model where one of these tensors is int16 and has a zero point other than 0."""
    for operand in operands:
        zero_point = parameters(operand)[1]
        node.require(operand.dtype != "int16" or zero_point == 0, f"'{operand.name}' is int16 with zero point {zero_point}, expected 0")


def normalize_axis(node: Node, axis: int, rank: int) -> int:
    """An axis counted from the front.

    Raises:
        ModelError: there is no such axis.
    """
    node.require(-rank <= axis < rank, f"axis {axis} is out of range for rank {rank}")
    return axis + rank if axis < 0 else axis


def broadcast_shape(node: Node, *operands: Operand) -> Shape:
    """The shape that the operands broadcast to.

    Raises:
        ModelError: they do not.
    """
    try:
        return np.broadcast_shapes(*(operand.shape for operand in operands))
    except ValueError:
        shapes = " and ".join(str(list(operand.shape)) for operand in operands)
        raise node.error(f"inputs of shape {shapes} cannot be broadcast together") from None


def integers(node: Node, operand: Operand, types: tuple[str, ...] = ("int32", "int64")) -> list[int]:
    """The values of a tensor of axes, sizes or positions, flattened; asks the planner to wait where they are not known yet.

    Raises:
        UnsupportedError: the tensor is of another type.
        ModelError: it is far too large for what it is.
    """
    if operand.dtype not in types:
        raise node.unsupported(f"'{operand.name}' is {operand.dtype}, qcore has {', '.join(types)}")
    node.require(
        math.prod(operand.shape) <= MAX_INTEGERS, f"'{operand.name}' is {list(operand.shape)}, expected {MAX_INTEGERS} values at most"
    )
    return [int(value) for value in operand.value.flat]


def single_integer(node: Node, operand: Operand, types: tuple[str, ...] = ("int32", "int64")) -> int:
    """The value of a tensor of one element; asks the planner to wait where it is not known yet.

    Raises:
        ModelError: it has none or several.
        UnsupportedError: the tensor is of another type.
    """
    values = integers(node, operand, types)
    node.require(len(values) == 1, f"'{operand.name}' has {len(values)} elements, expected 1")
    return values[0]


def require_shape(node: Node, sizes: Iterable[int]) -> Shape:
    """The shape of these sizes, refused unless an array can have it.

    The memory limit is the planner's to keep; but a tensor without elements takes no memory, whatever its other sizes are.
    """
    shape = tuple(sizes)
    node.require(len(shape) <= MAX_RANK, f"the output has {len(shape)} axes, at most {MAX_RANK} are supported")
    node.require(
        all(0 <= size <= INT32_MAX for size in shape) and math.prod(max(1, size) for size in shape) <= MAX_ELEMENTS,
        f"the output is {list(shape)}, expected sizes from 0 to {INT32_MAX} and {MAX_ELEMENTS} elements at most",
    )
    return shape


def read_shape(node: Node, operand: Operand) -> Shape:
    """The shape that the values of a vector name; asks the planner to wait where they are not known yet.

    Raises:
        ModelError: it is no shape of a tensor.
    """
    require_rank(node, operand, 1)
    return require_shape(node, integers(node, operand))


def types_of_width(*bits: int) -> tuple[str, ...]:
    """The element types of these widths in bits, by which TensorFlow Lite chooses among kernels that only move values."""
    return tuple(t.name for t in ELEMENT_TYPES.values() if t.bits in bits and t.storage is not None)


EVERY_TYPE = tuple(t.name for t in ELEMENT_TYPES.values() if t.storage is not None)


def require_indices(where: str, indices: Array, bound: int) -> None:
    """Refuse, at run time, an index outside [0, bound).

    Raises:
        ModelError: there is one.
    """
    outside = (indices < 0) | (indices >= bound)
    if outside.any():
        raise ModelError(f"{where}: index {indices[outside].flat[0]} is out of range, there are {bound}")


def option_integers(node: Node, name: str) -> tuple[int, ...]:
    """The numbers of an option that is a vector; none where the file leaves it out."""
    values = node.options[name]
    return () if values is None else tuple(int(value) for value in values)

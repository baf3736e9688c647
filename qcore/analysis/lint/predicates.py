"""Small named predicates that rules are made of: each says what is wrong with an operator, or None."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from qcore.analysis.lint.subject import Subject, is_dynamic, is_float, scale_count
from qcore.analysis.lint.targets import Check
from qcore.model import Tensor


def short(tensor: Tensor) -> str:
    """A tensor's name as a message gives it: of names of operators that were fused, the first."""
    return f"'{tensor.name.split(';')[0]}'"


def listed(values: Iterable[object]) -> str:
    """Values as a message lists them."""
    return ", ".join(map(str, values))


def input_types(index: int, what: str, *types: str) -> Check:
    """An input has one of these types; one that is left out has any."""

    def check(s: Subject) -> str | None:
        tensor = s.input(index)
        if tensor is None or tensor.dtype in types:
            return None
        return f"{what} is {tensor.dtype}, the target takes {listed(types)}"

    return check


def input_types_for(index: int, what: str, by_input: dict[str, tuple[str, ...]]) -> Check:
    """An input has a type that goes with the principal input's; one that is left out has any."""

    def check(s: Subject) -> str | None:
        tensor = s.input(index)
        if tensor is None or s.principal is None or tensor.dtype in by_input.get(s.principal.dtype, (tensor.dtype,)):
            return None
        return f"{what} is {tensor.dtype} for {s.principal.dtype} input, the target takes {listed(by_input[s.principal.dtype])}"

    return check


def output_types(*types: str) -> Check:
    """The output has one of these types."""

    def check(s: Subject) -> str | None:
        if s.output is None or s.output.dtype in types:
            return None
        return f"output is {s.output.dtype}, the target takes {listed(types)}"

    return check


def output_types_for(by_input: dict[str, tuple[str, ...]]) -> Check:
    """The output has a type that goes with the input's."""

    def check(s: Subject) -> str | None:
        if s.principal is None or s.output is None or s.output.dtype in by_input.get(s.principal.dtype, (s.output.dtype,)):
            return None
        return f"output is {s.output.dtype} for {s.principal.dtype} input, the target takes {listed(by_input[s.principal.dtype])}"

    return check


def activation_types(*types: str) -> Check:
    """Every tensor that is no constant has one of these types."""

    def check(s: Subject) -> str | None:
        other = next((t for t in s.activations if t.dtype not in types), None)
        return None if other is None else f"{short(other)} is {other.dtype}, the target takes {listed(types)}"

    return check


def same_type() -> Check:
    """The output has the type of the principal input."""

    def check(s: Subject) -> str | None:
        a, b = s.principal, s.output
        return None if a is None or b is None or a.dtype == b.dtype else f"input is {a.dtype}, output {b.dtype}, expected one type"

    return check


def same_input_types(s: Subject) -> str | None:
    """All inputs have one type."""
    types = dict.fromkeys(t.dtype for t in s.inputs if t is not None)
    return f"inputs are {listed(types)}, expected one type" if len(types) > 1 else None


def no_float_input_with_integer_weights(s: Subject) -> str | None:
    """Not dynamic range: a float input goes with float weights."""
    weights = s.input(1)
    if not is_float(s.principal) or weights is None or weights.dtype not in ("int8", "uint8", "int4", "int2"):
        return None
    return f"dynamic range: {s.principal.dtype if s.principal else ''} input with {weights.dtype} weights, which the target does not take"


def constant_input(index: int, what: str) -> Check:
    """An input that is there is a constant."""

    def check(s: Subject) -> str | None:
        tensor = s.input(index)
        return None if tensor is None or tensor.is_constant else f"{what} {short(tensor)} is computed at run time, expected a constant"

    return check


def variable_input(index: int, what: str) -> Check:
    """An input is no constant."""

    def check(s: Subject) -> str | None:
        tensor = s.input(index)
        return (
            f"{what} {short(tensor)} is a constant, expected one computed at run time"
            if tensor is not None and tensor.is_constant
            else None
        )

    return check


def present_input(index: int, what: str) -> Check:
    """An input is there."""

    def check(s: Subject) -> str | None:
        return f"{what} is left out, the target needs it" if s.input(index) is None else None

    return check


def absent_inputs(indices: Iterable[int], what: str) -> Check:
    """These inputs are left out."""
    left_out = tuple(indices)

    def check(s: Subject) -> str | None:
        return f"{what}, which the target does not have" if any(s.input(i) is not None for i in left_out) else None

    return check


def input_count(*counts: int) -> Check:
    """There are as many inputs."""

    def check(s: Subject) -> str | None:
        return None if len(s.inputs) in counts else f"has {len(s.inputs)} inputs, the target takes {' or '.join(map(str, counts))}"

    return check


def run_time_inputs(*counts: int) -> Check:
    """So many of the inputs are no constants."""

    def check(s: Subject) -> str | None:
        found = sum(t is not None and not t.is_constant for t in s.inputs)
        return None if found in counts else f"has {found} inputs that are no constants, the target takes {' or '.join(map(str, counts))}"

    return check


def rank(index: int, least: int, most: int) -> Check:
    """An input has so many dimensions."""

    def check(s: Subject) -> str | None:
        tensor = s.input(index)
        if tensor is None or least <= len(tensor.shape) <= most:
            return None
        return f"{short(tensor)} has {len(tensor.shape)} dimensions, the target takes {least if least == most else f'{least} to {most}'}"

    return check


def ranks_up_to(most: int) -> Check:
    """No tensor has more dimensions."""

    def check(s: Subject) -> str | None:
        other = next((t for t in s.tensors if len(t.shape) > most), None)
        return None if other is None else f"{short(other)} has {len(other.shape)} dimensions, the target takes at most {most}"

    return check


def scalar_free_output(s: Subject) -> str | None:
    """The output has at least one dimension."""
    return "the output is a scalar, which the target does not give" if s.output is not None and not s.output.shape else None


def option(name: str, *values: object) -> Check:
    """An option has one of these values."""

    def check(s: Subject) -> str | None:
        got = s.options.get(name)
        return None if got is None or got in values else f"{name} is {got}, the target takes {listed(values)}"

    return check


def option_range(name: str, least: float, most: float) -> Check:
    """An option lies in a range."""

    def check(s: Subject) -> str | None:
        got = s.options.get(name)
        return None if got is None or least <= got <= most else f"{name} is {got}, the target takes {least} to {most}"

    return check


def no_activation(s: Subject) -> str | None:
    """No fused activation."""
    got = s.options.get("fused_activation_function", "NONE")
    return None if got == "NONE" else f"fused activation {got}, the target takes none here"


def version_up_to(most: int) -> Check:
    """The operator's version is no later."""

    def check(s: Subject) -> str | None:
        got = s.operator.code.version
        return None if got <= most else f"version {got}, the target takes versions up to {most}"

    return check


def static_shapes(s: Subject) -> str | None:
    """Shapes are known before the model runs."""
    other = next((t for t in s.tensors if is_dynamic(t)), None)
    return None if other is None else f"{short(other)} has shape {list(other.shape_signature or ())}, expected one that is known"


def quantized(s: Subject) -> str | None:
    """Every tensor of codes has a scale, above 0."""
    for t in s.tensors:
        if t.dtype in ("int8", "uint8", "int16") and (
            scale_count(t) == 0 or (t.quantization is not None and (t.quantization.scale <= 0).any())
        ):
            return f"{short(t)} ({t.dtype}) has no scale above 0"
    return None


def one_scale(*but: str) -> Check:
    """Every tensor has one scale, but for those of some operators."""

    def check(s: Subject) -> str | None:
        other = next((t for t in s.tensors if scale_count(t) > 1), None)
        return None if other is None or s.name in but else f"{short(other)} has {scale_count(other)} scales, the target takes one here"

    return check


def weights_per_tensor(s: Subject) -> str | None:
    """The weights have one scale."""
    weights = s.input(1)
    if weights is None or not weights.is_constant or scale_count(weights) <= 1:
        return None
    return f"weights {short(weights)} have {scale_count(weights)} scales, one for each unit"


def same_quantization(s: Subject) -> str | None:
    """Inputs and output share scale and zero point."""

    def params(t: Tensor) -> tuple[object, ...]:
        q = t.quantization
        return () if q is None else (q.scale.tolist(), q.zero_point.tolist())

    if s.output is None:
        return None
    other = next((t for t in s.inputs if t is not None and params(t) != params(s.output)), None)
    return None if other is None else f"{short(other)} and the output have different scales or zero points, expected the same"


def batch_of_one(s: Subject) -> str | None:
    """The first of four dimensions is 1."""
    other = next((t for t in s.activations if len(t.shape) == 4 and t.shape[0] != 1), None)
    return None if other is None else f"{short(other)} has a batch of {other.shape[0]}, expected 1"


def innermost_dimensions(count: int) -> Check:
    """Only so many innermost dimensions are above 1."""

    def check(s: Subject) -> str | None:
        other = next((t for t in s.activations if math.prod(t.shape[:-count]) > 1), None)
        return None if other is None else f"{short(other)} is {list(other.shape)}, only the {count} innermost dimensions may be above 1"

    return check


def equal_options(a: str, b: str) -> Check:
    """Two options are the same."""

    def check(s: Subject) -> str | None:
        x, y = s.options.get(a), s.options.get(b)
        return None if x == y else f"{a} is {x}, {b} {y}, expected the same"

    return check


def axes_exclude(index: int, axis: int) -> Check:
    """The axes that an input names do not include one, counted from the front."""

    def check(s: Subject) -> str | None:
        axes, tensor = s.integers(index), s.principal
        if axes is None or tensor is None or axis not in {a % max(len(tensor.shape), 1) for a in axes}:
            return None
        return f"works along axis {axis}, of {list(tensor.shape)}, which the target does not"

    return check


def weights_sum(most: int) -> Check:
    """The magnitudes of the weights of each output add up to no more."""

    def check(s: Subject) -> str | None:
        weights = s.value(1)
        if weights is None or weights.dtype.kind not in "iu" or weights.ndim == 0:
            return None
        magnitudes = np.abs(weights.astype(np.int64))
        axis = tuple(range(weights.ndim - 1)) if s.name == "DEPTHWISE_CONV_2D" else tuple(range(1, weights.ndim))
        greatest = int(magnitudes.sum(axis=axis).max(initial=0))
        return None if greatest <= most else f"the magnitudes of an output's weights add up to {greatest}, the target takes {most}"

    return check


def when(condition: Callable[[Subject], bool], check: Check) -> Check:
    """The check, where the condition holds."""
    return lambda s: check(s) if condition(s) else None


def holds(condition: Callable[[Subject], bool], message: str) -> Check:
    """A condition, and what to say where it does not hold."""
    return lambda s: None if condition(s) else message

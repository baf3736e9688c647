"""Which function explains what: by kernel, or by operator where what is done is the same for every kernel."""

from __future__ import annotations

from types import MappingProxyType

from qcore.analysis.explaining import curves, dynamic_range, elementwise, lookup, movement, pairs, pooling, resizing, softmax, weighted
from qcore.analysis.explaining.case import Case, Derivation, Explainer
from qcore.numerics.derivation import Line, decimal

FAMILIES = (weighted, dynamic_range, pooling, elementwise, pairs, curves, lookup, softmax)

BY_KERNEL: MappingProxyType[object, Explainer] = MappingProxyType(
    {kernel: explain for family in FAMILIES for kernel, explain in family.EXPLAINERS.items()}
)

_ALONE = """
    ABS NEG EXP LOG SQRT RSQRT SQUARE SIN COS FLOOR CEIL ROUND SIGN ZEROS_LIKE ELU GELU HARD_SWISH LOGISTIC TANH RELU RELU6 RELU_N1_TO_1
    RELU_0_TO_1 LEAKY_RELU PRELU ADD SUB MUL DIV SQUARED_DIFFERENCE FLOOR_DIV FLOOR_MOD MAXIMUM MINIMUM POW ATAN2 ADD_N EQUAL NOT_EQUAL
    LESS LESS_EQUAL GREATER GREATER_EQUAL LOGICAL_AND LOGICAL_OR LOGICAL_NOT BITWISE_XOR RIGHT_SHIFT CAST QUANTIZE DEQUANTIZE FAKE_QUANT
    REAL IMAG COMPLEX_ABS STABLEHLO_ADD STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_MINIMUM STABLEHLO_AND STABLEHLO_SHIFT_LEFT
"""
ALONE = frozenset(_ALONE.split())
"""Operators whose elements depend on the inputs' at the same place alone."""


def explainer(case: Case) -> Explainer:
    """What explains an element."""
    if case.kernel in BY_KERNEL:
        return BY_KERNEL[case.kernel]
    if case.node.operator == "RESIZE_BILINEAR":
        return resizing.explain_bilinear
    if case.node.operator in movement.MOVED and (case.output == 0 or case.node.operator not in movement.FIRST_ALONE):
        return movement.explain_movement
    return explain_alone if case.node.operator in ALONE else explain_value


def explain_alone(case: Case) -> Derivation:
    """An element of operators that take each by itself: the inputs' elements, and what the kernel makes of them."""
    tensors, lines = [], []
    for place, x in enumerate(case.inputs):
        if x is not None:
            where = case.aligned(place)
            tensors.append(case.tensor(str(place + 1), f"input {place}", case.node.input(place), where))
            lines.append(Line(f"q{place + 1}", f"input {place}", x[where]))
    named = ", ".join(f"{line.symbol} = {decimal(line.value)}" for line in lines)
    return Derivation([*lines, Line("q", f"{case.kernel_name} of {named}", case.value)], tuple(tensors))


def explain_value(case: Case) -> Derivation:
    """Any other operator: what went in, and what came out."""
    present = [(place, operand) for place, operand in enumerate(case.node.inputs) if operand is not None]
    tensors = tuple(case.tensor(str(place + 1), f"input {place}", operand) for place, operand in present)
    return Derivation([Line("q", f"{case.kernel_name} computed it: explain has no lines for this operator", case.value)], tensors)

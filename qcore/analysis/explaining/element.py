"""``explain``: how one element of an operator's output came about."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, get_args

import numpy as np

from qcore.analysis.explaining.case import Case, Derivation, place_text
from qcore.analysis.explaining.explainers import explainer
from qcore.analysis.explaining.explanation import Chain, Explanation
from qcore.analysis.explaining.requantization import at
from qcore.analysis.tracing import Trace, trace
from qcore.errors import InputError, InternalError, QCoreError
from qcore.kernels.opdef import Arithmetic
from qcore.kernels.tabulate import untabulated
from qcore.model import Model
from qcore.numerics.derivation import exactly
from qcore.numerics.vector_loop import along_memory


def explain(
    model: Model | str | bytes,
    *inputs: Any,
    op: int,
    element: Sequence[int],
    output: int = 0,
    arithmetic: Arithmetic = "reference",
    **named: Any,
) -> Explanation:
    """How one element of an operator's output came about, in each arithmetic and in exact numbers.

    The model runs once; then the operator is computed in every arithmetic on the inputs that it had in that run, so that all
    differences are its own. Every chain of lines ends in the element that the arithmetic's kernel gives.

    Args:
        model: a Model, path or content.
        inputs: as ``Interpreter.run`` takes them: float arrays are real values, others a tensor's own elements.
        op: position of the operator in the first subgraph, as ``qcore inspect`` numbers them.
        element: its place in the output, a number for each dimension.
        output: which of the operator's outputs.
        arithmetic: whose run gives the operator its inputs.
        named: inputs by name.

    Raises:
        InputError: inputs are missing, unknown, or do not fit; there is no such operator or element.
        QCoreError: the model cannot run on them.
    """
    loaded = trace(model, *inputs, arithmetic=arithmetic, **named)
    return explain_traced(loaded, op, element, output)


def explain_traced(run: Trace, op: int, element: Sequence[int], output: int = 0) -> Explanation:
    """The same of a run that is there already.

    Raises:
        InputError: there is no such operator or element.
    """
    operator = run.operator(op)
    if not 0 <= output < len(operator.outputs):
        raise InputError(f"{run.name(op)}: there is no output {output}, it has {len(operator.outputs)}")
    traced = run.at(operator.outputs[output])
    place, shape = tuple(int(i) for i in element), traced.elements.shape
    if len(place) != len(shape) or not all(0 <= i < size for i, size in zip(place, shape, strict=True)):
        raise InputError(f"{run.name(op)}: there is no element {list(place)} in output '{traced.name}' of shape {list(shape)}")
    arithmetics = get_args(Arithmetic) if run.repeats(op) else (run.arithmetic,)
    cases = {arithmetic: single(run, op, arithmetic, output, place) for arithmetic in arithmetics}
    derivations = {arithmetic: derived(case) for arithmetic, case in cases.items()}
    chains = {
        arithmetic: Chain(case.kernel_name, tuple(derivations[arithmetic].lines), case.value, real_value(case))
        for arithmetic, case in cases.items()
    }
    own, case = derivations[run.arithmetic], cases[run.arithmetic]
    exact = () if own.real is None else tuple(own.real.lines(case.result))
    return Explanation(run.name(op), op, operator.name, place, run.arithmetic, own.tensors, case.result, chains, exact, own.products)


def single(run: Trace, op: int, arithmetic: Arithmetic, output: int, element: tuple[int, ...]) -> Case:
    """One element of an operator, computed by itself in an arithmetic; by the run, where the operator does not give it again."""
    traced = run.at(run.operator(op).outputs[output]).elements
    node, step, results = run.alone(op, arithmetic)
    value = results[output][element] if run.repeats(op) else traced[element]
    kernel, params = untabulated(step).kernel, untabulated(step).params
    if kernel is along_memory:
        function, _ = at(partial(along_memory, params), element, traced.shape)
        assert isinstance(function, partial)
        kernel, (params,) = function.func, function.args
    return Case(node, kernel, params, tuple(run.inputs(op)), output, element, traced.shape, value)


def derived(case: Case) -> Derivation:
    """The element's lines.

    Raises:
        InternalError: they do not end in what the kernel gave.
    """
    try:
        with np.errstate(all="ignore"):
            derivation = explainer(case)(case)
    except QCoreError:
        raise
    except Exception as error:
        raise InternalError(f"{case.node.where}: explain failed at {place_text(case.element)}: {type(error).__name__}: {error}") from error
    found, near = derivation.lines[-1].value, derivation.expected
    far = near is not None and np.isfinite(case.value) and not abs(float(case.value) - near) <= derivation.close
    if far or not same(found, case.value):
        of = near if far else found
        raise InternalError(f"{case.node.where}: {place_text(case.element)} is explained as {of}, but {case.kernel_name} gave {case.value}")
    return derivation


def same(found: Any, value: Any) -> bool:
    """The kernel's value; NaN is NaN."""
    return bool(found == value or (found != found and value != value))


def real_value(case: Case) -> float | None:
    """What the element stands for, if it is a number."""
    output = case.result
    if output.scale is not None and output.zero_point is not None:
        return float(exactly(output.scale) * (int(case.value) - output.zero_point))
    return float(case.value) if np.asarray(case.value).dtype.kind == "f" else None

"""Making test vectors: an operator as it was prepared for a run of its model, and inputs to try it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from qcore.analysis.tracing import Trace, trace
from qcore.analysis.vectors.accumulators import accumulators
from qcore.analysis.vectors.content import Member, Vectors
from qcore.analysis.vectors.parameters import tell
from qcore.errors import InputError, UnsupportedError
from qcore.kernels.opdef import Arithmetic, Array, Step
from qcore.kernels.tabulate import untabulated
from qcore.model import OPTIONAL, Model, Operator
from qcore.numerics.dtypes import element_type
from qcore.runtime.interpreter import Interpreter
from qcore.runtime.real_values import parameters, random_elements
from qcore.schema import load

WEIGHTED = ("input", "filter", "bias")
REDUCED = ("input", "axes")
ROLES = MappingProxyType(
    {
        **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "FULLY_CONNECTED"), WEIGHTED),
        **dict.fromkeys(("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"), ("shape", "filter", "input", "bias")),
        **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"), REDUCED),
        **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), ("input", "paddings", "value")),
        **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), ("input", "size")),
        "BATCH_MATMUL": ("x", "y"),
        "PRELU": ("input", "alpha"),
        "RESHAPE": ("input", "shape"),
        "SVDF": ("input", "weights_feature", "weights_time", "bias", "state"),
    }
)
"""What operators call their inputs; others have ``input``, or ``input1`` and so on."""

LAYOUTS = MappingProxyType(
    {
        **{(op, "filter"): "OHWI" for op in ("CONV_2D", "TRANSPOSE_CONV")},
        ("DEPTHWISE_CONV_2D", "filter"): "1HWC",
        ("FULLY_CONNECTED", "filter"): "units, depth",
        **{
            (op, role): "NHWC"
            for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
            for role in ("input", "output")
        },
    }
)
"""Names of axes, by operator and role."""

CASES = MappingProxyType(
    {
        "model": "what the operator found in a run of the model",
        "low": "the least code everywhere",
        "high": "the greatest code everywhere",
        "zero": "the code of real zero everywhere",
        "low_high": "the first input has the least code everywhere, the second the greatest, and so on in turn",
        "high_low": "the first input has the greatest code everywhere, the second the least, and so on in turn",
        "random": "codes at random, each as likely as the others",
    }
)
"""What the names of cases mean; random ones are numbered. Real inputs take the ends of the output's range for codes."""


def vectors(
    model: Model | str | bytes,
    op: int,
    inputs: Any = None,
    seed: int = 0,
    arithmetic: Arithmetic = "reference",
    count: int = 1,
) -> Vectors:
    """Test vectors of one operator of a model's first subgraph.

    Args:
        model: a Model, path or content.
        op: position of the operator.
        inputs: of the model, for the case that runs it: an array, a list of them, or arrays by name; random where left out.
        seed: of random inputs, of the model and of the operator.
        arithmetic: whose integers.
        count: how many random cases of the operator there are.

    Raises:
        InputError: there is no such operator, or inputs do not fit, or seed or count are negative.
        UnsupportedError: the operator depends on constants alone, or on more than its inputs.
        QCoreError: the model cannot run on the inputs.
    """
    return vectors_of(traced(model, inputs, seed, arithmetic), op, seed, count)


def traced(model: Model | str | bytes, inputs: Any, seed: int, arithmetic: Arithmetic) -> Trace:
    """A run of the model on inputs as ``vectors`` takes them.

    Raises:
        QCoreError: as for ``vectors``.
    """
    if seed < 0:
        raise InputError(f"vectors: seed is {seed}, expected at least 0")
    loaded = model if isinstance(model, Model) else load(model)
    if inputs is None:
        rng, details = np.random.default_rng(seed), Interpreter(model_content=loaded).get_input_details()
        tensors = loaded.subgraphs[0].tensors
        inputs = [random_elements(tensors[d["index"]], d["shape"], rng) for d in details]
    positional = [inputs] if isinstance(inputs, Mapping | np.ndarray) else inputs
    return trace(loaded, *positional, arithmetic=arithmetic)


def vectors_of(run: Trace, op: int, seed: int = 0, count: int = 1) -> Vectors:
    """Test vectors of one operator of a run; see ``vectors``.

    Raises:
        QCoreError: as for ``vectors``.
    """
    if count < 0:
        raise InputError(f"vectors: count is {count}, expected at least 0")
    operator, step = run.operator(op), run.step(op)
    if step is None:
        raise UnsupportedError(f"vectors: {run.name(op)}: depends on constants alone, and is computed before the model runs")
    given = run.inputs(op)
    if not run.repeats(op) and not any(i != OPTIONAL and run.at(i).tensor.is_variable for i in operator.inputs):
        raise UnsupportedError(f"vectors: {run.name(op)}: its outputs follow from more than its inputs: state, or subgraphs that it runs")
    at_run_time = [k for k, i in enumerate(operator.inputs) if i != OPTIONAL and not run.is_constant(i)]
    cases = made_cases(run, op, {k: array for k in at_run_time if (array := given[k]) is not None}, seed, count)
    outputs: list[list[Array]] = []
    sums: list[Array | None] = []
    for case in cases.values():
        filled = [case.get(k, array) for k, array in enumerate(given)]
        outputs.append(computed(step, filled)[: len(operator.outputs)])
        sums.append(accumulators(step, filled, outputs[-1][0].shape) if outputs[-1] else None)
    if len({tuple(array.shape for array in arrays) for arrays in outputs}) > 1:
        # Shapes follow from values, so that cases do not lie side by side: the model's own is left.
        cases, outputs, sums = {"model": cases["model"]}, outputs[:1], sums[:1]
    members = []
    for k, (role, i) in enumerate(zip(input_roles(operator), operator.inputs, strict=True)):
        if (found := given[k]) is not None:
            fixed = k not in at_run_time
            elements = found if fixed else np.stack([case[k] for case in cases.values()])
            members.append(Member(role, run.at(i).tensor, LAYOUTS.get((operator.name, role), ""), fixed, elements))
    for k, (role, o) in enumerate(zip(numbered("output", len(operator.outputs)), operator.outputs, strict=True)):
        elements = np.stack([arrays[k] for arrays in outputs])
        members.append(Member(role, run.at(o).tensor, LAYOUTS.get((operator.name, role), ""), False, elements))
    kept = [array for array in sums if array is not None]
    return Vectors(
        operator.name,
        op,
        run.name(op),
        kernel_name(untabulated(step).kernel),
        run.arithmetic,
        {} if operator.options is None else operator.options.fields,
        {name: CASES[name.rstrip("0123456789")] for name in cases},
        tuple(members),
        tell(step),
        np.stack(kept) if len(kept) == len(cases) else None,
    )


def input_roles(operator: Operator) -> tuple[str, ...]:
    """What the operator calls its inputs."""
    count = len(operator.inputs)
    return ROLES.get(operator.name, ())[:count] or numbered("input", count)


def numbered(role: str, count: int) -> tuple[str, ...]:
    """The role, numbered from 1 where there are several of it."""
    return (role,) if count == 1 else tuple(f"{role}{k + 1}" for k in range(count))


def computed(step: Step, inputs: Sequence[Array | None]) -> list[Array]:
    """What the kernel makes of inputs."""
    with np.errstate(all="ignore"):
        results = step.kernel(step.params, *inputs)
    return [*map(np.asarray, results if isinstance(results, tuple) else (results,))]


def kernel_name(kernel: Any) -> str:
    """Where a kernel is written."""
    function = kernel.func if isinstance(kernel, partial) else kernel
    return f"{function.__module__}.{function.__qualname__}"


def made_cases(run: Trace, position: int, found: Mapping[int, Array], seed: int, count: int) -> dict[str, dict[int, Array]]:
    """Elements by case and place of the input; found: those in the model's run, by place.

    Codes and real numbers are varied; other elements, which may be positions or sizes, stay as they were found.
    """
    cases, operator = {"model": dict(found)}, run.operator(position)
    ends = {k: end for k in found if (end := ends_of(run, operator, k)) is not None}
    if not ends:
        return cases
    rng = np.random.default_rng([seed, position + 1])

    def filled(end: Mapping[int, Any]) -> dict[int, Array]:
        return {k: np.full(array.shape, end[k], array.dtype) if k in end else array for k, array in found.items()}

    def drawn(k: int, array: Array) -> Array:
        low, _, high = ends[k]
        if array.dtype.kind == "f":
            return rng.uniform(low, high, array.shape).astype(array.dtype)
        return rng.integers(low, high + 1, array.shape).astype(array.dtype)

    cases |= {name: filled({k: ends[k][which] for k in ends}) for name, which in (("low", 0), ("high", 2), ("zero", 1))}
    if len(ends) > 1:
        cases["low_high"] = filled({k: ends[k][0 if n % 2 == 0 else 2] for n, k in enumerate(ends)})
        cases["high_low"] = filled({k: ends[k][2 if n % 2 == 0 else 0] for n, k in enumerate(ends)})
    for n in range(count):
        cases[f"random{n}"] = {k: drawn(k, array) if k in ends else array for k, array in found.items()}
    return cases


def ends_of(run: Trace, operator: Operator, k: int) -> tuple[Any, Any, Any] | None:
    """The least element of an input, the one that stands for real zero, and the greatest; None where it is not to be varied."""
    tensor = run.at(operator.inputs[k]).tensor
    params = parameters(tensor)
    if params is not None:
        kind = element_type(tensor.dtype)
        return kind.quantized_min, int(params.zero_point.flat[0]), kind.quantized_max
    if not tensor.dtype.startswith("float"):
        return None
    output = parameters(run.at(operator.outputs[0]).tensor) if operator.outputs else None
    if output is None or output.scale.size != 1:
        return -1.0, 0.0, 1.0
    kind = element_type(output.dtype)
    low, high = (float(output.scale[0]) * (code - int(output.zero_point[0])) for code in (kind.quantized_min, kind.quantized_max))
    return low, 0.0, high

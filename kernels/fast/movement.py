"""RESHAPE, CONCATENATION and PAD: bytes that move as they are, as calls of ``copies``."""

from __future__ import annotations

import math

import numpy as np

from qcore.kernels import concatenation
from qcore.kernels.fast.copies import Arguments, Border, RunArguments, Runs, vector_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.elementwise_lowering import look_up_calls
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site
from qcore.kernels.opdef import Array
from qcore.kernels.pad import PadParams


def lower_reshape(site: Site) -> list[Call]:
    """RESHAPE, SQUEEZE and EXPAND_DIMS."""
    x, output = site.input(0), site.outputs[0]
    return runs(site.tier, x, output, 0, 1, x.nbytes)


def lower_concatenation(site: Site) -> list[Call]:
    """CONCATENATION."""
    p: concatenation.Params = site.params
    calls: list[Call] = []
    start, output = 0, site.outputs[0]
    count = math.prod(output.shape[: p.axis])
    for index, table in enumerate(p.tables):
        x = site.input(index)
        if x.size == 0:
            continue
        if table is not None:
            rescaled = site.scratch.take(x.size).reshape(x.shape)
            calls += look_up_calls(site.tier, x, table, rescaled)
            x = rescaled
        calls += runs(site.tier, x, output, start, count, x.nbytes // count)
        start += x.nbytes // count
    return calls


def lower_pad(site: Site) -> list[Call]:
    """PAD and PADV2, along one axis or two that follow one another."""
    p: PadParams = site.params
    x, output = site.input(0), site.outputs[0]
    site.require(len(site.inputs) < 3 or site.inputs[2] is None or site.constant[2], "the padding value is computed at run time")
    zero = p.zero if len(site.inputs) < 3 or site.inputs[2] is None else site.inputs[2].reshape(())
    value = set(np.array(zero, x.dtype).tobytes())
    site.require(len(value) == 1, f"a padding value of {zero} for elements of {x.dtype}")
    axes = [axis for axis, (inner, outer) in enumerate(zip(x.shape, p.shape, strict=True)) if inner != outer]
    site.require(x.size > 0, "an empty input")
    if not axes:
        return runs(site.tier, x, output, 0, 1, x.nbytes)
    first, last = axes[0], axes[-1]
    site.require(last - first < 2, f"padding along axes {axes}")
    (top, bottom), (left, right) = around(p, x, first), around(p, x, last) if last > first else (0, 0)
    unit = math.prod(x.shape[last + 1 :]) * x.itemsize
    arguments = Arguments(
        input=x.ctypes.data,
        output=output.ctypes.data,
        images=math.prod(x.shape[:first]),
        rows=x.shape[first],
        row=math.prod(x.shape[first + 1 :]) * x.itemsize,
        top=top,
        bottom=bottom,
        left=left * unit,
        right=right * unit,
        value=value.pop(),
    )
    return [Call(Border(), arguments, (x,))]


def around(p: PadParams, x: Array, axis: int) -> tuple[int, int]:
    """Elements before and after along an axis."""
    before = p.inside[axis].start
    return before, p.shape[axis] - before - x.shape[axis]


SHORT = 1024
"""Bytes of the longest run that is copied vector by vector."""


def runs(tier: Tier, x: Array, output: Array, start: int, count: int, size: int) -> list[Call]:
    """So many runs of an array, one after the other in it, each of so many bytes, to where they start in each part of the output.

    There is nothing to do where they lie there already (see ``Step.parts``).
    """
    if count == 1 and x.ctypes.data == output.ctypes.data + start:
        return []
    arguments = RunArguments(x.ctypes.data, output.ctypes.data + start, count, size, size, output.nbytes // max(1, count))
    return [Call(Runs(count > 1 and vector_bytes(tier) <= size <= SHORT), arguments, (x,))]

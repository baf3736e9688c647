"""BATCH_MATMUL of codes and of dynamic range, as calls of ``products``."""

from __future__ import annotations

import math

import numpy as np

from qcore.kernels.batch_matmul import HybridParams, IntegerParams
from qcore.kernels.fast import columns
from qcore.kernels.fast.bytes_out import channel_order
from qcore.kernels.fast.columns import Columns
from qcore.kernels.fast.endings import code_ending, quantized_ending
from qcore.kernels.fast.hybrid import row_calls
from qcore.kernels.fast.outputs import vector_bytes
from qcore.kernels.fast.products import gained
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import NotCovered, Site
from qcore.kernels.fast.tiles import Rows, tile_call, tile_calls, tile_choices
from qcore.kernels.opdef import Array
from qcore.kernels.weighted import QuantizedOutput, RealOutput

MOST = 256
"""Matrices of a batch: each is a call or two."""


def lower_matrices(site: Site) -> list[Call]:
    """Codes times codes."""
    p: IntegerParams = site.params
    x, output = site.readable(0), site.outputs[0]
    site.require(not p.adj_x, "x is stored with its two last axes swapped")
    if p.output is None:
        raise NotCovered("the sums themselves are wanted")
    site.require(output.size > 0 and x.shape[-1] > 0, "a matrix has no elements")
    y = site.readable(1) if p.y is None else p.y.weights
    if math.prod(y.shape[:-2]) == 1:  # then all rows are those of one matrix
        x, y, output = (array.reshape(-1, array.shape[-1]) for array in (x, y, output))
    batch = output.shape[:-2]
    site.require(math.prod(batch) <= MOST, f"{batch} matrices")
    x, y = (np.broadcast_to(array, (*batch, *array.shape[-2:])) for array in (x, y))
    if p.y is None:
        return _computed(site, p, p.output, x, y, output)
    site.require(site.input(1).itemsize == 1, "weights of 16 bits")
    calls: list[Call] = []
    for place in np.ndindex(batch):
        ending = quantized_ending(site, x.dtype, y[place], slice(None), p.x_zero_point, p.output)
        calls += tile_calls(site, rows_of(x[place]), y[place][:, np.newaxis], ending, output[place])
    return calls


def _computed(site: Site, p: IntegerParams, finish: QuantizedOutput, x: Array, y: Array, output: Array) -> list[Call]:
    """Where y is computed at run time, and packed then."""
    site.require(x.itemsize == 1 and y.itemsize == 1, "codes of 16 bits")
    depth, vectors = x.shape[-1], max(tile_choices(site.tier))
    count, width = output.shape[-1], vectors * site.tier.lanes
    blocks, steps = -(-count // width), rows_of(x[(0,) * (x.ndim - 2)]).steps
    packed = site.scratch.take(blocks * steps * width * 4)
    lanes = np.argsort(channel_order(site.tier, vectors).reshape(-1)).astype(np.int32)
    ending = code_ending(site, x.dtype, np.zeros(count, np.int64), 255 * 255 * depth, slice(None), finish)
    calls = []
    for place in np.ndindex(output.shape[:-2]):
        product = tile_call(site, rows_of(x[place]), packed, -p.y_zero_point, ending, output[place], vectors)
        arguments = columns.Arguments(
            input=y[place].ctypes.data,
            depth=depth,
            columns=count,
            steps=steps,
            blocks=blocks,
            weights=packed.ctypes.data,
            lanes=lanes.ctypes.data,
            constants=product.arguments._asdict()["constants"],
            constants_step=vector_bytes(ending.output, site.tier.lanes),
            times=-(p.x_zero_point + gained(site.tier, x.dtype)),
            plus=-p.y_zero_point * depth,
            start=int(ending.firsts[0]),
        )
        calls += [Call(Columns(p.adj_y, vectors), arguments, (packed, lanes)), product]
    return calls


def rows_of(matrix: Array) -> Rows:
    """Each row of a matrix by itself."""
    count, depth = matrix.shape
    return Rows(matrix, 0, depth * np.arange(count), np.zeros(1, np.int64), depth)


def lower_hybrid_matrix(site: Site) -> list[Call]:
    """Real values times one matrix of codes."""
    p: HybridParams = site.params
    site.require(not p.adj_x, "x is stored with its two last axes swapped")
    if p.y is None:
        raise NotCovered("y is computed at run time")
    weights = p.y.weights
    site.require(weights.size > 0, "a matrix has no elements")
    site.require(math.prod(weights.shape[:-2]) == 1, "several matrices")
    return row_calls(site, weights.reshape(weights.shape[-2:]), p.y_scale, p.by, RealOutput(np.float32(-np.inf), np.float32(np.inf)))

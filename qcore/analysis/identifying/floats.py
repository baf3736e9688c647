"""Operators of floats as each set of kernels computes them, to the last bit, so that their results can be told apart.

qcore's own float kernels are right within rounding, which is all that a network needs, but sum in no such order and take elementary
functions from NumPy. Here an operator's step is exchanged for one that rounds wherever the kernels of its arithmetic do:

* the reference kernels sum products in turn, each product and each sum rounded, and call the C library (``library_functions``);
* the builtin kernels are Eigen's (``float_products``, ``float_functions``), and depend on how they were built: see ``Build``;
* XNNPACK's have fused steps and functions of their own (``delegate_sums``, ``delegate_functions``).

Source (TensorFlow Lite 2.21, x86-64): tflite/kernels/internal/reference/*.h, internal/optimized/optimized_ops.h, conv.cc#EvalFloat;
XNNPACK src/operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from flatbuffers import flexbuffers

from qcore.analysis.identifying import float_operators as operators
from qcore.analysis.identifying.delegation import is_real
from qcore.kernels import delegate_functions, delegate_sums, float_functions, fully_connected, library_functions, mean
from qcore.kernels.conv import Geometry, prepare_ordered
from qcore.kernels.custom_options import custom_options
from qcore.kernels.delegate import flushing
from qcore.kernels.delegated_weights import takes_blocks
from qcore.kernels.float_blocking import QUAD, VECTOR
from qcore.kernels.float_products import matrix_product, sums_along_memory
from qcore.kernels.hybrid import block_scale, dequantize_blocks
from qcore.kernels.opdef import Arithmetic, Node, OpDef, Step
from qcore.numerics.float16 import to_bfloat16

Package = Literal["tensorflow", "litert"]


@dataclass(frozen=True)
class Build:
    """How kernels were compiled and run, as far as it decides floats.

    name: for messages.
    package: of Python, whose kernels they are.
    vector: floats of a vector: 8 (AVX) or 4 (SSE).
    threads: more than one take the sums of convolutions in another order.
    nearest: XNNPACK beside them rounds the scales of blocks to the nearest bfloat16; older ones cut them.
    """

    name: str
    package: Package
    vector: int = VECTOR
    threads: int = 1
    nearest: bool = False


BUILDS = (
    Build("of TensorFlow's package", "tensorflow"),
    Build("of LiteRT's package", "litert", vector=QUAD, nearest=True),
    *(Build(f"with {count} threads", "tensorflow", threads=count) for count in (4, 2, 3)),
)
"""The Python packages tensorflow and ai-edge-litert, where nobody asks for threads; and with some, of which TensorFlow takes 4 in C++."""

Make = Callable[[Node, Step, Build], Step | None]
"""Makes a step in order; None where it cannot."""

BUILT = ("CONV_2D", "FULLY_CONNECTED", "GELU", "LOGISTIC", "LOG_SOFTMAX", "MEAN", "SOFTMAX", "TRANSPOSE_CONV")
"""Operators of Eigen's, whose floats depend on how it was compiled; those of a convolution on the number of threads, too."""

LAID_OUT = 1 << 26
"""Elements of windows that are laid out at once, at most."""

ATTENTION = "odml.scaled_dot_product_attention"
"""The composite that XNNPACK takes as a whole."""

UNROLLED_TAPS = 25
"""Taps of the greatest depthwise filter for which XNNPACK has a kernel of its own."""


def in_order(node: Node, step: Step, build: Build, definition: OpDef) -> tuple[Step, bool]:
    """The step as its arithmetic's own kernels take it; and whether it gives the last bits of floats as they do, for all that is known."""
    make = BLOCKWISE[node.arithmetic] if is_blockwise(node) else ORDERS[node.arithmetic].get(node.operator) if is_real(node) else None
    empty = any(0 in shape for shape in (*step.shapes, *(i.shape for i in node.inputs if i is not None)) if shape is not None)
    if make is None or empty:
        return step, empty or not is_real(node) or "float32" not in definition.tolerances
    made = make(node, step, build)
    return made or step, made is not None


def depends_on_build(node: Node) -> bool:
    """Another build of the kernels may give other floats."""
    if is_blockwise(node):
        return node.arithmetic == "xnnpack"
    return is_real(node) and (node.operator == "GELU" or node.arithmetic == "builtin") and node.operator in BUILT


def as_it_is(_: Node, step: Step, __: Build) -> Step:
    """The step, which is in order."""
    return step


def convolution(products: operators.Products, node: Node, step: Step, _: Build) -> Step:
    """CONV_2D."""
    return replace(step, kernel=operators.convolve, params=operators.Ordered(step.params.geometry, step.params.finish, products))


def depthwise(products: operators.Products, unrolled: int, node: Node, step: Step, _: Build) -> Step:
    """DEPTHWISE_CONV_2D; unrolled: taps of filters up to which they are taken column by column."""
    g, (height, width) = step.params.geometry, node.input(1).shape[1:3]
    groups = Geometry(g.height, g.width, g.taps, g.output[3] // g.multiplier, 1, g.output)
    by_columns = g.multiplier == 1 and height * width <= unrolled
    params = operators.Ordered(groups, step.params.finish, products, by_columns)
    return replace(step, kernel=operators.convolve_channels, params=params)


def dense(products: operators.Products, node: Node, step: Step, _: Build) -> Step | None:
    """FULLY_CONNECTED, but for sparse filters."""
    return None if node.input(1).sparse else replace(step, kernel=operators.dense, params=(step.params, products))


def matrices(products: operators.Products, node: Node, step: Step, _: Build) -> Step:
    """BATCH_MATMUL."""
    return replace(step, kernel=operators.matrix_products, params=(step.params.adj_x, step.params.adj_y, products))


def another(kernel: Callable[..., Any], node: Node, step: Step, _: Build) -> Step:
    """A kernel that takes the same parameters."""
    return replace(step, kernel=kernel)


def curve(function: operators.Curve, node: Node, step: Step, _: Build) -> Step:
    """A function of one number."""
    return replace(step, params=function)


def gelu(node: Node, step: Step, build: Build) -> Step | None:
    """GELU, which is Eigen's in the reference kernels, too."""
    if node.options["approximate"]:
        return replace(step, params=float_functions.gelu_by_tanh)
    if build.vector == QUAD:
        of_one = partial(float_functions.gelu, exponential=library_functions.exp)
        return replace(step, params=partial(operators.flat, partial(float_functions.in_vectors, float_functions.gelu, of_one, QUAD)))
    estimate = processors_estimate("RECIPROCAL")
    if estimate is None:
        return None
    return replace(step, params=partial(float_functions.gelu, reciprocal=partial(float_functions.improved, estimate)))


def processors_estimate(name: str) -> operators.Curve | None:
    """An instruction of ``qcore.kernels.fast.estimates``, which loads a compiler; None where this processor does not have it."""
    from qcore.kernels.fast import estimates

    instruction = getattr(estimates, name)
    return partial(estimates.estimate, instruction) if estimates.available(instruction) else None


def softmax(exp: operators.Curve, sums: operators.Sums, divides: bool, node: Node, step: Step, _: Build) -> Step:
    """SOFTMAX."""
    return replace(step, kernel=operators.softmax, params=(step.params.beta, exp, sums, divides))


def log_softmax(exp: operators.Curve, sums: operators.Sums, node: Node, step: Step, _: Build) -> Step:
    """LOG_SOFTMAX."""
    return replace(step, kernel=operators.log_softmax, params=(exp, sums, library_functions.log))


REFERENCE: Mapping[str, Make] = MappingProxyType(
    {
        "AVERAGE_POOL_2D": as_it_is,
        "BATCH_MATMUL": partial(matrices, operators.in_turn),
        "CONV_2D": partial(convolution, operators.in_turn),
        "DEPTHWISE_CONV_2D": partial(depthwise, operators.in_turn, 0),
        "FULLY_CONNECTED": partial(dense, operators.in_turn),
        "GELU": gelu,
        "LOGISTIC": partial(curve, library_functions.logistic),
        "LOG_SOFTMAX": partial(log_softmax, library_functions.exp, operators.sums_in_turn),
        "MEAN": as_it_is,
        "RESIZE_BILINEAR": partial(another, operators.resize_by_corners),
        "SOFTMAX": partial(softmax, library_functions.exp, operators.sums_in_turn, True),
        "SUM": as_it_is,
        "TANH": partial(curve, library_functions.tanh),
        "TRANSPOSE_CONV": partial(another, operators.transposed_in_turn),
    }
)


def builtin_convolution(node: Node, step: Step, build: Build) -> Step:
    """CONV_2D: without threads, windows are the rows of a matrix, but for groups."""
    p = step.params
    if p.geometry.groups > 1:
        return step
    if build.threads > 1:
        return prepare_ordered(node, p.geometry, build.threads)
    rows, channels = math.prod(p.geometry.output[:3]), p.geometry.output[3]
    return replace(step, params=replace(p, product=matrix_product(rows, channels, p.depth, build.vector)))


def builtin_dense(node: Node, step: Step, build: Build) -> Step | None:
    """FULLY_CONNECTED, but for sparse filters."""
    p, (units, depth) = step.params, node.input(1).shape
    if p.product is None:
        return None
    return replace(step, params=replace(p, product=matrix_product(p.rows.count, units, depth, build.vector)))


def builtin_transposed(node: Node, step: Step, build: Build) -> Step:
    """TRANSPOSE_CONV."""
    p, (_, height, width, channels) = step.params, node.input(2).shape
    return replace(step, params=replace(p, product=matrix_product(height * width, p.geometry.products, channels, build.vector)))


def builtin_logistic(node: Node, step: Step, build: Build) -> Step:
    """LOGISTIC: what vectors of 4 leave over is taken from the C library's exponential."""
    function = float_functions.logistic
    if build.vector == QUAD:
        function = partial(operators.flat, partial(float_functions.in_vectors, function, float_functions.logistic_of_one, QUAD))
    return replace(step, params=function)


def builtin_softmax(node: Node, step: Step, build: Build) -> Step:
    """SOFTMAX: likewise."""
    exp = float_functions.exp
    if build.vector == QUAD:
        exp = partial(operators.flat, partial(float_functions.in_vectors, exp, library_functions.exp, QUAD))
    return softmax(exp, partial(sums_along_memory, vector=build.vector), False, node, step, build)


def builtin_log_softmax(node: Node, step: Step, build: Build) -> Step:
    """LOG_SOFTMAX: each row is taken in vectors by itself, and what they leave over from the C library."""
    exp = partial(float_functions.in_vectors, float_functions.exp, library_functions.exp, build.vector)
    sums = partial(operators.row_by_row, partial(sums_along_memory, vector=build.vector))
    return log_softmax(exp, sums, node, step, build)


def builtin_mean(node: Node, step: Step, build: Build) -> Step:
    """MEAN, where it takes rows."""
    if step.kernel is not mean.mean_of_rows:
        return step
    return replace(step, kernel=operators.mean_of_rows, params=(step.params, partial(sums_along_memory, vector=build.vector)))


def builtin_resize(node: Node, step: Step, _: Build) -> Step:
    """RESIZE_BILINEAR."""
    doubles = step.params.output[1:3] == tuple(2 * size for size in node.input(0).shape[1:3])
    plain = not (node.options["align_corners"] or node.options["half_pixel_centers"])
    return replace(step, kernel=operators.resize_doubled if doubles and plain else operators.resize_by_weights)


BUILTIN: Mapping[str, Make] = MappingProxyType(
    {
        "AVERAGE_POOL_2D": as_it_is,
        "BATCH_MATMUL": partial(matrices, operators.in_turn),
        "CONV_2D": builtin_convolution,
        "DEPTHWISE_CONV_2D": as_it_is,
        "FULLY_CONNECTED": builtin_dense,
        "GELU": gelu,
        "LOGISTIC": builtin_logistic,
        "LOG_SOFTMAX": builtin_log_softmax,
        "MEAN": builtin_mean,
        "RESIZE_BILINEAR": builtin_resize,
        "SOFTMAX": builtin_softmax,
        "SUM": as_it_is,
        "TANH": as_it_is,
        "TRANSPOSE_CONV": builtin_transposed,
    }
)


def delegated_pool(node: Node, step: Step, _: Build) -> Step | None:
    """AVERAGE_POOL_2D."""
    p = step.params
    elements = p.height.size * p.width.size * math.prod(step.shapes[0] or ())
    return replace(step, kernel=operators.window_averages) if elements <= LAID_OUT else None


def delegated_gelu(node: Node, step: Step, _: Build) -> Step:
    """GELU."""
    return replace(step, params=flushing(delegate_functions.gelu_by_tanh if node.options["approximate"] else delegate_functions.gelu))


def delegated_root(function: Callable[..., operators.Reals], node: Node, step: Step, _: Build) -> Step | None:
    """SQRT, RSQRT."""
    estimate = processors_estimate("RECIPROCAL_ROOT")
    return None if estimate is None else replace(step, params=partial(function, estimate))


def delegated_sum(node: Node, step: Step, _: Build) -> Step:
    """SUM."""
    return replace(step, kernel=operators.reduce_in_groups, params=(step.params, np.float32(1)))


def delegated_mean(node: Node, step: Step, _: Build) -> Step:
    """MEAN."""
    return replace(step, kernel=operators.reduce_in_groups, params=(step.params, np.float32(1) / np.float32(step.params.count)))


def delegated_softmax(node: Node, step: Step, build: Build) -> Step:
    """SOFTMAX."""
    in_vectors = softmax(delegate_functions.exp_below_zero, delegate_sums.sums_of_exponentials, False, node, step, build)
    return replace(in_vectors, kernel=operators.flushed_softmax)


def delegated_attention(node: Node, step: Step, _: Build) -> Step:
    """STABLEHLO_COMPOSITE: scaled dot-product attention of as many heads in keys as in queries, with no cap; else its decomposition."""
    if node.options["name"] != ATTENTION or not 3 <= len(node.inputs) <= 4:
        return step
    attributes, queries, keys = node.options["composite_attributes"], node.input(0).shape, node.input(1).shape
    options = custom_options(replace(node, custom_options=flexbuffers.Dumps({}) if attributes is None else attributes.tobytes()))
    capped = not math.isnan(options.real("logit_cap", math.nan))
    if capped or len(queries) != 4 or len(keys) != 4 or queries[2] % keys[2]:
        return step
    return replace(step, kernel=operators.attention, params=np.float32(options.real("scale", 1 / math.sqrt(queries[3]))))


XNNPACK: Mapping[str, Make] = MappingProxyType(
    {
        "AVERAGE_POOL_2D": delegated_pool,
        "BATCH_MATMUL": partial(matrices, delegate_sums.products),
        "CONV_2D": partial(convolution, delegate_sums.products),
        "DEPTHWISE_CONV_2D": partial(depthwise, delegate_sums.products, UNROLLED_TAPS),
        "FULLY_CONNECTED": partial(dense, delegate_sums.products),
        "GELU": delegated_gelu,
        "LOGISTIC": partial(curve, flushing(delegate_functions.logistic)),
        "MEAN": delegated_mean,
        "RESIZE_BILINEAR": partial(another, operators.resize_by_differences),
        "RSQRT": partial(delegated_root, delegate_functions.rsqrt),
        "SOFTMAX": delegated_softmax,
        "SQRT": partial(delegated_root, delegate_functions.sqrt),
        "STABLEHLO_COMPOSITE": delegated_attention,
        "SUM": delegated_sum,
        "TANH": partial(curve, flushing(delegate_functions.tanh)),
        "TRANSPOSE_CONV": partial(another, operators.transposed),
    }
)

ORDERS: Mapping[Arithmetic, Mapping[str, Make]] = MappingProxyType({"reference": REFERENCE, "builtin": BUILTIN, "xnnpack": XNNPACK})
"""By arithmetic and operator, what makes a step in order."""


def is_blockwise(node: Node) -> bool:
    """A dense layer of floats whose filter has a scale for each block."""
    return node.operator == "FULLY_CONNECTED" and node.input(0).dtype == "float32" and node.input(1).blocks is not None


def blockwise_zeros(node: Node, step: Step, _: Build) -> Step:
    """The reference kernel gives zeros."""
    return replace(step, kernel=fully_connected.zeros, params=(step.params.rows.shape, node.output.storage))


def builtin_blockwise(node: Node, step: Step, _: Build) -> Step:
    """The builtin kernel sums blocks in turn."""
    filter = node.input(1)
    assert filter.blocks is not None
    return replace(step, kernel=operators.blockwise, params=(step.params, filter.value, block_scale(node, filter, filter.blocks)))


def delegated_blockwise(node: Node, step: Step, build: Build) -> Step:
    """XNNPACK, where it takes the layer: scales have few bits, so that sums are exact."""
    filter = node.input(1)
    assert filter.blocks is not None
    if not takes_blocks(node, node.input(0), filter, node.optional_input(2), filter.blocks):
        return builtin_blockwise(node, step, build)
    if not build.nearest:
        return step
    scale = to_bfloat16(block_scale(node, filter, filter.blocks)).astype(np.float32)
    return replace(step, params=replace(step.params, filter=dequantize_blocks(filter.value, scale)))


BLOCKWISE: Mapping[Arithmetic, Make] = MappingProxyType(
    {"reference": blockwise_zeros, "builtin": builtin_blockwise, "xnnpack": delegated_blockwise}
)
"""By arithmetic, what makes a dense layer of blocks in order."""

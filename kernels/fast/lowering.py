"""Which planned step becomes which native calls: one row for each kernel of the reference that is covered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from qcore.kernels import (
    activation,
    addition,
    batch_matmul,
    concatenation,
    conv,
    conversion,
    depthwise,
    elementwise,
    fully_connected,
    mean,
    multiplication,
    pad,
    pool,
    reshape,
    resize,
    softmax,
    transpose_conv,
)
from qcore.kernels.fast.conversion import lower_quantize
from qcore.kernels.fast.convolution import lower_convolution, lower_dense
from qcore.kernels.fast.depthwise_lowering import lower_depthwise
from qcore.kernels.fast.elementwise_lowering import lower_look_up, lower_product, lower_sum
from qcore.kernels.fast.hybrid import lower_hybrid_convolution, lower_hybrid_dense, lower_hybrid_depthwise, lower_hybrid_pixels
from qcore.kernels.fast.matrices import lower_hybrid_matrix, lower_matrices
from qcore.kernels.fast.movement import lower_concatenation, lower_pad, lower_reshape
from qcore.kernels.fast.pooling_lowering import lower_average, lower_maximum, lower_real_average
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.real_convolution import lower_fused_convolution, lower_real_convolution, lower_real_dense, lower_real_depthwise
from qcore.kernels.fast.real_elementwise import lower_curve, lower_plain
from qcore.kernels.fast.real_reduction import lower_real_mean, lower_real_sum
from qcore.kernels.fast.real_softmax import lower_real_softmax
from qcore.kernels.fast.reduction_lowering import lower_sums
from qcore.kernels.fast.resize import lower_bilinear, lower_bilinear_uint8, lower_nearest
from qcore.kernels.fast.site import NotCovered, Site
from qcore.kernels.fast.softmax import lower_softmax_by_table, lower_softmax_in_float32
from qcore.kernels.fast.transposed import lower_hybrid_transposed, lower_transposed
from qcore.kernels.opdef import Step
from qcore.numerics.lookup_table import look_up
from qcore.numerics.vector_loop import VectorLoop, along_memory


def lower_along_memory(site: Site) -> list[Call]:
    """A vector loop over all elements: one operator for those in full vectors, another for those left over."""
    loop: VectorLoop = site.params
    output = site.outputs[0].reshape(-1)
    whole = output.size - output.size % loop.width
    calls = []
    for function, part in ((loop.vectors, slice(0, whole)), (loop.rest, slice(whole, output.size))):
        site.require(isinstance(function, partial), "a vector loop of functions without parameters")
        assert isinstance(function, partial)
        step = Step(function.func, function.args[0], site.step.shapes)
        inputs = tuple(None if x is None else x.reshape(-1)[part] for x in site.inputs)
        calls += lower(replace(site, step=step, inputs=inputs, outputs=(output[part],)))
    return calls


LOWERINGS: Mapping[Callable[..., Any], Callable[[Site], list[Call]]] = MappingProxyType(
    {
        activation.real_curve: lower_curve,
        addition.add_rescaled: lower_sum,
        along_memory: lower_along_memory,
        conv.convolve_in_order: lower_real_convolution,
        concatenation.concatenate: lower_concatenation,
        conv.convolve_real: lower_fused_convolution,
        conv.convolve_quantized: lower_convolution,
        conversion.quantize: lower_quantize,
        depthwise.convolve_quantized: lower_depthwise,
        depthwise.convolve_real: lower_real_depthwise,
        elementwise.plain: lower_plain,
        fully_connected.integer: lower_dense,
        conv.convolve_hybrid: lower_hybrid_convolution,
        conv.convolve_pixels: lower_hybrid_pixels,
        depthwise.convolve_hybrid: lower_hybrid_depthwise,
        fully_connected.hybrid: lower_hybrid_dense,
        batch_matmul.integer: lower_matrices,
        batch_matmul.hybrid: lower_hybrid_matrix,
        transpose_conv.convolve_quantized: lower_transposed,
        transpose_conv.convolve_hybrid: lower_hybrid_transposed,
        fully_connected.real: lower_real_dense,
        look_up: lower_look_up,
        mean.mean_float: lower_real_mean,
        mean.sum_float: lower_real_sum,
        mean.sum_quantized: lower_sums,
        multiplication.multiply: lower_product,
        pad.pad: lower_pad,
        pool.average_float: lower_real_average,
        pool.average_quantized: lower_average,
        pool.maximum: lower_maximum,
        reshape.reshape: lower_reshape,
        resize.bilinear: lower_bilinear,
        resize.bilinear_uint8: lower_bilinear_uint8,
        resize.nearest: lower_nearest,
        softmax.softmax_float: lower_real_softmax,
        softmax.softmax_by_table: lower_softmax_by_table,
        softmax.softmax_in_float32: lower_softmax_in_float32,
    }
)
"""By the reference's kernel."""


def lower(site: Site) -> list[Call]:
    """The calls that do what the site's step does.

    Raises:
        NotCovered: there are none, and why.
    """
    kernel = site.step.kernel
    lowering = LOWERINGS.get(kernel.func if isinstance(kernel, partial) else kernel)
    if lowering is None:
        raise NotCovered("there is no native kernel")
    return lowering(site)

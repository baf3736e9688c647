"""Which planned step becomes which native calls: one row for each kernel of the reference that is covered.

Rows are names, so that a model has only those modules imported that it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from types import MappingProxyType

from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import NotCovered, Site
from qcore.kernels.opdef import Step
from qcore.numerics.vector_loop import VectorLoop

LOWERINGS: Mapping[str, str] = MappingProxyType(
    {
        "kernels.activation.real_curve": "real_elementwise.lower_curve",
        "kernels.addition.add_rescaled": "elementwise_lowering.lower_sum",
        "kernels.batch_matmul.hybrid": "matrices.lower_hybrid_matrix",
        "kernels.batch_matmul.integer": "matrices.lower_matrices",
        "kernels.comparison.compare_rescaled": "elementwise_lowering.lower_comparison",
        "kernels.comparison.compare_plain": "plain.lower_function",
        "kernels.concatenation.concatenate": "movement.lower_concatenation",
        "kernels.conv.convolve_hybrid": "hybrid.lower_hybrid_convolution",
        "kernels.conv.convolve_in_order": "real_convolution.lower_real_convolution",
        "kernels.conv.convolve_pixels": "hybrid.lower_hybrid_pixels",
        "kernels.conv.convolve_quantized": "convolution.lower_convolution",
        "kernels.conv.convolve_real": "real_convolution.lower_fused_convolution",
        "kernels.conversion.dequantize": "conversion.lower_dequantize",
        "kernels.conversion.quantize": "conversion.lower_quantize",
        "kernels.conversion.scale_and_move": "conversion.lower_scale_and_move",
        "kernels.depthwise.convolve_hybrid": "hybrid.lower_hybrid_depthwise",
        "kernels.depthwise.convolve_quantized": "depthwise_lowering.lower_depthwise",
        "kernels.depthwise.convolve_real": "real_convolution.lower_real_depthwise",
        "kernels.elementwise.apply": "plain.lower_function",
        "kernels.elementwise.plain": "plain.lower_plain",
        "kernels.fully_connected.hybrid": "hybrid.lower_hybrid_dense",
        "kernels.fully_connected.integer": "convolution.lower_dense",
        "kernels.fully_connected.real": "real_convolution.lower_real_dense",
        "kernels.mean.mean_float": "real_reduction.lower_real_mean",
        "kernels.mean.sum_float": "real_reduction.lower_real_sum",
        "kernels.mean.sum_quantized": "reduction_lowering.lower_sums",
        "kernels.multiplication.multiply": "elementwise_lowering.lower_product",
        "kernels.pad.pad": "movement.lower_pad",
        "kernels.pool.average_float": "pooling_lowering.lower_real_average",
        "kernels.pool.average_quantized": "pooling_lowering.lower_average",
        "kernels.pool.maximum": "pooling_lowering.lower_maximum",
        "kernels.rectifier.clamp_float": "real_elementwise.lower_clamp",
        "kernels.rectifier.leaky_float": "real_elementwise.lower_leaky",
        "kernels.reshape.reshape": "movement.lower_reshape",
        "kernels.resize.bilinear": "resize.lower_bilinear",
        "kernels.resize.bilinear_uint8": "resize.lower_bilinear_uint8",
        "kernels.resize.nearest": "resize.lower_nearest",
        "kernels.softmax.softmax_by_table": "softmax.lower_softmax_by_table",
        "kernels.softmax.softmax_float": "real_softmax.lower_real_softmax",
        "kernels.softmax.softmax_in_float32": "softmax.lower_softmax_in_float32",
        "kernels.transpose_conv.convolve_hybrid": "transposed.lower_hybrid_transposed",
        "kernels.transpose_conv.convolve_quantized": "transposed.lower_transposed",
        "numerics.lookup_table.look_up": "elementwise_lowering.lower_look_up",
        "numerics.vector_loop.along_memory": "lowering.lower_along_memory",
    }
)
"""Module and function of a lowering, in this package, by those of the reference's kernel, in qcore."""


def lower(site: Site) -> list[Call]:
    """The calls that do what the site's step does.

    Raises:
        NotCovered: there are none, and why.
    """
    kernel = site.step.kernel
    function = kernel.func if isinstance(kernel, partial) else kernel
    name = ".".join(getattr(function, part, "") for part in ("__module__", "__qualname__")).removeprefix("qcore.")
    if name not in LOWERINGS:
        raise NotCovered("there is no native kernel")
    module, _, lowering = LOWERINGS[name].rpartition(".")
    calls: Callable[[Site], list[Call]] = getattr(import_module(f"qcore.kernels.fast.{module}"), lowering)
    return calls(site)


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

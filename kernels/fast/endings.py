"""What follows the sums of a weighted operator of codes, as constants and arguments of its kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.bytes_out import FLIP
from qcore.kernels.fast.lines import LineCodes, line
from qcore.kernels.fast.outputs import Codes, Output, WideWords, Words
from qcore.kernels.fast.products import gained
from qcore.kernels.fast.requantization import constants
from qcore.kernels.fast.site import NotCovered, Site
from qcore.kernels.opdef import Array
from qcore.kernels.weighted import QuantizedOutput


@dataclass(frozen=True, eq=False)
class Ending:
    """What becomes of the sums of some channels.

    output: its form.
    firsts: int64[channels], what the sums begin with. planes: the output's other constants, by channel.
    arguments: of the kernel, that the output's form needs; keep: arrays whose addresses these hold.
    """

    output: Output
    firsts: NDArray[np.int64]
    planes: tuple[NDArray[Any], ...]
    arguments: Mapping[str, int]
    keep: tuple[Array, ...] = ()

    def of(self, channels: slice) -> Ending:
        """That of some of them."""
        return replace(self, firsts=self.firsts[channels], planes=tuple(plane[channels] for plane in self.planes))


def quantized_ending(
    site: Site, input: np.dtype[Any], filter: Array, channels: slice, input_zero_point: int, finish: QuantizedOutput, bias: int = 2
) -> Ending:
    """Sums requantized to codes as wide as the inputs.

    Args:
        site: where bias and output are.
        input: type of the codes.
        filter: integers[channels, weights], less their zero point.
        channels: which of the output's channels these are.
        input_zero_point: of the codes.
        finish: what follows the sums.
        bias: which input is the bias.
    """
    values = site.inputs[bias] if len(site.inputs) > bias else None
    site.require(values is None or site.constant[bias], "the bias is computed at run time")
    greatest = 255 if input.itemsize == 1 else 1 << 15
    sums = filter.sum(axis=1, dtype=np.int64)
    biases = np.zeros(len(filter), np.int64) if values is None else values.reshape(-1)[channels].astype(np.int64)
    bound = greatest * int(np.abs(filter).sum(axis=1, dtype=np.int64).max(initial=0)) + int(np.abs(biases).max(initial=0))
    return code_ending(site, input, biases - (input_zero_point + gained(site.tier, input)) * sums, bound, channels, finish)


def code_ending(
    site: Site, input: np.dtype[Any], firsts: NDArray[np.int64], bound: int, channels: slice, finish: QuantizedOutput
) -> Ending:
    """Sums requantized to codes as wide as the inputs.

    Args:
        site: where the output is.
        input: type of the codes.
        firsts: int64[channels], what sums begin with.
        bound: no sum's magnitude is greater.
        channels: which of the output's channels these are.
        finish: what follows the sums.
    """
    site.require(site.outputs[0].itemsize == input.itemsize, "codes of 8 bits become codes of 16")
    from_zero = finish.activation_min >= finish.zero_point
    by = constants(finish.requantize, site.outputs[0].shape[-1], bound, from_zero)
    wide = finish.accumulator == np.int64 and bound >= 1 << 31
    if by is None or (wide and by.kind not in ("wide", "float64")):
        raise NotCovered(f"no requantization like {type(finish.requantize).__name__} of sums up to {bound}")
    to_code = FLIP if site.outputs[0].dtype == np.int8 else 0
    arguments = {
        "zero_point": finish.zero_point + to_code,
        "low": finish.activation_min + to_code,
        "high": finish.activation_max + to_code,
        "flip": to_code,
    }
    lowest, highest = finish.activation_min - finish.zero_point, finish.activation_max - finish.zero_point
    fitted = line(by.of(channels), lowest, highest, bound) if input.itemsize == 1 and site.tier.name == "avx512" else None
    if fitted is not None:
        return Ending(LineCodes(len(fitted.planes) == 4), firsts + fitted.start, fitted.planes, arguments)
    form = Codes if input.itemsize == 1 else WideWords if wide else Words
    return Ending(form(by.kind), firsts, by.of(channels).planes, arguments)

"""Averages and maxima of the windows of each channel by itself, of float32; averages add up row by row, as the reference's do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.float_sums import FLOAT, bounded
from qcore.kernels.fast.ir import F32, I32, Code, Value, Variable, number, vector
from qcore.kernels.fast.pooling import Arguments, every_pixel, line, span


@dataclass(frozen=True)
class RealPool:
    """A kernel; input and output are float32, a chunk is a vector, and low and high are bits of the activation's bounds."""

    operation: Literal["average", "maximum"]

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows of the output."""
        code = Code(name, Arguments)
        b, kind = code.builder, vector(F32, tier.lanes)
        low, high = (code.splat(b.bitcast(b.trunc(code[bound], I32), F32), tier.lanes) for bound in ("low", "high"))
        average = self.operation == "average"
        with code.loop(*code.share(code.multiply(code["images"], code["output_height"]))) as row:
            image, y = b.sdiv(row, code["output_height"]), b.srem(row, code["output_height"])
            rows = span(code, y, 0, None)
            pixels = code.at(code.pointer("input"), code.multiply(FLOAT, code.multiply(image, code.multiply(code["height"], line(code)))))
            with code.loop(0, code["output_width"]) as x, code.loop(0, code["chunks"]) as chunk:
                columns = span(code, x, 1, None)
                first = code.multiply(chunk, tier.lanes)
                start = code.at(pixels, code.multiply(first, FLOAT))
                value = code.variable(number(kind, 0.0 if average else float(np.finfo(np.float32).min)))

                def take(place: Value, start: Value = start, value: Variable = value) -> None:
                    one = code.load(kind, start, code.multiply(place, FLOAT))
                    value.set(b.fadd(value.get(), one) if average else code.elementwise("maximum", value.get(), one))

                every_pixel(code, rows, columns, take)
                result = value.get()
                if average:
                    count = code.multiply(rows.count, columns.count)
                    result = b.fdiv(result, code.splat(b.sitofp(count, F32), tier.lanes))
                place = code.multiply(code.add(code.multiply(row, code["output_width"]), x), code["channels"])
                to = code.at(code.pointer("output"), code.multiply(code.add(place, first), FLOAT))
                code.store_first(bounded(code, result, low, high), to, code.builder.sub(code["channels"], first))
        return code

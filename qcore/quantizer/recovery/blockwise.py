"""Codes and scales of weights in blocks: the functions of ``solve``, a block at a time.

A block is a problem of its own once it is said what the others do to it. For ``gptq`` that is how well the columns to come can make its
errors good: with ``H^-1 = U^T U``, errors e of block B cost ``|e U_BB^-1|^2``, and move what comes by ``-e U_BB^-1 U_B,``. For
``coordinate_descent`` it is the target that the errors E of the others leave it: ``T_B - (E H)_B H_BB^-1``.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import numpy as np

from qcore.quantizer.blocks import stored_scales
from qcore.quantizer.recovery.moments import Real
from qcore.quantizer.recovery.solve import (
    Curvature,
    Grid,
    Round,
    coordinate_descent,
    curved_error,
    fitted,
    gptq,
    refitted_scales,
    rounded,
)


def recovered_blocks(target: Real, scale: Real, curvature: Real, grid: Grid, methods: Collection[str]) -> tuple[Real, Real]:
    """Codes, and the scales of blocks as files hold them.

    Args:
        target: T, float64[1, outputs, depth], real units.
        scale: that blocks have now, float64[1, outputs, blocks], real units per step.
        curvature: H, float64[1, depth, depth].
        grid: of the codes.
        methods: of "gptq" and "weight_scales", those to use; without the former, codes are rounded.

    Returns:
        Integers in float64[1, outputs, depth], and float64[1, outputs, blocks].

    Raises:
        LinAlgError: H is not positive definite.
    """
    factor = Curvature(curvature).factor if "gptq" in methods else None
    codes, errors, scale = np.empty_like(target), np.empty_like(target), scale.copy()
    for number, block in _blocks(target, scale):
        part = target[..., block]
        if factor is None:
            local, to_codes = curvature[:, block, block], partial(rounded, grid=grid)
        else:
            within = factor[:, block, block]
            pulled = errors[..., : block.start] @ factor[:, : block.start, block]
            part = part - pulled @ np.linalg.inv(within)
            local, to_codes = within @ within.swapaxes(1, 2), partial(gptq, factor=within, grid=grid)
        if "weight_scales" in methods:
            scale[..., number] = _fitted(part, local, grid, to_codes)
        codes[..., block] = to_codes(part, scale[..., number])
        errors[..., block] = codes[..., block] * scale[..., number, np.newaxis] - target[..., block]
    return codes, scale


def descended_blocks(codes: Real, target: Real, scale: Real, curvature: Real, grid: Grid, refit: bool) -> tuple[Real, Real]:
    """One sweep of coordinate descent over all blocks, whose scales then follow their codes if ``refit``; the error never grows.

    Args and returns: as for ``recovered_blocks``.
    """
    codes, scale = codes.copy(), scale.copy()
    slope = (codes * np.repeat(scale, target.shape[2] // scale.shape[2], axis=2) - target) @ curvature
    for number, block in _blocks(target, scale):
        local, step = curvature[:, block, block], scale[..., number]
        before = codes[..., block] * step[..., np.newaxis]
        wanted = before - np.linalg.solve(local, slope[..., block].swapaxes(1, 2)).swapaxes(1, 2)
        codes[..., block] = coordinate_descent(codes[..., block], wanted, step, local, grid)
        if refit:
            other = _stored(refitted_scales(codes[..., block], wanted, step, local, np.zeros_like(step)))
            error, others = (curved_error(codes[..., block], wanted, each, local) for each in (step, other))
            scale[..., number] = np.where(others < error, other, step)
        slope += (codes[..., block] * scale[..., number, np.newaxis] - before) @ curvature[:, block]
    return codes, scale


def _blocks(target: Real, scale: Real) -> list[tuple[int, slice]]:
    size = target.shape[2] // scale.shape[2]
    return [(number, slice(number * size, (number + 1) * size)) for number in range(scale.shape[2])]


def _fitted(target: Real, curvature: Real, grid: Grid, to_codes: Round) -> Real:
    least = np.zeros(target.shape[:2])
    return _stored(fitted(target, curvature, grid, least, per_channel=True, to_codes=to_codes)[1])


def _stored(scale: Real) -> Real:
    return stored_scales(scale).astype(np.float64)

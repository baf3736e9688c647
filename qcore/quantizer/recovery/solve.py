"""Weights and biases that make a quantized operator compute what the float one does, as functions of matrices; no model in sight.

Notation, for each group of weights: W float64[outputs, depth] the float weights, b their bias; Q the integer codes, s the scale of each
row, so that ``Q s`` are the quantized weights; m_f, m_q the mean inputs of the float and the quantized operator, A = cov(x_q),
C = cov(x_f, x_q). The output of the quantized operator errs by

    E = (W x_f + b) - (Q s x_q + b')
    mean E = W m_f + b - Q s m_q - b'
    var E  = const - 2 W C (Q s)^T + Q s A (Q s)^T     (its diagonal)

Every function here is exact arithmetic in float64 on these, and deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qcore.numerics.rounding import round_half_away
from qcore.quantizer.recovery.moments import Moments, Real

BLOCK = 64
"""Columns that are worked on before the rest of a matrix hears of it: two matrix products in place of as many rank-one updates."""

AT_ONCE = 1 << 21
"""Weights that are rounded in one go, of several candidates for their scales: columns come one after another, rows cost little more."""

PULLS = (math.inf, 100.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""Of least squares towards the float weights, as parts of the inputs' mean variance: candidates, the strongest first."""


@dataclass(frozen=True)
class Grid:
    """The codes that a weight may have.

    low, high: the least and the greatest.
    parts: of a row's greatest magnitude, that the greatest code may stand for: candidates of a scale.
    """

    low: int
    high: int
    parts: tuple[float, ...]

    def nearest(self, steps: Real) -> Real:
        """The codes nearest to numbers of steps."""
        return np.minimum(np.maximum(round_half_away(steps), self.low), self.high)


INT8 = Grid(-127, 127, (1.0, 0.95, 0.9, 0.85, 0.8))
INT4 = Grid(-8, 7, (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4))

Round = Callable[[Real, Real], Real]
"""From weights and scales to codes."""


def corrected_bias(weights: Real, bias: Real, quantized: Real, moments: Moments) -> Real:
    """The bias that takes the mean error out: ``b' = b + W m_f - Q s m_q``.

    Args:
        weights: W, float64[groups, outputs, depth], real units.
        bias: b, float64[groups, outputs], real units.
        quantized: Q s, like weights.
        moments: of the inputs.

    Returns:
        float64[groups, outputs], real units.

    Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, with means from data.
    """
    return bias + _per_row(weights, moments.mean_f) - _per_row(quantized, moments.mean_q)


def squared_error(weights: Real, bias: Real, quantized: Real, quantized_bias: Real, moments: Moments) -> Real:
    """Mean squared error of each output before its activation, less what no choice of weights changes: float64[groups, outputs].

    Args: as for ``corrected_bias``; quantized_bias: b'.
    """
    mean = corrected_bias(weights, bias, quantized, moments) - quantized_bias
    crossed = np.einsum("god,god->go", weights @ moments.cov_fq, quantized)
    return np.asarray(mean**2 - 2 * crossed + np.einsum("god,god->go", quantized @ moments.cov_q, quantized))


def least_squares_target(weights: Real, moments: Moments, pull: float) -> Real:
    """The real weights that come closest to the float outputs from quantized inputs: ``W (C + l I) (A + l I)^-1``.

    They make good for what rounding did to the inputs, in this operator and before it. ``l = pull * mean(diag A)`` pulls towards W.

    Args:
        weights: W, float64[groups, outputs, depth], real units.
        moments: of the inputs.
        pull: above 0; infinite for W itself.

    Raises:
        LinAlgError: moments that are not finite, or so far apart that float64 does not tell A from a singular matrix.
    """
    if np.isinf(pull):
        return weights
    ridge = pull * _mean_variance(moments.cov_q) * np.eye(weights.shape[-1])
    wanted = weights @ (moments.cov_fq + ridge)
    return np.asarray(np.linalg.solve(moments.cov_q + ridge, wanted.swapaxes(1, 2)).swapaxes(1, 2))


def best_pull(weights: Real, bias: Real, fitted: Moments, held_out: Moments) -> float:
    """The pull at which least squares, learned from some samples, comes closest to the float outputs on others, nothing rounded.

    Few or similar samples for the depth make it strong: what they say of how inputs go together holds for them alone.

    Args:
        weights: W, float64[groups, outputs, depth], real units.
        bias: b, float64[groups, outputs], real units.
        fitted: moments of the inputs in the samples to learn from.
        held_out: in those to judge by.

    Returns:
        One of PULLS; infinity where there are fewer samples than weights of an output, which fit anything.
    """
    if fitted.count < weights.shape[-1]:
        return math.inf

    def error(pull: float) -> float:
        try:
            target = least_squares_target(weights, fitted, pull)
        except np.linalg.LinAlgError:
            return math.inf
        return float(squared_error(weights, bias, target, corrected_bias(weights, bias, target, fitted), held_out).sum())

    return min(PULLS, key=error)


@dataclass(frozen=True, eq=False)
class Curvature:
    """How the squared error of outputs grows with that of weights.

    matrix: H, float64[groups, depth, depth].
    """

    matrix: Real

    @classmethod
    def of(cls, moments: Moments, shrink: float = 1.0) -> Curvature:
        """``A + max(0.01, shrink D / N) mean(diag A) I``: with enough on its diagonal to be inverted.

        A is centred, since the bias takes every mean error out. Few rows for their depth say little about how weights go together, and so
        count less.
        """
        depth = moments.cov_q.shape[-1]
        damping = max(0.01, shrink * depth / moments.count) * _mean_variance(moments.cov_q)
        return cls(np.asarray(moments.cov_q + damping * np.eye(depth)))

    @cached_property
    def factor(self) -> Real:
        """The upper triangular M of ``H = M M^T``: float64[groups, depth, depth].

        Raises:
            LinAlgError: H is not positive definite.
        """
        return np.asarray(np.linalg.cholesky(self.matrix[:, ::-1, ::-1])[:, ::-1, ::-1])


def fitted(target: Real, curvature: Real, grid: Grid, least: Real, per_channel: bool, to_codes: Round) -> tuple[Real, Real]:
    """The scales, some of which clip, at which a way of rounding gives outputs the least error; and the codes.

    Args:
        target: T, float64[groups, outputs, depth], real units.
        curvature: H, float64[groups, depth, depth].
        grid: of the codes.
        least: float64[groups, outputs], no scale may be below.
        per_channel: a scale for each row, else one for all.
        to_codes: the way of rounding.

    Returns:
        Integers in float64[groups, outputs, depth], and float32 values in float64[groups, outputs], real units per step.
    """
    reach = np.abs(target).max(axis=-1)
    reach = reach if per_channel else np.full_like(reach, reach.max())
    codes, scale, least_error = np.zeros_like(target), np.zeros_like(reach), np.full_like(reach, np.inf)
    at_once = max(1, AT_ONCE // target.size)
    for start in range(0, len(grid.parts), at_once):
        candidates = [stored(np.maximum(reach * (part / grid.high), least)) for part in grid.parts[start : start + at_once]]
        together = to_codes(np.tile(target, (1, len(candidates), 1)), np.concatenate(candidates, axis=1))
        for tried, found in zip(candidates, np.split(together, len(candidates), axis=1), strict=True):
            error = curved_error(found, target, tried, curvature)
            better = error < least_error if per_channel else np.full(reach.shape, error.sum() < least_error.sum())
            codes, scale = np.where(better[..., np.newaxis], found, codes), np.where(better, tried, scale)
            least_error = np.where(better, error, least_error)
    return codes, scale


def curved_error(codes: Real, target: Real, scale: Real, curvature: Real) -> Real:
    """``(Q s - T) H (Q s - T)^T``, its diagonal: float64[groups, outputs]. What the outputs err by that the bias does not take out."""
    apart = codes * scale[..., np.newaxis] - target
    return np.asarray(np.einsum("god,god->go", apart @ curvature, apart))


def stored(scale: Real) -> Real:
    """Scales as a file holds them, float32, and none of them 0."""
    return np.maximum(scale.astype(np.float32), np.finfo(np.float32).tiny).astype(np.float64)


def rounded(target: Real, scale: Real, grid: Grid) -> Real:
    """The nearest codes: integers in float64[groups, outputs, depth]."""
    return grid.nearest(target / scale[..., np.newaxis])


def gptq(target: Real, scale: Real, factor: Real, grid: Grid) -> Real:
    """Codes column by column; what rounding a column does wrong, the columns to come make good as far as they can.

    With ``e = Q s - T`` the error is ``|e M|^2``, and column k is the first that the errors before it do not touch any more: it is rounded
    from ``T_k - sum of e_j M_jk / M_kk`` over all j before k, at which its part of the error would be 0.

    Args:
        target: T, float64[groups, outputs, depth], real units.
        scale: float64[groups, outputs], real units per step.
        factor: M, of ``Curvature``.
        grid: of the codes.

    Returns:
        Integers in float64[groups, outputs, depth].

    Source: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", 2022, which keeps the
    inverse of M in place of M; the codes are the same.
    """
    columns = np.ascontiguousarray(target.swapaxes(1, 2))
    codes, errors = np.empty_like(columns), np.empty_like(columns)
    for start in range(0, len(columns[0]), BLOCK):
        block = slice(start, start + BLOCK)
        within = factor[:, block, block]
        pulled = factor[:, :start, block].swapaxes(1, 2) @ errors[:, :start]
        for j in range(within.shape[-1]):
            wanted = columns[:, start + j] - pulled[:, j] / within[:, j, j, np.newaxis]
            codes[:, start + j] = rounded(wanted[..., np.newaxis], scale, grid)[..., 0]
            errors[:, start + j] = codes[:, start + j] * scale - columns[:, start + j]
            pulled[:, j + 1 :] += within[:, j, j + 1 :, np.newaxis] * errors[:, start + j, np.newaxis]
    return codes.swapaxes(1, 2)


def coordinate_descent(codes: Real, target: Real, scale: Real, curvature: Real, grid: Grid) -> Real:
    """Codes changed one at a time, each to what is best while the others stay, once over all columns: the error never grows.

    The error is that of ``curved_error``.

    Args:
        codes: where to start, integers in float64[groups, outputs, depth].
        target: T, like codes, real units.
        scale: float64[groups, outputs], real units per step.
        curvature: H, float64[groups, depth, depth], positive definite.
        grid: of the codes.

    Source: Behdin et al., "QuantEase: Optimization-based Quantization for Language Models", 2023.
    """
    columns = codes.swapaxes(1, 2).copy()
    slope = curvature @ (codes * scale[..., np.newaxis] - target).swapaxes(1, 2)
    for start in range(0, len(columns[0]), BLOCK):
        block, after = slice(start, start + BLOCK), slice(start + BLOCK, None)
        within, before = curvature[:, block, block], columns[:, block].copy()
        for j in range(within.shape[-1]):
            old = columns[:, start + j].copy()
            wanted = old - slope[:, start + j] / (within[:, j, j, np.newaxis] * scale)
            columns[:, start + j] = grid.nearest(wanted)
            change = (columns[:, start + j] - old) * scale
            slope[:, start + j + 1 : start + BLOCK] += within[:, j, j + 1 :, np.newaxis] * change[:, np.newaxis]
        slope[:, after] += curvature[:, after, block] @ ((columns[:, block] - before) * scale[:, np.newaxis])
    return columns.swapaxes(1, 2)


def refitted_scales(codes: Real, target: Real, scale: Real, curvature: Real, least: Real) -> Real:
    """The scales that suit codes best, ``<T H, Q> / <Q H, Q>`` for each row; where codes say nothing, the scale they have.

    Args: as for ``coordinate_descent``; least: float64[groups, outputs], no scale may be below.
    """
    curved = codes @ curvature
    wanted, given = np.einsum("god,god->go", curved, target), np.einsum("god,god->go", curved, codes)
    best = np.divide(wanted, given, out=scale.copy(), where=(given > 0) & (wanted > 0))
    return stored(np.maximum(best, least))


def _per_row(weights: Real, mean: Real) -> Real:
    return np.asarray(np.einsum("god,gd->go", weights, mean))


def _mean_variance(covariance: Real) -> Real:
    """float64[groups, 1, 1]: the mean of the diagonal; 1 where all inputs are constant, so that no group is ever singular."""
    mean = covariance.diagonal(axis1=1, axis2=2).mean(axis=1)[:, np.newaxis, np.newaxis]
    return np.where(mean > 0, mean, 1.0)

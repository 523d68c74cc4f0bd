"""Closed forms for linear and nearly linear nets, from the papers they are named after.

W = W_d … W_1 is rows × cols, W_j is k_j × k_{j−1} with independent entries of standard deviation s_j. ``shapes`` lists
the (k_j, k_{j−1}) and ``scales`` the s_j, both from the input on.
"""

from __future__ import annotations

import math

import mpmath
import numpy as np
from scipy import stats
from scipy.special import digamma

from bayesgc.models import SCALINGS

Shapes = list[tuple[int, int]]


def scales_of(shapes: Shapes, scaling: str = "fan-out") -> list[float]:
    return [SCALINGS[scaling](*shape) for shape in shapes]


def width_free_draws(shapes, scales, draws: int, seed: int, missing: int = 0) -> np.ndarray:
    """(draw, rows, cols): a Gaussian rows × k matrix is L Q with L lower triangular, L_ii ~ χ_{k−i+1} (Bartlett 1933).

    Holds when every hidden width is at least ``rows``. ``missing`` takes degrees of freedom away, to be wrong on
    purpose.
    """
    rng = np.random.default_rng(seed)
    rows, cols = shapes[-1][0], shapes[0][1]
    value = rng.standard_normal((draws, rows, cols))
    for _, width in shapes[1:]:
        lower = np.tril(rng.standard_normal((draws, rows, rows)), -1)
        freedom = width - np.arange(rows) - missing
        lower[:, range(rows), range(rows)] = np.sqrt(rng.chisquare(freedom, (draws, rows)))
        value = lower @ value
    return math.prod(scales) * value


def trace_moments(shapes, scales) -> tuple[float, float]:
    """E[(tr M)²] and E[tr M²] of M = W Wᵀ, by Wishart moments one layer at a time (Hanin and Nica 2020)."""
    p = shapes[0][1]
    a, b = float(p * p), float(p)
    for rows, _ in shapes:
        a, b = rows**2 * a + 2 * rows * b, rows * a + rows * (rows + 1) * b
    factor = math.prod(scale**4 for scale in scales)
    return factor * a, factor * b


def mean_log_det(shapes, scales) -> float:
    """E log det W Wᵀ for rows no larger than any width or cols (Newman 1986)."""
    rows, cols = shapes[-1][0], shapes[0][1]
    sizes = [width for _, width in shapes[1:]] + [cols]
    gammas = sum(math.log(2) + digamma((m - i) / 2) for m in sizes for i in range(rows))
    return 2 * rows * sum(math.log(scale) for scale in scales) + gammas


def linear_second_moment(shapes, scales, uniform: bool = False) -> float:
    """E W_ij² of a linear net: Π s_j² Π_{j<d} k_j; a uniform entry has a third of the variance."""
    widths = math.prod(rows for rows, _ in shapes[:-1])
    return math.prod(scale**2 for scale in scales) * widths * (3.0 ** -len(shapes) if uniform else 1.0)


def leaky_kernel(cols: int, rows: int, slope: float) -> np.ndarray:
    """E K, K = s_d² HᵀH, at depth two with fan-out scaling: the arc-cosine kernel of orthogonal inputs (Cho and Saul
    2009)."""
    off = (1 - slope) ** 2 / (2 * math.pi * rows)
    return np.full((cols, cols), off) + np.eye(cols) * ((1 + slope**2) / (2 * rows) - off)


def column_norms(shapes, scales, draws: int, seed: int, *, relu: bool = False) -> np.ndarray:
    """‖W e_1‖²: a product of χ² variables, of which a ReLU layer keeps Binomial(k, ½) degrees of freedom; none of them
    is an atom at zero (Hanin and Nica 2020)."""
    rng = np.random.default_rng(seed)
    total = np.full(draws, math.prod(scale**2 for scale in scales))
    for j, (rows, _) in enumerate(shapes):
        hidden = j < len(shapes) - 1
        freedom = rng.binomial(rows, 0.5, draws) if relu and hidden else np.full(draws, rows)
        total *= np.where(freedom > 0, rng.chisquare(np.maximum(freedom, 1)), 0.0)
    return total


def gaussian_log_volume(task, eps: float) -> float:
    """log P(L_train < ε) of a matrix of independent N(0, 1/rows) entries under orthonormal measurements."""
    n, variance = task.measurements.count, 1 / task.shape[0]
    return float(stats.ncx2.logcdf(n * eps / variance, n, float(np.sum(task.targets**2)) / variance))


def meijer_evidence(square: float, count: int, widths: tuple[int, ...], rows: int) -> float:
    """p(y) for orthonormal aᵢ, a unit shared vector and ‖y‖² = ``square``, with fan-out scaling."""
    scale = math.prod(2 / width for width in (*widths, rows))
    shifts = [0.0, *((width - count) / 2 for width in widths)]
    gammas = math.prod(math.gamma(width / 2) for width in widths)
    value = mpmath.meijerg([[], []], [shifts, []], square / scale)
    return float(value) * (math.pi * scale) ** (-count / 2) / gammas

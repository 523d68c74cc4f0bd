"""E σ(x)σ(y) of normals x, y around zero: what a layer of infinitely many hidden units hands on.

A homogeneous activation is σ(x) = αx + β|x|, and for x, y with covariance V, where the mixed terms vanish by symmetry,

    E σ(x)σ(y) = α² V_xy + β² (2/π) √(V_xx V_yy) (√(1 − ρ²) + ρ asin ρ),    ρ = V_xy / √(V_xx V_yy),

which is half the arc-cosine kernel of order 1 of Cho and Saul (2009) for α = β = ½.

The logistic law is a mixture over its scale of normals (Andrews and Mallows 1974), so that
tanh(x) = E erf(x / √2 K) for K of Kolmogorov's law. The kernel of error functions is that of Williams (1998), hence

    E tanh(x) tanh(y) = E (2/π) asin(V_xy / √((V_xx + K²)(V_yy + L²)))    for independent K, L.

The mean is taken by the trapezoidal rule in log K, where the density falls doubly exponentially either way: with the
nodes below tanh is right to 10⁻¹³ everywhere, and so is the kernel to twice that, whatever V is.
"""

from __future__ import annotations

import functools
import math

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.models.activations import Activation

_FIRST, _STEP, _NODES = -1.65, 0.14, 22
"""The logarithms of the scales."""
_TERMS = 8
"""Of the series of Kolmogorov's density, of which each is below the one before by more than it takes."""
_AT_ONCE = 2**14
"""Entries of a kernel that are made together, so that they stay in a cache."""


def why_no_kernel(activation: Activation) -> str | None:
    """Why E σ(x)σ(y) is not known here; None where it is."""
    if activation.homogeneous or activation.name in _MIXTURES:
        return None
    known = " or ".join(_MIXTURES)
    return f"the kernel of {activation.name!r} is not known here; take {known}, or one that is positively homogeneous"


def expected_products(activation: Activation, covariance: Float[Tensor, "input input"]) -> Float[Tensor, "input input"]:
    """E σ(x)σ(x)ᵀ of x ~ N(0, covariance), in double precision.

    Raises:
        ValueError: for an activation of which `why_no_kernel` says why.
    """
    if reason := why_no_kernel(activation):
        raise ValueError(reason)
    if activation.homogeneous:
        return _of_homogeneous(activation, covariance)
    scales, shares = _MIXTURES[activation.name]()
    found, count = torch.empty_like(covariance), len(covariance)
    variances, step = covariance.diagonal(), max(1, _AT_ONCE // max(count, 1))
    for start in range(0, count, step):
        rows, others = slice(start, start + step), slice(start, count)
        part = _of_mixture(scales, shares, covariance[rows, others], variances[rows], variances[others])
        found[rows, others], found[others, rows] = part, part.mT
    return found


def _of_homogeneous(activation: Activation, covariance: Float[Tensor, "input input"]) -> Float[Tensor, "input input"]:
    right, left = activation(torch.tensor([1.0, -1.0], dtype=torch.float64)).tolist()
    odd, even = (right - left) / 2, (right + left) / 2
    if even == 0:
        return odd**2 * covariance
    deviations = covariance.diagonal().sqrt()
    sizes = torch.outer(deviations, deviations)
    # An input of zero has no correlation; the factor in front is zero then.
    correlation = torch.where(sizes > 0, covariance / sizes, 0.0).clamp(-1, 1)
    # As a product, which keeps its digits where inputs are almost the same.
    sine = ((1 - correlation) * (1 + correlation)).sqrt()
    return odd**2 * covariance + even**2 * (2 / math.pi) * sizes * (sine + correlation * correlation.asin())


def _of_mixture(
    scales: list[float],
    shares: list[float],
    covariance: Float[Tensor, "row input"],
    rows: Float[Tensor, " row"],
    cols: Float[Tensor, " input"],
) -> Float[Tensor, "row input"]:
    """The kernel of Σ share · erf(x / √2 scale), some rows of it, from the variances of rows and columns."""
    found = torch.zeros_like(covariance)
    right = [(cols + scale**2).rsqrt() for scale in scales]
    for scale, share in zip(scales, shares, strict=True):
        part = covariance * (rows + scale**2).rsqrt()[:, None]
        for other, its in zip(right, shares, strict=True):
            found.add_((part * other).clamp_(-1, 1).asin_(), alpha=2 / math.pi * share * its)
    return found


@functools.cache
def _of_tanh() -> tuple[list[float], list[float]]:
    """Scales and shares of tanh as a mixture of error functions."""
    scales = (_FIRST + _STEP * torch.arange(_NODES, dtype=torch.float64)).exp()
    shares = scales * _kolmogorov(scales)
    return scales.tolist(), (shares / shares.sum()).tolist()


def _kolmogorov(scales: Float[Tensor, " scale"]) -> Float[Tensor, " scale"]:
    """The density of Kolmogorov's law, by that of its two series which converges fast there."""
    terms = torch.arange(1, _TERMS + 1, dtype=torch.float64)[:, None]
    large = 8 * scales * (-((-1) ** terms) * terms**2 * (-2 * (terms * scales) ** 2).exp()).sum(0)
    exponents = ((2 * terms - 1) * math.pi / scales).square() / 8
    small = (2 * math.pi) ** 0.5 / scales**2 * ((2 * exponents - 1) * (-exponents).exp()).sum(0)
    return torch.where(scales < 1, small, large)


_MIXTURES = {"tanh": _of_tanh}
"""Activations that are mixtures of error functions."""

"""Transports of single numbers and of what is built from them entry by entry."""

from __future__ import annotations

import math

import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.models.placement import at_home
from bayesgc.models.transports.gamma import log_gamma_quantile
from bayesgc.models.transports.registry import Law, register_scales, register_transport, transport_of
from bayesgc.models.transports.tails import log_tail, tail

Values = Float[Tensor, "*batch"]


@register_transport(dist.Normal)
def _normal(fn: Law, z: Values) -> Values:
    return fn.loc + fn.scale * z


@register_transport(dist.Uniform)
def _uniform(fn: Law, z: Values) -> Values:
    # By the odd function erf and not by Φ, which is exact in one tail only.
    half = (fn.high - fn.low) / 2
    return fn.low + half + half * torch.erf(z * math.sqrt(0.5))


@register_transport(dist.Exponential)
def _exponential(fn: Law, z: Values) -> Values:
    return -log_tail(z) / fn.rate


@register_transport(dist.HalfNormal)
def _half_normal(fn: Law, z: Values) -> Values:
    return -fn.scale * torch.special.ndtri(tail(z.double()) / 2).to(z.dtype)


@register_transport(dist.Cauchy)
def _cauchy(fn: Law, z: Values) -> Values:
    # The heavy tails by symmetry: near 1 the digits of Φ are lost.
    return fn.loc + fn.scale * z.sign() / (math.pi * tail(z.abs())).tan()


@register_transport(dist.HalfCauchy)
def _half_cauchy(fn: Law, z: Values) -> Values:
    return fn.scale / (math.pi / 2 * tail(z)).tan()


@register_transport(dist.Gamma)
def _gamma(fn: Law, z: Values) -> Values:
    return log_gamma_quantile(at_home(fn).concentration, z).exp() / fn.rate


@register_transport(dist.Beta, normals=lambda fn: (2,))
def _beta(fn: Law, z: Tensor) -> Tensor:
    # In logarithms: both gamma variables may be beyond the range of numbers.
    home = at_home(fn)
    first = log_gamma_quantile(home.concentration1, z[..., 0])
    other = log_gamma_quantile(home.concentration0, z[..., 1])
    return torch.sigmoid(first - other)


@register_transport(dist.FisherSnedecor, normals=lambda fn: (2,))
def _fisher_snedecor(fn: Law, z: Tensor) -> Tensor:
    home = at_home(fn)
    first, other = log_gamma_quantile(home.df1 / 2, z[..., 0]), log_gamma_quantile(home.df2 / 2, z[..., 1])
    return (first - other).exp() * fn.df2 / fn.df1


@register_scales(dist.StudentT, normals=lambda fn: 1)
def _student_t(fn: Law, z: Tensor) -> Tensor:
    # χ²_df is twice a gamma variable of concentration df/2.
    return fn.scale * (fn.df / 2).sqrt() * (-0.5 * log_gamma_quantile(at_home(fn).df / 2, z[..., 0])).exp()


@register_scales(dist.Laplace, normals=lambda fn: 1)
def _laplace(fn: Law, z: Tensor) -> Tensor:
    # The variance is 2·scale² times an exponential variable (Andrews and Mallows 1974).
    return fn.scale * (-2 * log_tail(z[..., 0])).sqrt()


@register_transport(dist.Bernoulli)
def _bernoulli(fn: Law, z: Values) -> Values:
    return (tail(z) < fn.probs).to(z.dtype)


@register_transport(dist.Geometric)
def _geometric(fn: Law, z: Values) -> Values:
    return torch.floor(log_tail(z) / torch.log1p(-fn.probs))


@register_transport(dist.Categorical)
def _categorical(fn: Law, z: Values) -> Tensor:
    # All thresholds but the last one, which rounding may put below 1.
    edges = fn.probs.cumsum(-1)[..., :-1]
    return (tail(-z)[..., None] > edges).sum(-1)


@register_transport(dist.OneHotCategorical, normals=lambda fn: ())
def _one_hot_categorical(fn: Law, z: Tensor) -> Tensor:
    chosen = _categorical(fn, z)[..., None]
    return (chosen == torch.arange(fn.event_shape[0], device=z.device)).to(z.dtype)


@register_transport(dist.Delta)
def _delta(fn: Law, z: Tensor) -> Tensor:
    return fn.v.expand(z.shape)


def _inside(fn: Law) -> tuple[int, ...]:
    """The normals of the distribution inside, with those of its batch dimensions that are part of the event."""
    inner = fn.base_dist
    extra = len(inner.batch_shape) - len(fn.batch_shape)
    own = transport_of(inner, f"inside {type(fn).__name__}").normals(inner)
    return (*(inner.batch_shape[len(inner.batch_shape) - extra :] if extra > 0 else ()), *own)


@register_transport(dist.Independent, normals=_inside)
def _independent(fn: Law, z: Tensor) -> Tensor:
    return transport_of(fn.base_dist, "inside Independent").push(fn.base_dist, z)


@register_transport(dist.ExpandedDistribution, normals=_inside)
def _expanded(fn: Law, z: Tensor) -> Tensor:
    return transport_of(fn.base_dist, "inside ExpandedDistribution").push(fn.base_dist, z)


@register_transport(dist.MaskedDistribution, normals=_inside)
def _masked(fn: Law, z: Tensor) -> Tensor:
    return transport_of(fn.base_dist, "inside MaskedDistribution").push(fn.base_dist, z)


@register_transport(dist.TransformedDistribution, normals=_inside)
def _transformed(fn: Law, z: Tensor) -> Tensor:
    # In double precision: a base in [0, 1] would cut heavy tails off.
    value = transport_of(fn.base_dist, "inside TransformedDistribution").push(fn.base_dist, z.double())
    for transform in fn.transforms:
        value = transform(value)
    return value.to(z.dtype)

"""Transports of vectors, matrices and mixtures."""

from __future__ import annotations

import math

import pyro.distributions as dist
import torch
from torch import Tensor

from bayesgc.models.placement import at_home
from bayesgc.models.transports.gamma import log_gamma_quantile
from bayesgc.models.transports.registry import Law, register_transport, transport_of


@register_transport(dist.MultivariateNormal)
def _multivariate_normal(fn: Law, z: Tensor) -> Tensor:
    return fn.loc + (fn.scale_tril.to(z.dtype) @ z[..., None])[..., 0]


@register_transport(dist.LowRankMultivariateNormal, normals=lambda fn: (fn.cov_factor.shape[-1] + fn.event_shape[0],))
def _low_rank_normal(fn: Law, z: Tensor) -> Tensor:
    rank = fn.cov_factor.shape[-1]
    return fn.loc + (fn.cov_factor.to(z.dtype) @ z[..., :rank, None])[..., 0] + fn.cov_diag.sqrt() * z[..., rank:]


@register_transport(dist.MultivariateStudentT, normals=lambda fn: (fn.event_shape[0] + 1,))
def _multivariate_student_t(fn: Law, z: Tensor) -> Tensor:
    spread = (fn.df / 2).sqrt() * (-0.5 * log_gamma_quantile(at_home(fn).df / 2, z[..., 0])).exp()
    return fn.loc + spread[..., None] * (fn.scale_tril.to(z.dtype) @ z[..., 1:, None])[..., 0]


@register_transport(dist.Dirichlet)
def _dirichlet(fn: Law, z: Tensor) -> Tensor:
    # Gamma variables divided by their sum, in logarithms.
    return torch.softmax(log_gamma_quantile(at_home(fn).concentration, z), dim=-1)


@register_transport(dist.ProjectedNormal)
def _projected_normal(fn: Law, z: Tensor) -> Tensor:
    return torch.nn.functional.normalize(fn.concentration + z, dim=-1)


def _one_and_component(fn: Law) -> tuple[int, ...]:
    inner = fn.component_distribution
    return (1 + math.prod(transport_of(inner, "inside MixtureSameFamily").normals(inner)),)


@register_transport(dist.MixtureSameFamily, normals=_one_and_component)
def _mixture(fn: Law, z: Tensor) -> Tensor:
    inner = fn.component_distribution
    transport = transport_of(inner, "inside MixtureSameFamily")
    chosen = transport_of(fn.mixture_distribution, "inside MixtureSameFamily").push(fn.mixture_distribution, z[..., 0])
    # Every component from the same normals: only the chosen one is seen.
    own, event = transport.normals(inner), len(inner.event_shape)
    shared = z[..., 1:].reshape(*z.shape[:-1], 1, *own).expand(*z.shape[:-1], inner.batch_shape[-1], *own)
    values = transport.push(inner, shared)
    index = chosen.reshape(*chosen.shape, 1, *(1,) * event).expand(*chosen.shape, 1, *inner.event_shape)
    return values.gather(chosen.ndim, index).squeeze(chosen.ndim)

"""Distributions of weight matrices: those that Pyro lacks, with transports from standard normals, and Gaussian ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from bayesgc.models.placement import each_once
from bayesgc.models.transports.registry import (
    Law,
    family_name,
    innermost,
    register_scales,
    register_transport,
    transport_of,
)

_REACH, _NODES = 9.0, 721
"""Of the trapezoid rule: errors below 1e-6 of the density where it is smooth."""


class ScaleMixture(dist.TorchDistribution):
    """A Gaussian whose scale is random: loc + scale·τ·N(0, 1), with τ from ``mixing`` for every entry.

    Horseshoe (τ half-Cauchy), spike and slab (τ Bernoulli) and many more; see Andrews and Mallows 1974.

    Args:
        mixing: the distribution of τ ≥ 0, a number.
        loc: the centre.
        scale: the factor on τ.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(
        self, mixing: Law, loc: float | Tensor = 0.0, scale: float | Tensor = 1.0, validate_args: bool | None = None
    ) -> None:
        loc, scale = torch.as_tensor(loc), torch.as_tensor(scale)
        shape = torch.broadcast_shapes(loc.shape, scale.shape, mixing.batch_shape)
        self.mixing, self.loc, self.scale = mixing.expand(shape), loc.expand(shape), scale.expand(shape)
        super().__init__(shape, torch.Size(), validate_args=validate_args)

    @property
    def unbounded(self) -> bool:
        """Whether the density is infinite at the centre: E[1/τ] is, where τ has a density at zero."""
        return bool((self.mixing.log_prob(torch.tensor(1e-9)) > -10).any())

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> ScaleMixture:
        """The same for a larger batch."""
        shape = torch.Size(batch_shape)
        return ScaleMixture(self.mixing.expand(shape), self.loc.expand(shape), self.scale.expand(shape))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws by the definition."""
        scale = self.scale * self.mixing.sample(torch.Size(sample_shape))
        return self.loc + scale * torch.randn_like(scale)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log density, by the trapezoid rule over the normal that τ is a function of.

        Raises:
            NotImplementedError: where τ is discrete, so that there are atoms, or takes several normals.
        """
        transport = transport_of(self.mixing, "mixing")
        if self.mixing.support.is_discrete or transport.normals(self.mixing):
            raise NotImplementedError(f"a mixture over {family_name(self.mixing)} scales has no known density")
        nodes = torch.linspace(-_REACH, _REACH, _NODES, dtype=torch.float64, device=value.device)
        nodes = nodes.reshape(-1, *(1,) * value.ndim)
        every = nodes.expand(-1, *torch.broadcast_shapes(value.shape, self.batch_shape))
        law = dist.Normal(self.loc.double(), self.scale * transport.push(self.mixing, every), validate_args=False)
        weight = (2 * _REACH / (_NODES - 1)) * (-nodes.square() / 2).exp() / math.sqrt(2 * math.pi)
        return (law.log_prob(value.double()) + weight.log()).logsumexp(0).to(value.dtype)


@register_scales(ScaleMixture, normals=lambda fn: math.prod(transport_of(fn.mixing, "mixing").normals(fn.mixing)))
def _mixed_scale(fn: Law, z: Tensor) -> Tensor:
    transport = transport_of(fn.mixing, "mixing")
    return fn.scale * transport.push(fn.mixing, z.reshape(*z.shape[:-1], *transport.normals(fn.mixing)))


def has_atoms(law: Law) -> bool:
    """Whether a distribution gives single values a positive probability, as discrete ones and spikes do."""
    law = innermost(law)
    if isinstance(law, ScaleMixture):
        return has_atoms(law.mixing)
    if isinstance(law, dist.TransformedDistribution):
        return has_atoms(law.base_dist)
    return bool(law.support.is_discrete)


class Haar(dist.TorchDistribution):
    """A multiple of a uniformly random matrix with orthonormal columns, or orthonormal rows if it is wide.

    Args:
        rows: of the matrix.
        cols: of the matrix.
        scale: its nonzero singular values.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    # There is no density: the matrices are a surface of measure zero.
    support = constraints.independent(constraints.real, 2)

    def __init__(self, rows: int, cols: int, scale: float = 1.0) -> None:
        self.scale = scale
        super().__init__(torch.Size(), torch.Size([rows, cols]), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> Law:
        """The same for a larger batch."""
        return dist.ExpandedDistribution(self, batch_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws from Gaussian matrices."""
        return _haar(self, torch.randn(*sample_shape, *self.event_shape))


@register_transport(Haar)
def _haar(fn: Law, z: Tensor) -> Tensor:
    # Q of Z = Q R with a positive diagonal of R; as LAPACK leaves the signs it is not uniform (Mezzadri 2007).
    wide = z.shape[-2] < z.shape[-1]
    q, r = torch.linalg.qr(z.mT if wide else z)
    q = q * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -fn.scale, fn.scale)[..., None, :]
    return q.mT if wide else q


class LowRankGaussian(dist.TorchDistribution):
    """scale·A B/√rank with Gaussian factors: entries of standard deviation ``scale``, and no more than that rank.

    Args:
        rows: of the matrix.
        cols: of the matrix.
        rank: columns of A and rows of B.
        scale: the standard deviation of an entry.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.independent(constraints.real, 2)

    def __init__(self, rows: int, cols: int, rank: int, scale: float = 1.0) -> None:
        self.rank, self.scale = rank, scale
        super().__init__(torch.Size(), torch.Size([rows, cols]), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> Law:
        """The same for a larger batch."""
        return dist.ExpandedDistribution(self, batch_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws from the factors."""
        return _low_rank(self, torch.randn(*sample_shape, *_factor_normals(self)))


def _factor_normals(fn: Law) -> tuple[int, ...]:
    return (sum(fn.event_shape), fn.rank)


@register_transport(LowRankGaussian, normals=_factor_normals)
def _low_rank(fn: Law, z: Tensor) -> Tensor:
    rows = fn.event_shape[0]
    return fn.scale * fn.rank**-0.5 * z[..., :rows, :] @ z[..., rows:, :].mT


def centred_gaussian_scale(law: dist.Distribution) -> float | None:
    """The standard deviation of a matrix of independent, identical, centred normals; None for any other law."""
    base = getattr(law, "base_dist", None)
    if not isinstance(law, dist.Independent) or not isinstance(base, dist.Normal):
        return None
    if type(base) is not dist.Normal:  # made of normals, but it may have a transport of its own
        return None
    loc, scale = each_once(base.loc), each_once(base.scale)
    if (loc != 0).any() or (scale != scale.flatten()[0]).any():
        return None
    return float(scale.flatten()[0])

"""Transports: how a distribution is drawn as a map of standard normals, in a registry that plug-ins can add to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.validate import InputError

Push = Callable[[dist.Distribution, Float[Tensor, "*batch"]], Float[Tensor, "*batch"]]


@dataclass(frozen=True)
class Transport:
    """A map that turns standard normals into draws.

    ``push(fn, z)`` gets as many normals as the site has entries, in the site's shape after any batch dimensions,
    and returns the draw in the same shape.
    """

    push: Push


TRANSPORTS: dict[type[dist.Distribution], Transport] = {}


def register_transport(family: type[dist.Distribution]) -> Callable[[Push], Push]:
    """Decorator: use the function as the transport of a distribution class and of its subclasses."""

    def decorate(push: Push) -> Push:
        TRANSPORTS[family] = Transport(push)
        return push

    return decorate


def transport_of(fn: dist.Distribution, site: str) -> Transport:
    """The transport for a distribution: registered for its class or a base class, else by its inverse CDF.

    Raises:
        InputError: where there is neither, naming the site.
    """
    for family in type(fn).__mro__:
        if family in TRANSPORTS:
            return TRANSPORTS[family]
    if _has_icdf(fn):
        return Transport(_inverse_cdf)
    raise InputError(
        f"site {site!r} has the distribution {type(fn).__name__}, which has no transport from standard normals; "
        "register one with bayesgc.register_transport, or write the site with a Normal or Uniform."
    )


@register_transport(dist.Normal)
def _normal(fn: dist.Distribution, z: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    return fn.loc + fn.scale * z


@register_transport(dist.Uniform)
def _uniform(fn: dist.Distribution, z: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    # By the odd function erf and not by Φ, which is exact in one tail only.
    half = (fn.high - fn.low) / 2
    return fn.low + half + half * torch.erf(z * math.sqrt(0.5))


@register_transport(dist.MultivariateNormal)
def _multivariate_normal(fn: dist.Distribution, z: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    return fn.loc + (fn.scale_tril @ z[..., None])[..., 0]


@register_transport(dist.Independent)
def _independent(fn: dist.Distribution, z: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    return transport_of(fn.base_dist, "inside Independent").push(fn.base_dist, z)


@register_transport(dist.TransformedDistribution)
def _transformed(fn: dist.Distribution, z: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    value = transport_of(fn.base_dist, "inside TransformedDistribution").push(fn.base_dist, z)
    for transform in fn.transforms:
        value = transform(value)
    return value


def _inverse_cdf(fn: dist.Distribution, z: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    # In float32 Φ(z) rounds to 1 beyond z ≈ 5.4, which would cut heavy tails off.
    return fn.icdf(torch.special.ndtr(z.double())).to(z.dtype)


def _has_icdf(fn: dist.Distribution) -> bool:
    try:
        fn.icdf(torch.tensor(0.5))
    except NotImplementedError:
        return False
    return True

"""Transports: how a distribution is drawn as a map of standard normals, in a registry that plug-ins can add to.

The registered maps themselves are in `univariate`, `multivariate` and `laws`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from bayesgc.models.transports.tails import tail
from bayesgc.validate import InputError

# Not Pyro's own base class: what stands inside of others is often a plain distribution of torch.
if TYPE_CHECKING:
    Law: TypeAlias = Any
else:
    Law = torch.distributions.Distribution
Push = Callable[[Law, Tensor], Tensor]
Normals = Callable[[Law], tuple[int, ...]]


def as_many_as_entries(fn: Law) -> tuple[int, ...]:
    """One normal for each entry of a draw."""
    return tuple(fn.event_shape)


@dataclass(frozen=True)
class Transport:
    """A map that turns standard normals into draws.

    ``normals(fn)`` is the shape of the normals that make one event of ``fn``, by default the event's own.
    ``push(fn, z)`` gets them as ``(*batch, *normals)``, where ``batch`` ends in the batch shape of ``fn``, and returns
    ``(*batch, *event)``; the tensors of ``fn`` are on the device of ``z``. It must pass batch dimensions through and
    run inside ``torch.func.vmap``.

    ``scales`` is there for a Gaussian scale mixture, whose draws are loc + scales(fn, z)·N with one N(0, 1) an entry.
    Its map is then that product: the last axis of the normals holds N first and after it what ``scales`` takes.
    """

    push: Push
    normals: Normals = as_many_as_entries
    scales: Push | None = None


TRANSPORTS: dict[type[Law], Transport] = {}


def register_transport(family: type[Law], *, normals: Normals = as_many_as_entries) -> Callable[[Push], Push]:
    """Decorator: use the function as the transport of a distribution class and of its subclasses.

    Args:
        family: the class.
        normals: the shape of the normals that make one event, where it is not the event's own.
    """

    def decorate(push: Push) -> Push:
        TRANSPORTS[_key(family)] = Transport(push, normals)
        return push

    return decorate


def register_scales(family: type[Law], *, normals: Callable[[Law], int]) -> Callable[[Push], Push]:
    """Decorator: the law of a location family is a Gaussian scale mixture, and the function gives the scale.

    Args:
        family: a class of univariate distributions with a parameter ``loc``.
        normals: how many normals the scale of one entry takes.
    """

    def decorate(scales: Push) -> Push:
        def push(fn: Law, z: Tensor) -> Tensor:
            return fn.loc + scales(fn, z[..., 1:]) * z[..., 0]

        TRANSPORTS[_key(family)] = Transport(push, lambda fn: (1 + normals(fn),), scales)
        return scales

    return decorate


def _key(family: type[Law]) -> type[Law]:
    """The class itself, or torch's own of the same name, which Pyro's extends."""
    return next((base for base in family.__mro__ if base.__name__ == family.__name__ and _of_torch(base)), family)


def _of_torch(family: type[Law]) -> bool:
    return family.__module__.startswith("torch.distributions")


def find_transport(fn: Law) -> Transport | None:
    """The transport for a distribution: registered for its class or a base class, else by its inverse CDF."""
    for family in type(fn).__mro__:
        if family in TRANSPORTS:
            found = TRANSPORTS[family]
            return found if _reaches(fn) else None
    return Transport(_inverse_cdf) if _has_icdf(fn) else None


def transport_of(fn: Law, site: str) -> Transport:
    """The same for a site that must have one.

    Raises:
        InputError: where there is none, naming the site.
    """
    transport = find_transport(fn)
    if transport is None:
        raise InputError(
            f"site {site!r} has the distribution {family_name(fn)}, which has no transport from standard normals; "
            "register one with bayesgc.register_transport."
        )
    return transport


def family_name(fn: Law) -> str:
    """The class of a distribution, without what stands around it."""
    return type(innermost(fn)).__name__


def innermost(fn: Law) -> Law:
    """The distribution inside of any number of ``Independent``."""
    while isinstance(fn, torch.distributions.Independent):
        fn = fn.base_dist
    return fn


def _reaches(fn: Law) -> bool:
    """Whether a distribution that is made of others has a transport all the way down."""
    parts = [getattr(fn, name, None) for name in ("base_dist", "component_distribution", "mixing")]
    return all(find_transport(part) is not None for part in parts if isinstance(part, torch.distributions.Distribution))


def _inverse_cdf(fn: Law, z: Tensor) -> Tensor:
    # In float32 Φ(z) rounds to 1 beyond z ≈ 5.4, which would cut heavy tails off; in double precision beyond 8.2.
    share = tail(-z.double()).clamp(_SMALLEST, 1 - _RESOLUTION)
    return fn.icdf(share).to(z.dtype)


_SMALLEST, _RESOLUTION = 1e-300, 2.0**-53


def _has_icdf(fn: Law) -> bool:
    try:
        fn.icdf(torch.tensor(0.5))
    except NotImplementedError:
        return False
    return True

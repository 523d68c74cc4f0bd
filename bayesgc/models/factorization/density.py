"""Whether the prior density of a model has a mode given an exact fit, and how high it is."""

from __future__ import annotations

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import transform_to

from bayesgc.models.factorization.matrices import Factorization
from bayesgc.models.layout import Program
from bayesgc.models.priors.laws import ScaleMixture, has_atoms
from bayesgc.models.program import Model, ProgramModel
from bayesgc.models.transports.registry import family_name, innermost

_LARGE = 10_000
_NEAR, _FAR = 15.0, 30.0
"""Unconstrained coordinates at which a density is looked at: the far ones are within e^(−30) of any bound."""


def why_no_mode(model: Model, shape: tuple[int, ...]) -> str | None:
    """Why the weights of a model have no mode given an exact fit, as a sentence; None where nothing speaks against it.

    Bounds are looked for site by site, near the edges of its support, at one draw of what it depends on. A density
    that grows without bound in several sites at once, as a funnel does, is not seen.
    """
    if model.normalize:
        return "a normalised output lets all weights shrink for free, so there is no mode"
    sites = _sites(model, shape)
    for name, law in sites.items():
        if has_atoms(law):
            return f"site {name!r} is discrete ({family_name(law)}), so there is no density to maximise"
        if not has_density(law):
            return f"site {name!r} ({family_name(law)}) has no density to maximise"
    if all(_flat(law) for law in sites.values()):
        family = family_name(next(iter(sites.values())))
        return f"the prior is flat ({family}), so no fit is more probable than another and there is no mode"
    for name, law in sites.items():
        if _unbounded(law):
            return f"the density of site {name!r} ({family_name(law)}) is unbounded, so there is no mode"
    if not isinstance(model, Factorization) and _scale_free(model.program(shape), sites):
        return "halving all weights leaves the output as it is, so they can shrink for free and there is no mode"
    return _why_no_batch(model, sites)


def _why_no_batch(model: Model, sites: dict[str, Any]) -> str | None:
    """Why the restarts of a program cannot run in one batch; None where they can."""
    if isinstance(model, ProgramModel) and not model.batched:
        return "the program makes one draw a call; map runs all restarts at once: ProgramModel(program, batched=True)"
    for name, law in sites.items():
        if law.batch_shape:
            rank = len(law.batch_shape)
            return f"site {name!r} is not one event, so restarts cannot run beside it: end it with .to_event({rank})"
    return None


def peak(model: Model, shape: tuple[int, ...]) -> float:
    """The greatest log prior density of all weights, which energies are counted from; 0 where it is not known."""
    if not isinstance(model, Factorization):
        return 0.0
    try:
        return sum(_peak_of(law) for law in model.laws(shape).values())
    except NotImplementedError:
        return 0.0


def _peak_of(law: dist.Distribution) -> float:
    # A flat density has no mode of its own: it is as high at any point of the support.
    return float(_height(law, 0.5) if _flat(law) else law.log_prob(law.mode))


def _sites(model: Model, shape: tuple[int, ...]) -> dict[str, Any]:
    """The distribution of each latent site, at one draw of those before it."""
    if isinstance(model, Factorization):
        # Of a huge layer a corner says as much about bounds.
        sizes = [size if math.prod(size) <= _LARGE else (4, 4) for size in model.layer_shapes(shape)]
        layers = zip(model.layer_names(shape), model.layer_priors(shape), sizes, strict=True)
        return {name: prior(*size) for name, prior, size in layers}
    trace = _one_run(model.program(shape))
    nodes = {name: trace.nodes[name]["fn"] for name in trace.stochastic_nodes}
    return {name: law for name, law in nodes.items() if type(law).__name__ != "_Subsample"}


def _one_run(program: Program) -> Any:
    with torch.random.fork_rng(devices=[]):
        return pyro.poutine.trace(program).get_trace()


def _scale_free(program: Program, sites: dict[str, Any]) -> bool:
    """Whether halving all latent values leaves the matrix as it is, as dividing by a norm does."""
    trace = _one_run(program)
    halved = {name: trace.nodes[name]["value"] / 2 for name in sites}
    with torch.random.fork_rng(devices=[]), pyro.validation_enabled(False):
        value = pyro.poutine.condition(program, data=halved)()
    return bool(value.any()) and torch.allclose(value, trace.nodes["_RETURN"]["value"], rtol=1e-4)


def has_density(law: dist.Distribution) -> bool:
    """Whether a distribution has a density on the whole of the support that it states."""
    try:
        _height(law, 0.5)
    except NotImplementedError:
        return False
    return True


def _flat(law: dist.Distribution) -> bool:
    """Whether the density is the same at three points of the support."""
    heights = torch.stack([_height(law, size) for size in (-1.0, 0.5, 2.0)])
    return torch.allclose(heights, heights[:1], rtol=1e-5, atol=1e-5)


def _unbounded(law: dist.Distribution) -> bool:
    """Whether the density still grows far out on either side of the support, or at the centre of a scale mixture."""
    inner = innermost(law)
    if isinstance(inner, ScaleMixture) and inner.unbounded:
        return True
    return any(bool(_height(law, side * _FAR) > _height(law, side * _NEAR) + 1) for side in (-1.0, 1.0))


def _height(law: dist.Distribution, size: float) -> Float[Tensor, ""]:
    """The log density where the unconstrained coordinates are ``size`` times numbers spread over (0.5, 1.5)."""
    transform = transform_to(law.support)
    free = transform.inverse_shape(law.shape())
    spread = torch.linspace(0.5, 1.5, math.prod(free), dtype=torch.float64).reshape(free)
    with pyro.validation_enabled(False):
        return law.log_prob(transform(size * spread)).sum()

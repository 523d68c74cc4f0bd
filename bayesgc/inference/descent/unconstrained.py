"""A Pyro program as a differentiable function of unconstrained numbers, all starts of a descent in one batch.

The numbers are the values of its latent sites, each in the coordinates in which its support is all of space, which for
normal weights are the weights themselves (Kucukelbir et al. 2017 descend in the same coordinates).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from jaxtyping import Float
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import transform_to

from bayesgc.models import WhitenedProgram
from bayesgc.models.factorization.density import has_density
from bayesgc.models.layout import Program
from bayesgc.models.networks.trainable import Parameter, Weights
from bayesgc.models.placement import making_on, support_beside
from bayesgc.models.priors.laws import has_atoms
from bayesgc.models.promotion import promoting
from bayesgc.models.transports.registry import family_name
from bayesgc.models.whitened_program import WhitenedNetworkProgram


def why_no_descent(whitened: WhitenedProgram) -> str | None:
    """Why gradient descent cannot run on a program, as a sentence; None where nothing speaks against it."""
    for name, site in whitened.layout.sites.items():
        if has_atoms(site.law):
            return f"site {name!r} is discrete ({family_name(site.law)}), so there is no gradient to descend"
        if not has_density(site.law):
            return f"site {name!r} ({family_name(site.law)}) has no density, so that a descent would leave its support"
    if whitened.one_by_one:
        return "the program branches on drawn values, so that its restarts cannot run in one batch"
    return None


class _Constraining(Messenger):
    """Feeds each latent site from unconstrained numbers."""

    def __init__(self, free: Float[Tensor, " weight"], places: dict[str, tuple[slice, torch.Size]], fixed: Any) -> None:
        super().__init__()
        self.free, self.places, self.fixed = free, places, fixed

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        if name in self.fixed:
            msg["value"] = self.fixed[name].to(self.free.device)
        elif name in self.places:
            rows, shape = self.places[name]
            msg["value"] = transform_to(support_beside(msg["fn"], self.free))(self.free[rows].reshape(shape))


@dataclass(frozen=True)
class UnconstrainedProgram:
    """A whitened program in unconstrained coordinates."""

    program: Program
    places: dict[str, tuple[slice, torch.Size]]
    subsamples: dict[str, Tensor]

    @classmethod
    def of(cls, whitened: WhitenedProgram) -> UnconstrainedProgram:
        """The coordinates of each latent site, one after the other."""
        places, start = {}, 0
        for name, site in whitened.layout.sites.items():
            shape = torch.Size(transform_to(site.law.support).inverse_shape(site.law.shape()))
            places[name] = (slice(start, start + math.prod(shape)), shape)
            start += math.prod(shape)
        # Coordinates have the precision of the run, whatever that of a site's distribution.
        return cls(promoting(whitened.program), places, whitened.layout.subsamples)

    @property
    def size(self) -> int:
        """Numbers of one start."""
        return sum(math.prod(shape) for _, shape in self.places.values())

    def inverse(self, values: dict[str, Tensor]) -> Float[Tensor, " weight"]:
        """The coordinates of one draw, given the value of each latent site."""
        known = {**values, **self.subsamples}
        device = next(iter(values.values())).device
        with torch.random.fork_rng(devices=[]), pyro.validation_enabled(False), making_on(device):
            trace = pyro.poutine.trace(pyro.poutine.condition(self.program, data=known)).get_trace()
        laws = {name: trace.nodes[name]["fn"] for name in self.places}
        supports = {name: support_beside(law, values[name]) for name, law in laws.items()}
        return torch.cat([transform_to(supports[name]).inv(values[name]).flatten() for name in self.places])

    def assembled(self) -> Callable[[list[Tensor]], Float[Tensor, "start entry"]]:
        """From the coordinates of all starts to what the program returns, vectorised."""

        def once(free: Float[Tensor, " weight"]) -> Tensor:
            with making_on(free.device), _Constraining(free, self.places, self.subsamples):
                return self.program().flatten().to(free.dtype)

        def assemble(layers: list[Tensor]) -> Float[Tensor, "start entry"]:
            with pyro.validation_enabled(False):
                return torch.func.vmap(once)(layers[0][:, 0])

        return assemble


@dataclass(frozen=True)
class UnconstrainedNetwork:
    """A whitened program of inputs in unconstrained coordinates, as stochastic gradient descent takes a network."""

    whitened: WhitenedNetworkProgram
    coordinates: UnconstrainedProgram

    @classmethod
    def of(cls, whitened: WhitenedNetworkProgram) -> UnconstrainedNetwork:
        """Its coordinates, one after the other."""
        return cls(whitened, UnconstrainedProgram.of(whitened))

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All of them as one array."""
        return {"coordinates": Parameter((self.coordinates.size,), None)}

    def raw(
        self, weights: Weights, inputs: Float[Tensor, "start example *features"]
    ) -> Float[Tensor, "start example output"]:
        """The outputs of every start, differentiably."""
        places, fixed = self.coordinates.places, self.coordinates.subsamples

        def once(free: Float[Tensor, " weight"], given: Float[Tensor, "example *features"]) -> Tensor:
            with making_on(free.device), _Constraining(free, places, fixed):
                return self.whitened.at(given).to(free.dtype)

        with pyro.validation_enabled(False):
            return torch.func.vmap(once)(weights["coordinates"], inputs)

    def scale(self, weights: Weights) -> None:
        """Nothing: what a program returns is its output."""

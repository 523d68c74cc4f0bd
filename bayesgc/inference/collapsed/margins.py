"""Orthant probabilities: how likely a Gaussian last layer gives all labels, and last layers that do.

Given the features before a linear Gaussian last layer, the margins of the training labels are jointly Gaussian, and a
fit is that all are positive: an orthant. The simulator of Geweke (1991), Hajivassiliou and Keane draws the margins one
after the other, each from its conditional above zero; the product of the chances of that is an unbiased estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

_NUGGET = 1e-9
"""Independent variance that margins are given, relative to their own: with fewer features than margins these are
dependent. It changes the probability of the orthant by some 1e-4 of it, and a draw that does not fit without it weighs
nothing."""


@dataclass(frozen=True)
class Margins:
    """The margins of labels: each example's output for its label less that for another class.

    ``labels`` are whole numbers below ``classes``.
    """

    labels: Int[Tensor, " example"]
    classes: int

    @cached_property
    def example(self) -> Int[Tensor, " margin"]:
        """The example that each margin is of."""
        count = torch.arange(len(self.labels), device=self.labels.device)
        return count.repeat_interleave(self.classes - 1)

    @cached_property
    def signs(self) -> Float[Tensor, "margin output"]:
        """1 at the label's output, −1 at the other one."""
        one = torch.eye(self.classes, dtype=torch.float64, device=self.labels.device)
        others = one.expand(len(self.labels), -1, -1)[one[self.labels] == 0].view(-1, self.classes)
        return one[self.labels][self.example] - others

    def of(self, outputs: Float[Tensor, "draw output example"]) -> Float[Tensor, "draw margin"]:
        """The margins of these outputs."""
        return torch.einsum("mo,dom->dm", self.signs, outputs[:, :, self.example])

    def covariance(self, features: Float[Tensor, "draw feature example"]) -> Float[Tensor, "draw margin margin"]:
        """The covariance of the margins under standard normal weights of these features."""
        products = features.mT @ features
        return (self.signs @ self.signs.T) * products[:, self.example][:, :, self.example]

    def back(self, values: Float[Tensor, "draw margin"]) -> Float[Tensor, "draw output example"]:
        """The transpose of `of`."""
        found = values.new_zeros(len(values), self.classes, len(self.labels))
        return found.index_add_(2, self.example, torch.einsum("mo,dm->dom", self.signs, values))


def fitting(
    margins: Margins,
    features: Float[Tensor, "draw feature example"],
    weights: Float[Tensor, "draw output feature"],
    particles: int,
    source: torch.Generator,
) -> tuple[Float[Tensor, " draw"], Float[Tensor, "draw output feature"]]:
    """For each draw of features an unbiased estimate of log P(all margins positive), and weights that give them.

    ``weights`` are standard normals, which lend the new ones what the margins do not determine. Where an example has no
    features its margins are zero and the estimate is −∞; there the weights stay as they are.
    """
    covariance = margins.covariance(features)
    own = covariance.diagonal(dim1=1, dim2=2)
    alive = (own > 0).all(1)
    size = torch.where(alive, own.mean(1), 1.0)
    nugget = _NUGGET * size
    one = torch.eye(covariance.shape[1], dtype=covariance.dtype, device=covariance.device)
    # Where nothing is alive a stand-in, so that the others can be solved beside it.
    covariance = torch.where(alive[:, None, None], covariance, one) + nugget[:, None, None] * one
    root, failed = torch.linalg.cholesky_ex(covariance)
    alive &= failed == 0
    root = torch.where(alive[:, None, None], root, one)
    log_weight, wanted = _orthant(root, particles, source)
    found = _given(margins, features, weights, root, wanted, nugget, source)
    return torch.where(alive, log_weight, -torch.inf), torch.where(alive[:, None, None], found, weights)


def _orthant(
    root: Float[Tensor, "draw margin margin"], particles: int, source: torch.Generator
) -> tuple[Float[Tensor, " draw"], Float[Tensor, "draw margin"]]:
    """log of the estimate with so many particles, and positive margins: those of one particle, chosen by weight."""
    draws, count, _ = root.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=source, dtype=root.dtype, device=root.device)

    normals = root.new_zeros(draws, count, particles)
    log_weight = root.new_zeros(draws, particles)
    for i in range(count):
        mean = (root[:, i, None, :i] @ normals[:, :i])[:, 0] if i else root.new_zeros(draws, particles)
        reach = mean / root[:, i, i, None]
        above = torch.special.log_ndtr(reach)
        log_weight += above
        # 1 − u, which is never zero.
        tail = (1 - uniform(draws, particles)) * above.exp()
        normals[:, i] = -torch.special.ndtri(tail.clamp_min(torch.finfo(root.dtype).tiny))
    cumulated = (log_weight - log_weight.amax(1, keepdim=True)).exp().cumsum(1)
    place = uniform(draws, 1) * cumulated[:, -1:]
    chosen = torch.searchsorted(cumulated, place, right=True).clamp_max(particles - 1)
    picked = normals.gather(2, chosen[:, None].expand(-1, count, -1))
    return log_weight.logsumexp(1) - math.log(particles), (root @ picked)[:, :, 0]


def _given(
    margins: Margins,
    features: Float[Tensor, "draw feature example"],
    weights: Float[Tensor, "draw output feature"],
    root: Float[Tensor, "draw margin margin"],
    wanted: Float[Tensor, "draw margin"],
    nugget: Float[Tensor, " draw"],
    source: torch.Generator,
) -> Float[Tensor, "draw output feature"]:
    """Weights from their law given the margins: standard normals, and what they lack of these (Matheron's rule)."""
    noise = torch.randn(wanted.shape, generator=source, dtype=wanted.dtype, device=wanted.device)
    lacking = wanted - margins.of(weights @ features) - nugget.sqrt()[:, None] * noise
    solved = torch.cholesky_solve(lacking[:, :, None], root)[:, :, 0]
    return weights + margins.back(solved) @ features.mT

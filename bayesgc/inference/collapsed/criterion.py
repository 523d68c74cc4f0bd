"""The collapsed criterion: training loss exactly zero, or below ε, with the last layer integrated out.

Given the hidden layers the measurements are Gaussian, so the evidence of exactly zero loss is their density at y,
averaged over the hidden layers. At ε > 0 the targets become y + u with the residual u uniform in the ball of radius
√(nε), and the density times the ball's volume is P(L_train < ε) (exact, not a limit).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.collapsed.gaussian import GaussianSystem, gaussian_system
from bayesgc.inference.curve import Profile, join, log_ball
from bayesgc.inference.target import Harvest, ScoreSweep, WholeSweep, crank_nicolson
from bayesgc.models.factorization.collapse import Collapsed
from bayesgc.models.factorization.products import product, row_product
from bayesgc.task import ArrayTask

_FEWEST_AT_ONCE = 4
"""Draws whose systems are solved at once, however large these are."""
_FEW = 16
"""Where no more than these fit into a batch, systems count as large."""
_CHUNK_NUMBERS = 2**22
"""Double-precision numbers in the covariances of one batch: 32 MiB."""


@dataclass(frozen=True)
class CollapsedCriterion:
    """A collapsed model, a task and ε, as a density over standard normals.

    ``normals`` is (latent, draw): those of the hidden layers and, at ε > 0, n + 2 more for the residual. ``check`` is
    called within blocks, and raises where the run is to end.
    """

    task: ArrayTask
    collapsed: Collapsed
    eps: float
    device: torch.device
    dtype: torch.dtype = torch.float64
    check: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)

    @property
    def latent_size(self) -> int:
        """The number of standard normals that make one draw."""
        return self.collapsed.size + (self.task.measurements.count + 2 if self.eps > 0 else 0)

    @property
    def free_normals(self) -> int:
        """All rows of a column."""
        return self.latent_size

    def at(self, height: float) -> CollapsedCriterion:
        """The criterion itself, but where a law with noise says more."""
        return self

    def scores(self, normals: Float[Tensor, "latent draw"]) -> Callable[[float], Float[Tensor, " draw"]]:
        """The scores of the same columns as rungs of many heights see them."""
        return lambda height: self.at(height).score(normals)

    @property
    def chunk(self) -> int:
        """Draws evaluated at once; a fixed rule, so that it changes no bit from run to run."""
        return max(_FEWEST_AT_ONCE, min(4096, _CHUNK_NUMBERS // max(self._system_size, self.latent_size)))

    @property
    def large(self) -> bool:
        """Whether a system takes so much room that few are solved at once: beside it a draw of the array is nothing."""
        return self._system_size * (_FEW + 1) > _CHUNK_NUMBERS

    @property
    def _system_size(self) -> int:
        """The numbers of the largest array that solving the system of one draw takes."""
        rows, cols = self.task.unfolding
        count = self.task.measurements.count
        numbers = max(rows * cols * cols, rows * cols * self.collapsed.feature_count * self.collapsed.per_row)
        return numbers if self.task.observed_cells else max(numbers, count * count, count * rows * cols)

    @cached_property
    def log_ball(self) -> float:
        """log of the volume of the n-ball of radius √(nε); 0 at ε = 0, where the evidence is a density."""
        return log_ball(self.task.measurements.count, self.eps)

    def _parts(self, normals: Float[Tensor, "latent draw"]) -> Iterator[Float[Tensor, "latent chunk"]]:
        """The draws in chunks, between which the run may end."""
        for part in normals.split(self.chunk, dim=1):
            self.check()
            yield part

    def draw(self, generator: torch.Generator, count: int) -> Float[Tensor, "latent draw"]:
        """Normals of ``count`` draws from the prior."""
        return torch.randn(self.latent_size, count, generator=generator, device=self.device, dtype=self.dtype)

    def propose(
        self,
        normals: Float[Tensor, "row draw"],
        angle: float | Float[Tensor, " draw"],
        generators: list[torch.Generator],
    ) -> Float[Tensor, "row draw"]:
        """Moves that leave the prior as it is; ``generators`` serve equal shares of the columns, in order."""
        return crank_nicolson(normals, angle, generators)

    @property
    def blocks(self) -> tuple[slice, ...]:
        """All rows at once: the evidence is made anew from the features, whatever layer changes."""
        return (slice(0, self.latent_size),)

    def sweep(self, normals: Float[Tensor, "latent draw"]) -> ScoreSweep:
        """The pass over whole columns."""
        return WholeSweep(self)

    def testable(self, particles: int) -> int:
        """All of them."""
        return particles

    def system(self, normals: Float[Tensor, "latent draw"]) -> GaussianSystem:
        """The Gaussian system of each draw, given its hidden layers."""
        return system_given(self.task, self.collapsed.features(normals[: self.collapsed.size]))

    def targets(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "draw n"]:
        """y, or y + u with u uniform in the ball of radius √(nε)."""
        y = torch.as_tensor(self.task.targets, dtype=normals.dtype, device=normals.device)
        if self.eps == 0:
            return y.expand(normals.shape[1], -1)
        return y + residual_in_ball(normals[self.collapsed.size :], self.eps)

    def score(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, " draw"]:
        """log density of fitting given each draw; its mean over the prior, before the log, is evidence or volume."""
        parts = self._parts(normals)
        return torch.cat([self.system(part).log_density(self.targets(part)) for part in parts]) + self.log_ball

    def gradient(
        self, normals: Float[Tensor, "latent draw"]
    ) -> tuple[Float[Tensor, " draw"], Float[Tensor, "latent draw"]]:
        """Score of each draw and its gradient: in closed form up to features and targets, from there by autograd.

        The gradient is zero where the score is −∞.
        """
        parts = [self._gradient(part) for part in self._parts(normals)]
        return torch.cat([score for score, _ in parts]) + self.log_ball, torch.cat([slope for _, slope in parts], dim=1)

    def _gradient(
        self, normals: Float[Tensor, "latent draw"]
    ) -> tuple[Float[Tensor, " draw"], Float[Tensor, "latent draw"]]:
        with torch.enable_grad():
            leaf = normals.detach().requires_grad_(True)
            features, targets = self.collapsed.features(leaf[: self.collapsed.size]), self.targets(leaf)
        with torch.no_grad():
            system = system_given(self.task, features)
            score = system.log_density(targets)
            # K = FᵀF, and the gradient with respect to K is symmetric.
            towards = 2 * system.gram_gradient(targets).movedim(0, -1)
            per_row = self.collapsed.per_row
            slope = torch.einsum("rfcb,rcdb->rfdb", features, towards) if per_row else product(features, towards)
            downstream = {features: slope, targets: -system.solve(targets)}
        known = {value: grad for value, grad in downstream.items() if value.requires_grad}
        gradient = torch.autograd.grad(list(known), leaf, list(known.values()))[0]
        return score, torch.where(score.isfinite(), gradient, 0.0)

    def generalisation(
        self, normals: Float[Tensor, "latent draw"], generators: Sequence[torch.Generator] = ()
    ) -> Float[Tensor, " draw"] | None:
        """E[L_gen | hidden layers, fit] of each draw, or None where L_gen is not defined."""
        parts = self._parts(normals)
        return joined([self._gen_loss(self.system(part), self.targets(part)) for part in parts])

    def evaluate(
        self, normals: Float[Tensor, "latent draw"]
    ) -> tuple[Float[Tensor, " draw"], Float[Tensor, " draw"] | None]:
        """Score and expected L_gen of each draw, from one factorisation."""
        evidence, losses = [], []
        for part in self._parts(normals):
            system, targets = self.system(part), self.targets(part)
            evidence.append(system.log_density(targets))
            losses.append(self._gen_loss(system, targets))
        return torch.cat(evidence) + self.log_ball, joined(losses)

    def profile(self, normals: Float[Tensor, "latent draw"], generators: list[torch.Generator]) -> Profile:
        """Density and E[L_gen] of each draw at every radius of the ball; see `Profile`."""
        share, count = normals.shape[1] // len(generators), self.task.measurements.count
        sizes = (self.task.unfolding[0], self.collapsed.feature_count), (count + 2,)
        free, ball = (
            torch.cat(
                [torch.randn(*size, share, generator=g, device=self.device, dtype=self.dtype) for g in generators], -1
            )
            for size in sizes
        )
        fresh = free, self._ball(normals, ball)
        parts = zip(self._parts(normals), *(each.split(self.chunk, dim=-1) for each in fresh), strict=True)
        return join([self._profile(*part) for part in parts])

    def _ball(
        self, normals: Float[Tensor, "latent draw"], fresh: Float[Tensor, "n_and_two draw"]
    ) -> Float[Tensor, "n_and_two draw"]:
        """The normals behind the point in the ball: the draw's own, where it has some."""
        return normals[self.collapsed.size :] if self.eps > 0 else fresh

    def _guess(
        self,
        features: Float[Tensor, "*row feature col draw"],
        free: Float[Tensor, "row feature draw"],
        ball: Float[Tensor, "n_and_two draw"],
    ) -> Float[Tensor, "entry draw"]:
        """A draw of W that nothing conditions."""
        return row_product(free, features).flatten(0, 1)

    def _profile(
        self,
        normals: Float[Tensor, "latent draw"],
        free: Float[Tensor, "row feature draw"],
        ball: Float[Tensor, "n_and_two draw"],
    ) -> Profile:
        features, count = self.collapsed.features(normals[: self.collapsed.size]), self.task.measurements.count
        system, direction = system_given(self.task, features), residual_in_ball(ball, 1 / count)
        y = torch.as_tensor(self.task.targets, dtype=normals.dtype, device=normals.device).expand_as(direction)
        at_zero, ours, theirs = system.log_density(y), system.whiten(y).flatten(1), system.whiten(direction).flatten(1)
        density = torch.stack([at_zero, -(ours * theirs).sum(1), -0.5 * theirs.square().sum(1)])
        usable = at_zero.isfinite()
        guess = self._guess(features, free, ball)
        guessed = self.task.gen_loss(guess)
        losses = [self.task.train_loss(guess), torch.full_like(at_zero, torch.nan) if guessed is None else guessed]
        loss = self._loss_profile(system, y, direction, guess)
        return Profile(
            torch.cat([at_zero[None], torch.where(usable, density[1:], 0.0)]).cpu().numpy(),
            None if loss is None else torch.where(usable, loss, 0.0).cpu().numpy(),
            torch.stack(losses).cpu().numpy(),
        )

    def _loss_profile(
        self,
        system: GaussianSystem,
        y: Float[Tensor, "draw n"],
        direction: Float[Tensor, "draw n"],
        guess: Float[Tensor, "entry draw"],
    ) -> Float[Tensor, "3 draw"] | None:
        """Coefficients of 1, r and r² of E[L_gen | hidden layers, y + r b], by its values at r = 0, 1 and −1."""
        middle, step = system.mean(y).flatten(1).T, system.mean(direction).flatten(1).T
        found = [self.task.gen_loss(middle + sign * step) for sign in (0, 1, -1)]
        known = [each for each in found if each is not None]
        if not known:
            return None
        zero, plus, minus = known
        constant = zero + self._left_to_chance(system, guess)
        return torch.stack([constant, (plus - minus) / 2, (plus + minus) / 2 - zero])

    def _left_to_chance(self, system: GaussianSystem, guess: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"]:
        """What the variance given the measurements adds to L_gen: exactly, or for large systems by a draw.

        What the measurements of a draw leave of it does not depend on them. Over many held out directions its mean
        square is close to the variance, for much less work.
        """
        if not self.large:
            return system.held_out_variance() / self.task.held_out.count
        rest = guess - system.mean(self.task.measurements.apply(guess).T).flatten(1).T
        return self.task.held_out.apply(rest).square().mean(0)

    def refresh(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "latent draw"]:
        """The columns as they are: what could move at a fixed score is integrated out already."""
        return normals

    def harvest(
        self,
        normals: Float[Tensor, "latent draw"],
        score: Float[Tensor, " draw"],
        generators: list[torch.Generator],
        *,
        weights: bool,
    ) -> Harvest:
        """Exact draws of W given each column, with E[L_gen] given the column beside them."""
        share = normals.shape[1] // len(generators)
        rows, features = self.task.unfolding[0], self.collapsed.feature_count
        free = [
            torch.randn(rows, features, share, generator=each, device=self.device, dtype=self.dtype)
            for each in generators
        ]
        vectors, last = self.complete(normals, torch.cat(free, dim=2))
        expected = self.generalisation(normals)
        return Harvest(
            vectors,
            self.task.measures(vectors),
            {} if expected is None else {"gen_loss": expected},
            self.collapsed.weights(normals[: self.collapsed.size], last) if weights else None,
        ).cpu()

    def _gen_loss(self, system: GaussianSystem, targets: Float[Tensor, "draw n"]) -> Float[Tensor, " draw"] | None:
        bias = self.task.gen_loss(system.mean(targets).flatten(1).T)
        if bias is None:
            return None
        return bias + system.held_out_variance() / self.task.held_out.count

    def complete(
        self,
        normals: Float[Tensor, "latent draw"],
        last: Float[Tensor, "row feature draw"],
        values: Float[Tensor, "draw n"] | None = None,
    ) -> tuple[Float[Tensor, "entry draw"], Float[Tensor, "row feature draw"]]:
        """An exact draw of W given the hidden layers and its measurements, from free normals of the last layer.

        The measurements are the targets, or ``values``. Returns W and the last layer, still in standard units.
        """
        values = self.targets(normals) if values is None else values
        ends, lasts = [], []
        chunks = (self._parts(normals), last.split(self.chunk, dim=2), values.split(self.chunk))
        for part, free, wanted in zip(*chunks, strict=True):
            features = self.collapsed.features(part[: self.collapsed.size])
            end, shifted = condition_last_layer(self.task, features, free, wanted, system_given(self.task, features))
            ends.append(end)
            lasts.append(shifted)
        return torch.cat(ends, dim=1), torch.cat(lasts, dim=2)


def joined(losses: list[Float[Tensor, " _"] | None]) -> Float[Tensor, " draw"] | None:
    """The losses of all parts one after the other; None where they are not known."""
    known = [loss for loss in losses if loss is not None]
    return torch.cat(known) if known else None


def system_given(
    task: ArrayTask, features: Float[Tensor, "*row feature col draw"], noise: float = 0.0
) -> GaussianSystem:
    """The Gaussian system of each draw, given its features F, of all rows or of each: K = FᵀF."""
    if features.ndim == 3:
        return gaussian_system(task, product(features.transpose(0, 1), features).movedim(-1, 0), noise)
    return gaussian_system(task, torch.einsum("rfcb,rfdb->brcd", features, features), noise)


def condition_last_layer(
    task: ArrayTask,
    features: Float[Tensor, "*row feature col draw"],
    free: Float[Tensor, "row feature draw"],
    values: Float[Tensor, "draw n"],
    system: GaussianSystem,
) -> tuple[Float[Tensor, "entry draw"], Float[Tensor, "row feature draw"]]:
    """W = Z F and Z given that W is measured as ``values``, from a free Z of standard normals.

    Matheron's rule: draw W and its measurements from the prior, then shift both by what the measurements miss. Where
    the ``system``, which is the one of these features, has noise, a draw of it is to be taken off ``values``.
    """
    missing = values - task.measurements.apply(row_product(free, features).flatten(0, 1)).T
    multipliers = system.solve(missing)
    back = task.measurements.adjoint(multipliers.T).unflatten(0, task.unfolding)
    shifted = free + row_product(back, features.transpose(-3, -2))
    return row_product(shifted, features).flatten(0, 1), shifted


def residual_in_ball(normals: Float[Tensor, "latent draw"], eps: float) -> Float[Tensor, "draw n"]:
    """Residuals uniform in the ball of radius √(nε) of R^n, from n + 2 standard normals each."""
    count = normals.shape[0] - 2
    # The first n coordinates of a uniform point on the unit sphere of R^(n+2) are uniform in the unit ball of R^n.
    ball = normals[:count] / torch.linalg.vector_norm(normals, dim=0)
    return math.sqrt(count * eps) * ball.T

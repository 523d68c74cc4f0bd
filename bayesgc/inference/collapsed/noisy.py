"""The collapsed criterion with Gaussian noise on the measurements: the laws that tempering passes through.

With noise of variance τ the density of y given the hidden layers is N(y; 0, S + τ), which is smooth and bounded where
N(y; 0, S) has peaks without bound: hidden layers of nearly low rank that fit. As τ falls from ∞ to 0 the laws go from
the prior to the posterior at exactly zero loss. Powers of N(y; 0, S) are no such way: a peak of width w in d directions
is w⁻ᵈ high, and below the power one it has no weight next to the plain, so that particles meet it at the last step
alone, if at all. With noise it is as wide as the noise, and of the mass that it will have.

At ε > 0 the way ends at τ = ε, in the law of weights given y up to that noise, from which the hard threshold is one
more step: a draw of W given noisy measurements has the density N(y; ĀW, ε) too much, so that

    P(L_train < ε) = E[N(y; 0, S + ε) 1{L_train(W) < ε} / N(y; ĀW, ε)],

an identity whose factors are bounded: none is above e^(n/2), whatever the prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.collapsed.criterion import CollapsedCriterion, condition_last_layer, joined, system_given
from bayesgc.inference.collapsed.gaussian import GaussianSystem, Spectrum
from bayesgc.inference.collapsed.gibbs import sweep_layers
from bayesgc.inference.curve import log_correction
from bayesgc.inference.target import Harvest

_ENDS_OF_LARGE = 16
"""With n measurements about one end in √n counts at the threshold, and a system costs far more than an end."""
_DIGITS = 1e-6
"""The relative error with which measured values must come back from the solved system."""


@dataclass(frozen=True)
class NoisyCriterion(CollapsedCriterion):
    """A collapsed criterion seen through noise of variance ``noise``: ∞ is the prior, 0 the criterion itself.

    ``normals`` is (latent, draw): those of the hidden layers and, at ε > 0, more for a draw of the last layer given
    noisy measurements: those of a free last layer, then n for the noise. Where systems are large a column has many such
    ends and one more normal, which picks among them: its score is their mean, which tells more, for hardly more work.
    """

    noise: float = math.inf

    @property
    def latent_size(self) -> int:
        """The number of standard normals that make one draw."""
        if self.eps == 0:
            return self.collapsed.size
        return self.collapsed.size + self._ends * (self._last_size + self.task.measurements.count) + self._picks

    def at(self, height: float) -> NoisyCriterion:
        """The same with that much noise."""
        return replace(self, noise=height)

    def score(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, " draw"]:
        """log of the law's density relative to the prior's, times its normalising constant."""
        if self.noise == math.inf:
            return normals.new_zeros(normals.shape[1])
        one = self._score_hard if self._hard else self._score_noisy
        return torch.cat([one(part) for part in self._parts(normals)])

    def scores(self, normals: Float[Tensor, "latent draw"]) -> Callable[[float], Float[Tensor, " draw"]]:
        """The scores of the same columns with any noise, all but none from one eigendecomposition of each."""
        spectra: list[Spectrum] = []

        def with_noise(variance: float) -> Float[Tensor, " draw"]:
            if not 0 < variance < math.inf:
                return self.at(variance).score(normals)
            if not spectra:
                spectra.extend(self._spectrum(part) for part in self._parts(normals))
            return torch.cat([spectrum.log_density(variance) for spectrum in spectra])

        return with_noise

    def _spectrum(self, normals: Float[Tensor, "latent draw"]) -> Spectrum:
        return system_given(self.task, self._features(normals)).spectrum(self._y(normals))

    def _score_noisy(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, " draw"]:
        return system_given(self.task, self._features(normals), self.noise).log_density(self._y(normals))

    def _score_hard(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, " draw"]:
        features = self._features(normals)
        system = system_given(self.task, features, self.eps)
        gains = [self._gain(vectors) for vectors, _ in self._finished(normals, features, system)]
        return system.log_density(self._y(normals)) + torch.stack(gains).logsumexp(0) - math.log(len(gains))

    def _gain(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"]:
        """log of 1{L_train(W) < ε} / N(y; ĀW, ε)."""
        loss = self.task.train_loss(vectors)
        return torch.where(loss < self.eps, log_correction(self.task.measurements.count, loss, self.eps), -torch.inf)

    @property
    def draws_layers(self) -> bool:
        """Whether there are hidden layers that can be drawn anew under noise."""
        return len(self.collapsed.gaussian_scales) > 1

    def refresh(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "latent draw"]:
        """The columns with all hidden layers drawn anew, where they are Gaussian given one another and the noise."""
        hidden = self.collapsed.size
        if not 0 < self.noise < math.inf or not self.draws_layers:
            return normals
        parts = [
            sweep_layers(self.task, self.collapsed, part[:hidden], self.noise, generator)
            for part in self._parts(normals)
        ]
        # The last layer's own normals are not looked at before the threshold is hard.
        return torch.cat([torch.cat(parts, dim=1), normals[hidden:]])

    def generalisation(
        self, normals: Float[Tensor, "latent draw"], generators: Sequence[torch.Generator] = ()
    ) -> Float[Tensor, " draw"] | None:
        """E[L_gen | hidden layers, measurements] of each draw of the posterior; None short of it, where nobody asks."""
        if self.noise > 0 or not self._hard:
            return super().generalisation(normals) if self.noise == 0 else None
        return joined([self._gen_loss_hard(part, self._condition(part)[0]) for part in self._parts(normals)])

    def _gen_loss_hard(
        self, normals: Float[Tensor, "latent draw"], vectors: Float[Tensor, "entry draw"]
    ) -> Float[Tensor, " draw"] | None:
        own = self.task.gen_loss(vectors)
        if own is None or self.large:
            return own
        values = self.task.measurements.apply(vectors).T
        system = system_given(self.task, self._features(normals))
        found = self.task.measurements.apply(system.mean(values).flatten(1).T).T
        digits = (found - values).abs().amax(1) < _DIGITS * values.abs().amax(1)
        expected = self._gen_loss(system, values)
        # Where S is singular up to rounding, the draw speaks for itself.
        return own if expected is None else torch.where(digits & expected.isfinite(), expected, own)

    def harvest(
        self,
        normals: Float[Tensor, "latent draw"],
        score: Float[Tensor, " draw"],
        generators: list[torch.Generator],
        *,
        weights: bool,
    ) -> Harvest:
        """The finished draws of each column; at ε > 0 a column holds its W already."""
        if self.eps == 0:
            return super().harvest(normals, score, generators, weights=weights)
        parts = list(self._parts(normals))
        found = [self._condition(part) for part in parts]
        hard = zip(parts, found, strict=True) if self._hard else []
        expected = joined([self._gen_loss_hard(part, own) for part, (own, _) in hard])
        vectors, last = (torch.cat(each, dim=-1) for each in zip(*found, strict=True))
        return Harvest(
            vectors,
            self.task.measures(vectors),
            {} if expected is None else {"gen_loss": expected},
            self.collapsed.weights(normals[: self.collapsed.size], last) if weights else None,
        ).cpu()

    def _ball(
        self, normals: Float[Tensor, "latent draw"], fresh: Float[Tensor, "n_and_two draw"]
    ) -> Float[Tensor, "n_and_two draw"]:
        return fresh

    def _guess(
        self,
        features: Float[Tensor, "*row feature col draw"],
        free: Float[Tensor, "row feature draw"],
        ball: Float[Tensor, "n_and_two draw"],
    ) -> Float[Tensor, "entry draw"]:
        """A draw of W given the hidden layers and the noisy measurements."""
        if not 0 < self.noise < math.inf:
            return super()._guess(features, free, ball)
        return self._given_noisy(features, free, ball[:-2], system_given(self.task, features, self.noise))[0]

    @property
    def _hard(self) -> bool:
        """Whether the law is the one with the hard threshold."""
        return self.noise == 0 and self.eps > 0

    @property
    def _last_shape(self) -> tuple[int, int]:
        return self.task.unfolding[0], self.collapsed.feature_count

    @property
    def _last_size(self) -> int:
        return math.prod(self._last_shape)

    def _features(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "*row feature col draw"]:
        return self.collapsed.features(normals[: self.collapsed.size])

    def _y(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "draw n"]:
        y = torch.as_tensor(self.task.targets, dtype=normals.dtype, device=normals.device)
        return y.expand(normals.shape[1], -1)

    @property
    def _ends(self) -> int:
        """Draws of the last layer in a column."""
        return _ENDS_OF_LARGE if self.large else 1

    @property
    def _picks(self) -> int:
        """Normals that pick one of them."""
        return int(self._ends > 1)

    def _condition(
        self, normals: Float[Tensor, "latent draw"]
    ) -> tuple[Float[Tensor, "entry draw"], Float[Tensor, "row feature draw"]]:
        """W of each draw, and its last layer in standard units."""
        features = self._features(normals)
        ends = list(self._finished(normals, features, system_given(self.task, features, self.eps)))
        if len(ends) == 1:
            return ends[0]
        shares = torch.stack([self._gain(vectors) for vectors, _ in ends]).softmax(0).cumsum(0)
        place = (shares < torch.special.ndtr(normals[-1])).sum(0).clamp(max=len(ends) - 1)
        column = torch.arange(len(place), device=place.device)
        every = (torch.stack(each).movedim(-1, 1) for each in zip(*ends, strict=True))
        vectors, last = (each[place, column].movedim(0, -1) for each in every)
        return vectors, last

    def _finished(
        self,
        normals: Float[Tensor, "latent draw"],
        features: Float[Tensor, "*row feature col draw"],
        system: GaussianSystem,
    ) -> Iterator[tuple[Float[Tensor, "entry draw"], Float[Tensor, "row feature draw"]]]:
        """W of each draw and its last layer by each of the ends."""
        ends = normals[self.collapsed.size : self.latent_size - self._picks]
        for end in ends.chunk(self._ends):
            free, noise = end.split([self._last_size, self.task.measurements.count])
            yield self._given_noisy(features, free.unflatten(0, self._last_shape), noise, system)

    def _given_noisy(
        self,
        features: Float[Tensor, "*row feature col draw"],
        free: Float[Tensor, "row feature draw"],
        noise: Float[Tensor, "n draw"],
        system: GaussianSystem,
    ) -> tuple[Float[Tensor, "entry draw"], Float[Tensor, "row feature draw"]]:
        values = self._y(noise) - math.sqrt(system.noise) * noise.T
        return condition_last_layer(self.task, features, free, values, system)

"""Ladders from the prior to the posterior: falling thresholds on a loss, or falling noise on the measurements.

A rung says how much a particle weighs as it steps on it and which moves it allows there. A ladder finds the next rung.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Uniforms = Callable[[], Float[Tensor, " column"]]
ScoreOn = Callable[["Rung"], Float[Tensor, " particle"]]
"""The scores that particles would have on a rung."""


@runtime_checkable
class Rung(Protocol):
    """One step of a ladder: a law between the prior and the posterior."""

    @property
    def height(self) -> float:
        """The number that names the rung: its threshold, or its noise."""
        ...

    @property
    def spread(self) -> float:
        """The standard deviation over particles of the log angle of a move: 0 where one scale fits all."""
        ...

    def log_weight(
        self, score: Float[Tensor, " column"], before: Float[Tensor, " column"] | None = None
    ) -> Float[Tensor, " column"]:
        """log of the rung's density relative to that of the rung before, where the scores were ``before``."""
        ...

    def accept(
        self, proposed: Float[Tensor, " column"], current: Float[Tensor, " column"], uniforms: Uniforms
    ) -> Bool[Tensor, " column"]:
        """Which moves to take, for proposals that leave the prior invariant."""
        ...


@runtime_checkable
class Ladder(Protocol):
    """The rule that finds the rungs, used by a pilot alone."""

    def next(
        self, score: Float[Tensor, " particle"], before: list[Rung], score_on: ScoreOn | None = None
    ) -> Rung | None:
        """The rung after those before, for particles with these scores; None when there is no way on."""
        ...

    def finished(self, rungs: list[Rung]) -> bool:
        """Whether the last rung is the posterior."""
        ...

    def way(self, rungs: list[Rung]) -> float:
        """The share of the way that is done, roughly."""
        ...


@dataclass(frozen=True)
class Threshold:
    """The prior given that the score, a loss, is below ``height``. Accepting by the threshold alone is then exact."""

    height: float
    spread: ClassVar[float] = 0.0

    def log_weight(
        self, score: Float[Tensor, " column"], before: Float[Tensor, " column"] | None = None
    ) -> Float[Tensor, " column"]:
        """0 below the threshold, −∞ at and above it."""
        return torch.where(score < self.height, 0.0, -torch.inf)

    def accept(
        self, proposed: Float[Tensor, " column"], current: Float[Tensor, " column"], uniforms: Uniforms
    ) -> Bool[Tensor, " column"]:
        """Those that stay below the threshold."""
        return proposed < self.height


@dataclass(frozen=True)
class Noise:
    """The prior times the density of y, had the measurements Gaussian noise of variance ``height``; at 0 the posterior.

    Its score is the log of that factor. The density without noise has narrow peaks, at layers of nearly low rank,
    beside wide plains. A power of it below one takes more from a peak by its narrowness than it gives by its height;
    noise widens the peak and leaves its mass, so that particles find it early. Moves of many scales at once mix on
    both.
    """

    height: float
    spread: ClassVar[float] = 1.0

    def log_weight(
        self, score: Float[Tensor, " column"], before: Float[Tensor, " column"] | None = None
    ) -> Float[Tensor, " column"]:
        """The gain in score from the rung before; −∞ where nothing is left."""
        return score if before is None else torch.where(score > -torch.inf, score - before, -torch.inf)

    def accept(
        self, proposed: Float[Tensor, " column"], current: Float[Tensor, " column"], uniforms: Uniforms
    ) -> Bool[Tensor, " column"]:
        """Metropolis' rule."""
        return uniforms().log() < proposed - current


@dataclass(frozen=True)
class ThresholdLadder:
    """Thresholds that about ``survival`` of the particles pass, down to ``eps``.

    ``nats`` says how far it is from one threshold down to another: about the log of the ratio of the volumes below
    them, where nothing holds the descent up.
    """

    eps: float
    survival: float
    nats: Callable[[float, float], float]

    def next(
        self, score: Float[Tensor, " particle"], before: list[Rung], score_on: ScoreOn | None = None
    ) -> Rung | None:
        """The next threshold, or None when there is no lower value or no more progress."""
        if self._stalled([rung.height for rung in before]):
            return None
        height = next_threshold(score, self.survival, self.eps)
        return None if height is None else Threshold(height)

    def finished(self, rungs: list[Rung]) -> bool:
        """Whether the last threshold is ε."""
        return bool(rungs) and rungs[-1].height <= self.eps

    def way(self, rungs: list[Rung]) -> float:
        """How much of the way from the first threshold down to ε is done."""
        first, whole = rungs[0].height, self.nats(rungs[0].height, self.eps)
        return 1.0 if whole <= 0 else self.nats(first, rungs[-1].height) / whole

    def _stalled(self, thresholds: list[float]) -> bool:
        """Whether the thresholds stopped falling, as they do above the least loss that the model can reach.

        A level should take the descent −log(survival) further; one that for many levels makes a fiftieth of that way
        is held up by something else.
        """
        if len(thresholds) <= _PATIENCE:
            return False
        return self.nats(thresholds[-1 - _PATIENCE], thresholds[-1]) < 0.02 * _PATIENCE * math.log(1 / self.survival)


_PATIENCE = 20
"""Levels over which a descent must make some way."""


def next_threshold(loss: Float[Tensor, " particle"], survival: float, eps: float) -> float | None:
    """The quantile of the losses that about ``survival`` of the particles lie strictly below, but at least ε.

    Atoms of the prior make ties; where nothing lies strictly below the quantile it is the next distinct value, and
    None when there is no other value to step to.
    """
    ordered = loss[torch.isfinite(loss)].sort().values
    if len(ordered) == 0:
        return None
    candidate = ordered[min(int(survival * len(loss)), len(ordered) - 1)]
    if candidate <= eps:
        return eps
    if candidate == ordered[0]:
        higher = ordered[ordered > ordered[0]]
        return None if len(higher) == 0 else max(float(higher[0]), eps)
    return float(candidate)


@dataclass(frozen=True)
class NoiseLadder:
    """Falling variances, each as low as leaves ``survival`` of the particles as effective sample size, then no noise.

    Args:
        loudest: the variance to look from for the first rung: that of the targets.
        least: the variance from which the last step is taken, whatever it leaves; at 0 only where it leaves enough.
    """

    survival: float
    loudest: float
    least: float

    def next(
        self, score: Float[Tensor, " particle"], before: list[Rung], score_on: ScoreOn | None = None
    ) -> Rung | None:
        """The next variance, or None when no particle has a score left."""
        if score_on is None:
            raise TypeError("a ladder of noise needs the scores that particles would have on a rung")

        def leaves_enough(variance: float) -> bool:
            rung = Noise(variance)
            return effective_share(rung.log_weight(score_on(rung), score)) >= self.survival

        last = before[-1].height if before else math.inf
        lowest = max(self.least, _SILENCE * self.loudest)
        if last <= lowest or leaves_enough(0.0):
            return Noise(0.0) if torch.isfinite(score_on(Noise(0.0))).any() else None
        if not torch.isfinite(score_on(Noise(min(last, self.loudest)))).any():
            return None
        high, low = self._bracket(last, lowest, leaves_enough)
        for _ in range(_BISECTIONS):
            middle = math.sqrt(high * low)
            high, low = (middle, low) if leaves_enough(middle) else (high, middle)
        # A step too small to find is taken all the same: the way must lead down.
        return Noise(high if high < last else low)

    def _bracket(self, last: float, lowest: float, leaves_enough: Callable[[float], bool]) -> tuple[float, float]:
        """A variance that leaves enough, and a lower one that does not, or is the lowest too."""
        high = min(last, self.loudest)
        while high < min(last, self.loudest / _SILENCE) and not leaves_enough(high):
            high *= _STRIDE
        low = high
        while low > lowest:
            low = max(low / _STRIDE, lowest)
            if not leaves_enough(low):
                return high, low
            high = low
        return lowest, lowest

    def finished(self, rungs: list[Rung]) -> bool:
        """Whether there is no noise left."""
        return bool(rungs) and rungs[-1].height == 0

    def way(self, rungs: list[Rung]) -> float:
        """How much of the way down is done, on a log scale; without an end to it, of six decades."""
        if self.finished(rungs):
            return 1.0
        bottom = self.least or 1e-6 * self.loudest
        done = math.log(rungs[0].height / rungs[-1].height)
        return min(done / max(math.log(rungs[0].height / bottom), 1.0), 0.99)


def effective_share(log_weight: Float[Tensor, " particle"]) -> float:
    """Kish's effective sample size as a share of the particles; 0 where none has weight."""
    top = 2 * log_weight.logsumexp(0) - (2 * log_weight).logsumexp(0)
    return float(top.exp().nan_to_num(0.0)) / len(log_weight)


_BISECTIONS = 6
"""Halvings, on a log scale, of a bracket one stride wide."""
_STRIDE = 4.0
_SILENCE = 1e-20
"""The least variance as a share of the loudest: no digit of a score knows it from none."""

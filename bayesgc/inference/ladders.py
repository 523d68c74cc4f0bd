"""Ladders from the prior to the posterior: falling thresholds on a loss, or rising powers of an evidence.

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


@runtime_checkable
class Rung(Protocol):
    """One step of a ladder: a law between the prior and the posterior."""

    @property
    def height(self) -> float:
        """The number that names the rung: its threshold, or its power."""
        ...

    @property
    def spread(self) -> float:
        """The standard deviation over particles of the log angle of a move: 0 where one scale fits all."""
        ...

    def log_weight(self, score: Float[Tensor, " column"]) -> Float[Tensor, " column"]:
        """log of the rung's density relative to that of the rung before."""
        ...

    def accept(
        self, proposed: Float[Tensor, " column"], current: Float[Tensor, " column"], uniforms: Uniforms
    ) -> Bool[Tensor, " column"]:
        """Which moves to take, for proposals that leave the prior invariant."""
        ...


@runtime_checkable
class Ladder(Protocol):
    """The rule that finds the rungs, used by a pilot alone."""

    def next(self, score: Float[Tensor, " particle"], before: list[Rung]) -> Rung | None:
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

    def log_weight(self, score: Float[Tensor, " column"]) -> Float[Tensor, " column"]:
        """0 below the threshold, −∞ at and above it."""
        return torch.where(score < self.height, 0.0, -torch.inf)

    def accept(
        self, proposed: Float[Tensor, " column"], current: Float[Tensor, " column"], uniforms: Uniforms
    ) -> Bool[Tensor, " column"]:
        """Those that stay below the threshold."""
        return proposed < self.height


@dataclass(frozen=True)
class Power:
    """The prior times the evidence, whose log is the score, to the power ``height``.

    Evidence has narrow peaks, at hidden layers of nearly low rank, beside wide plains: moves of many scales at once
    mix on both. On the case shared-5 of the tests single runs reached the same error about ten times sooner.
    """

    height: float
    before: float
    spread: ClassVar[float] = 1.0

    def log_weight(self, score: Float[Tensor, " column"]) -> Float[Tensor, " column"]:
        """The step in the power times the log evidence."""
        return (self.height - self.before) * score

    def accept(
        self, proposed: Float[Tensor, " column"], current: Float[Tensor, " column"], uniforms: Uniforms
    ) -> Bool[Tensor, " column"]:
        """Metropolis' rule."""
        return uniforms().log() < self.height * (proposed - current)


@dataclass(frozen=True)
class ThresholdLadder:
    """Thresholds that about ``survival`` of the particles pass, down to ``eps``; for a task with n measurements."""

    eps: float
    survival: float
    measurements: int

    def next(self, score: Float[Tensor, " particle"], before: list[Rung]) -> Rung | None:
        """The next threshold, or None when there is no lower value or no more progress."""
        if self._stalled([rung.height for rung in before]):
            return None
        height = next_threshold(score, self.survival, self.eps)
        return None if height is None else Threshold(height)

    def finished(self, rungs: list[Rung]) -> bool:
        """Whether the last threshold is ε."""
        return bool(rungs) and rungs[-1].height <= self.eps

    def way(self, rungs: list[Rung]) -> float:
        """How much of the way from the first threshold down to ε is done, on a log scale."""
        whole = math.log(rungs[0].height / self.eps)
        return 1.0 if whole <= 0 else math.log(rungs[0].height / rungs[-1].height) / whole

    def _stalled(self, thresholds: list[float]) -> bool:
        """Whether the thresholds stopped falling, as they do above the least loss that the model can reach.

        Where every loss is reachable the volume falls like τ^(n/2), and τ by a factor survival^(2/n) a level; a
        descent that for many levels makes a fiftieth of that way is held up by something else.
        """
        if len(thresholds) <= _PATIENCE:
            return False
        way = math.log(thresholds[-1 - _PATIENCE] / thresholds[-1])
        return way < 0.02 * _PATIENCE * math.log(1 / self.survival) * 2 / self.measurements


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
class PowerLadder:
    """Powers from 0 to 1, each as high as leaves ``survival`` of the particles as effective sample size."""

    survival: float

    def next(self, score: Float[Tensor, " particle"], before: list[Rung]) -> Rung | None:
        """The next power, or None when no particle has a finite log evidence."""
        start = before[-1].height if before else 0.0
        if not torch.isfinite(score).any():
            return None
        if self._effective_share((1.0 - start) * score) >= self.survival:
            return Power(1.0, start)
        low, high = 0.0, 1.0 - start
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            enough = self._effective_share(middle * score) >= self.survival
            low, high = (middle, high) if enough else (low, middle)
        return Power(start + high, start)

    def finished(self, rungs: list[Rung]) -> bool:
        """Whether the power is one."""
        return bool(rungs) and rungs[-1].height >= 1.0

    def way(self, rungs: list[Rung]) -> float:
        """The power, on a scale that shows small ones too."""
        return 1 + math.log10(max(rungs[-1].height, 1e-4)) / 4

    @staticmethod
    def _effective_share(log_weight: Float[Tensor, " particle"]) -> float:
        """Kish's effective sample size as a share of the particles."""
        top = 2 * log_weight.logsumexp(0) - (2 * log_weight).logsumexp(0)
        return float(top.exp()) / len(log_weight)


_BISECTIONS = 40

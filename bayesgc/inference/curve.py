"""The ε-curve of the collapsed methods: log volume and E[L_gen] at every threshold, all from one set of draws.

At ε > 0 the targets are y + r b, with r = √(nε) and b uniform in the unit ball. Given the hidden layers and b the log
density is a quadratic in r, and so is E[L_gen]: a few numbers for each draw give the whole curve, down to r = 0, where
it is the posterior at exactly zero loss. Draws of any law between prior and posterior will do, each law best for some
thresholds. Where ε is so loose that the zero matrix may fit, y + r b says little; there plain guesses, a last layer
drawn for the same hidden layers, are counted instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from torch import Tensor

from bayesgc.inference.estimates import log_mean, weighted_mean
from bayesgc.inference.records import Estimate, Levels
from bayesgc.inference.smoothing import pareto_shape, shape_limit
from bayesgc.task import ArrayTask

Losses = TypeVar("Losses", Float[np.ndarray, " draw"], Float[Tensor, " draw"])

_POINTS = 24
_NEAR_ZERO = 1e-3
"""The lowest threshold of the curve to zero loss, as a share of the zero predictor's loss."""
_FEWEST_GUESSES = 100
"""Guesses below a threshold, under which their share says too little."""


@dataclass(frozen=True)
class Profile:
    """What each draw says of every radius r: log N(y + r b; 0, S) and E[L_gen | hidden layers, y + r b] as quadratics.

    ``density`` and ``loss`` hold the coefficients of 1, r and r²; ``loss`` is None where L_gen is not defined.
    ``guess`` holds L_train and L_gen (NaN where it is not defined) of a draw that nothing conditions.
    """

    density: Float[np.ndarray, "3 draw"]
    loss: Float[np.ndarray, "3 draw"] | None
    guess: Float[np.ndarray, "2 draw"]

    def log_density(self, radius: float) -> Float[np.ndarray, " draw"]:
        """log N(y + r b; 0, S) of each draw."""
        constant, first, second = self.density
        return constant + radius * (first + radius * second)

    def gen_loss(self, radius: float) -> Float[np.ndarray, " draw"]:
        """E[L_gen | hidden layers, y + r b] of each draw, NaN where it is not defined."""
        if self.loss is None:
            return np.full(self.density.shape[1], np.nan)
        constant, first, second = self.loss
        return constant + radius * (first + radius * second)

    def part(self, draws: slice) -> Profile:
        """Some of the draws."""
        loss = None if self.loss is None else self.loss[:, draws]
        return Profile(self.density[:, draws], loss, self.guess[:, draws])


def join(profiles: Sequence[Profile]) -> Profile:
    """The draws of several profiles as one."""
    losses = [each.loss for each in profiles if each.loss is not None]
    return Profile(
        np.concatenate([each.density for each in profiles], axis=1),
        np.concatenate(losses, axis=1) if losses else None,
        np.concatenate([each.guess for each in profiles], axis=1),
    )


@dataclass(frozen=True)
class Stage:
    """Independent groups of equally many draws of one law between prior and posterior.

    ``log_density`` is log of the law's density relative to the prior's, ``log_volume`` that of each group's estimate of
    its normalising constant. ``profile`` holds the draws of the first group, then those of the next. ``noise`` is the
    variance of that on the measurements which the guesses are given; with ∞ nothing conditions them, with 0 there are
    none.
    """

    profile: Profile
    log_density: Float[np.ndarray, "group draw"]
    log_volume: Float[np.ndarray, " group"]
    noise: float = math.inf

    def fits(self, measurements: int, radius: float) -> Candidate | None:
        """Volume and loss at a radius by the draws' densities; None where these are too uneven to tell."""
        shape = self.log_density.shape
        ball = log_ball(measurements, radius**2 / measurements)
        weight = self.profile.log_density(radius).reshape(shape) + ball - self.log_density
        # How evenly the groups themselves count is in their errors.
        if not pareto_shape(weight.ravel()) < shape_limit(weight.size):
            return None
        return _pooled(weight, self.profile.gen_loss(radius).reshape(shape), self.log_volume)

    def guesses(self, measurements: int, threshold: float) -> Candidate | None:
        """Volume and loss by counting the guesses below a threshold; None where there are too few, or too uneven."""
        shape, loss = self.log_density.shape, self.profile.guess[0]
        below = loss < threshold
        if self.noise == 0 or below.sum() < _FEWEST_GUESSES:
            return None
        unbiased = log_correction(measurements, loss, self.noise)
        weight = np.where(below, unbiased, -np.inf)
        if self.noise < math.inf and not pareto_shape(weight[below]) < shape_limit(int(below.sum())):
            return None
        return _pooled(weight.reshape(shape), self.profile.guess[1].reshape(shape), self.log_volume)


@dataclass(frozen=True)
class Candidate:
    """One estimate of log volume and E[L_gen]."""

    volume: Estimate
    loss: Estimate

    @property
    def error(self) -> float:
        """The error of the log volume; ∞ where it is not known."""
        return math.inf if self.volume.mcse is None else self.volume.mcse


def log_ball(n: int, eps: float) -> float:
    """log of the volume of the n-ball of radius √(nε); 0 at ε = 0, where the evidence is a density and no volume."""
    return n / 2 * math.log(math.pi * n * eps) - math.lgamma(n / 2 + 1) if eps else 0.0


def log_correction(n: int, loss: Losses, variance: float) -> Losses:
    """−log N(y; ĀW, variance) of a W with that L_train: what it weighs to undo that it was drawn given noisy y."""
    return loss * (n / (2 * variance)) + n / 2 * math.log(2 * math.pi * variance) if variance < math.inf else 0 * loss


def pool_curve(stages: Sequence[Stage], task: ArrayTask, eps: float, end: Candidate | None = None) -> Levels:
    """The curve from the prior down to ``eps``, with errors from the independent groups; NaN where nothing can tell.

    ``stages`` begin with the prior and end with the law at ``eps``, unless ``end`` says what is known there. At ε = 0
    the last level is the limit, which has an E[L_gen] and, as its volume is zero, no log volume.
    """
    prior, last, measurements = stages[0], stages[-1], task.measurements.count
    whole = prior.guesses(measurements, math.inf)
    levels = [(math.inf, whole)]
    for threshold in _thresholds(prior.profile.guess[0], eps, task.zero_train_loss):
        radius = math.sqrt(measurements * threshold)
        at_end = threshold == eps
        found = [end or last.fits(measurements, radius)] if at_end else _estimates(stages, measurements, threshold)
        known = [each for each in found if each is not None]
        levels.append((threshold, min(known, key=lambda each: each.error, default=None)))
    return _table(levels)


def _estimates(stages: Sequence[Stage], measurements: int, threshold: float) -> Iterator[Candidate | None]:
    for stage in stages:
        yield stage.guesses(measurements, threshold)
        yield stage.fits(measurements, math.sqrt(measurements * threshold))


def _thresholds(guesses: Float[np.ndarray, " draw"], eps: float, zero_loss: float) -> list[float]:
    """From the median loss of the prior down to ε on a log scale."""
    top, bottom = float(np.median(guesses)), eps or _NEAR_ZERO * zero_loss
    if bottom <= 0 or top <= bottom:
        return [eps]
    way = [float(each) for each in np.geomspace(top, bottom, _POINTS)]
    return [*way[:-1], eps] if eps else [*way, 0.0]


def _pooled(
    log_weight: Float[np.ndarray, "group draw"],
    losses: Float[np.ndarray, "group draw"],
    log_volume: Float[np.ndarray, " group"] | None,
) -> Candidate:
    top = logsumexp(log_weight, axis=1)
    share = np.where(np.isfinite(top)[:, None], np.exp(log_weight - np.where(np.isfinite(top), top, 0.0)[:, None]), 0.0)
    volumes = top - math.log(log_weight.shape[1]) + (0.0 if log_volume is None else log_volume)
    return Candidate(log_mean(volumes), weighted_mean((share * np.where(share > 0, losses, 0.0)).sum(1), volumes))


def _table(levels: Sequence[tuple[float, Candidate | None]]) -> Levels:
    def column(name: str, part: str) -> Float[np.ndarray, " level"]:
        values = [None if found is None else getattr(getattr(found, name), part) for _, found in levels]
        return np.array([np.nan if value is None else value for value in values], dtype=float)

    threshold = np.array([height for height, _ in levels])
    exact, unknown = threshold == 0, np.full(len(levels), np.nan)
    return Levels(
        threshold=threshold,
        log_volume=np.where(exact, np.nan, column("volume", "value")),
        log_volume_mcse=np.where(exact, np.nan, column("volume", "mcse")),
        primary=column("loss", "value"),
        primary_mcse=column("loss", "mcse"),
        acceptance=unknown,
        ancestors=unknown,
    )

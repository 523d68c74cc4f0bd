"""The pilot of multilevel splitting: choose thresholds and step sizes on particles that are then thrown away.

Thresholds and steps that adapt to the particles they act on bias the volume by about levels·(1 − p)/(pN)
(Cérou, Del Moral, Furon and Guyader 2012); chosen in a pilot and then frozen they bias nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.control import Control, Progress
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.islands import Islands
from bayesgc.inference.records import Outcome
from bayesgc.inference.streams import Stream

_SHARE = 0.25
"""The part of the budget that a pilot may spend."""
_SMALLEST_ANGLE = 1e-6
_PATIENCE = 20
"""Levels over which a descent must make some way."""


@dataclass(frozen=True)
class Schedule:
    """Frozen thresholds, in falling order, and the angle of the moves below each.

    ``failure`` says why the last threshold is above ε; None when it is ε.
    """

    thresholds: tuple[float, ...]
    angles: tuple[float, ...]
    evaluations: int
    failure: Outcome | None


@dataclass(frozen=True)
class PilotRule:
    """How a pilot adapts: the share that survives a level, the moves within one, the acceptance it aims at."""

    particles: int
    moves: int
    survival: float
    acceptance: float


def run_pilot(criterion: Criterion, rule: PilotRule, seed: int, control: Control) -> Schedule:
    """Descend once from the prior towards ε, and record the way."""
    islands = Islands.from_prior(criterion, rule.particles, seed, Stream.PILOT, [0])
    thresholds: list[float] = []
    angles: list[float] = []
    angle, evaluations, failure = math.pi / 4, rule.particles, None
    while not thresholds or thresholds[-1] > criterion.eps:
        step = next_threshold(islands.loss, rule.survival, criterion.eps)
        cost = rule.particles * rule.moves
        if control.out_of_time(_SHARE) or not control.affords(evaluations + cost, _SHARE):
            failure = control.failure()
        elif step is None or _stalled(thresholds, rule.survival, criterion.task.measurements.count):
            failure = Outcome.STALLED
        if failure is not None or step is None:
            break
        angle, acceptance = _adapt_level(islands, step, angle, rule)
        evaluations += cost
        thresholds.append(step)
        angles.append(angle)
        way = _share_of_way(thresholds, criterion.eps)
        control.report(Progress("pilot", way, 1.0, step, acceptance, float(islands.log_volume[0])))
    return Schedule(tuple(thresholds), tuple(angles), evaluations, failure)


def _stalled(thresholds: list[float], survival: float, measurements: int) -> bool:
    """Whether the thresholds stopped falling, as they do above the least loss that the model can reach.

    Where every loss is reachable the volume falls like τ^(n/2), and τ by a factor survival^(2/n) a level; a descent
    that for many levels makes a fiftieth of that way is held up by something else.
    """
    if len(thresholds) <= _PATIENCE:
        return False
    way = math.log(thresholds[-1 - _PATIENCE] / thresholds[-1])
    return way < 0.02 * _PATIENCE * math.log(1 / survival) * 2 / measurements


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


def _share_of_way(thresholds: list[float], eps: float) -> float:
    """How much of the way from the first threshold down to ε is done, on a log scale."""
    whole = math.log(thresholds[0] / eps)
    return 1.0 if whole <= 0 else math.log(thresholds[0] / thresholds[-1]) / whole


def _adapt_level(islands: Islands, threshold: float, angle: float, rule: PilotRule) -> tuple[float, float]:
    """Move the particles below a threshold while steering the angle; returns it and the mean acceptance."""
    islands.select(threshold)
    trail, accepted = [], []
    for _ in range(rule.moves):
        acceptance = float(islands.move(threshold, angle))
        angle *= math.exp(acceptance - rule.acceptance)
        angle = min(max(angle, _SMALLEST_ANGLE), math.pi / 2)
        trail.append(math.log(angle))
        accepted.append(acceptance)
    settled = trail[len(trail) // 2 :]
    return math.exp(sum(settled) / len(settled)), sum(accepted) / len(accepted)

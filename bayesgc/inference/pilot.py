"""The pilot: choose rungs and step sizes on particles that are then thrown away.

Rungs and steps that adapt to the particles they act on bias the volume by about levels·(1 − p)/(pN)
(Cérou, Del Moral, Furon and Guyader 2012); chosen in a pilot and then frozen they bias nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from bayesgc.inference.control import Control, Progress
from bayesgc.inference.islands import Islands
from bayesgc.inference.ladders import Ladder, Rung
from bayesgc.inference.records import Outcome
from bayesgc.inference.streams import Stream
from bayesgc.inference.target import Target

_SHARE = 0.25
"""The part of the budget that a pilot may spend."""
_SMALLEST_ANGLE = 1e-6


@dataclass(frozen=True)
class Schedule:
    """Frozen rungs and the angle of the moves on each. ``failure`` says why the last one is not the posterior."""

    rungs: tuple[Rung, ...]
    angles: tuple[float, ...]
    evaluations: int
    failure: Outcome | None


@dataclass(frozen=True)
class Climb:
    """How islands climb: their particles, the moves on each rung, and the acceptance that a pilot steers to."""

    particles: int
    moves: int
    acceptance: float


@torch.no_grad()
def run_pilot(target: Target, ladder: Ladder, climb: Climb, seed: int, control: Control) -> Schedule:
    """Climb once from the prior towards the posterior, and record the way."""
    if control.interrupted:
        return Schedule((), (), 0, control.failure())
    islands = Islands.from_prior(target, climb.particles, seed, Stream.PILOT, [0])
    rungs: list[Rung] = []
    angles: list[float] = []
    angle, evaluations, failure = math.pi / 4, climb.particles, None
    cost = climb.particles * climb.moves
    while not ladder.finished(rungs) and failure is None:
        rung = ladder.next(islands.score, rungs, islands.score_on)
        if control.out_of_time(_SHARE) or not control.affords(evaluations + cost, _SHARE):
            failure = control.failure()
        elif rung is None:
            failure = Outcome.STALLED
        else:
            angle, acceptance = _adapt(islands, rung, angle, climb)
            evaluations += cost
            rungs.append(rung)
            angles.append(angle)
            volume = float(islands.log_volume[0])
            control.report(Progress("pilot", ladder.way(rungs), 1.0, rung.height, acceptance, volume))
    return Schedule(tuple(rungs), tuple(angles), evaluations, failure)


def _adapt(islands: Islands, rung: Rung, angle: float, climb: Climb) -> tuple[float, float]:
    """Move the particles on a rung while steering the angle; returns it and the mean acceptance."""
    islands.select(rung)
    trail, accepted = [], []
    for _ in range(climb.moves):
        acceptance = float(islands.move(rung, angle))
        angle *= math.exp(acceptance - climb.acceptance)
        angle = min(max(angle, _SMALLEST_ANGLE), math.pi / 2)
        trail.append(math.log(angle))
        accepted.append(acceptance)
    islands.refresh(rung)
    settled = trail[len(trail) // 2 :]
    return math.exp(sum(settled) / len(settled)), sum(accepted) / len(accepted)

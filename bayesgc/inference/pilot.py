"""The pilot: choose rungs and step sizes on particles that are then thrown away.

Rungs and steps that adapt to the particles they act on bias the volume by about levels·(1 − p)/(pN)
(Cérou, Del Moral, Furon and Guyader 2012); chosen in a pilot and then frozen they bias nothing.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import torch

from bayesgc.inference.control import Control, OutOfTime, Progress
from bayesgc.inference.islands import Islands
from bayesgc.inference.ladders import Ladder, Rung
from bayesgc.inference.records import Outcome
from bayesgc.inference.streams import Stream
from bayesgc.inference.target import Target

SHARE = 0.25
"""The part of the budget that a pilot may spend before islands follow it."""
_SMALLEST_ANGLE = 1e-6


@dataclass(frozen=True)
class Schedule:
    """Frozen rungs and the angle of the moves on each. ``failure`` says why the last one is not the posterior.

    ``evaluations`` are all those behind it.
    """

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


def run_pilot(
    target: Target, ladder: Ladder, climb: Climb, seed: int, control: Control, share: float = SHARE
) -> Schedule:
    """Climb once from the prior towards the posterior, within a share of the budget, and record the way."""
    return Pilot(target, ladder, climb, seed, control).go_on(share)


@dataclass
class Pilot:
    """The way so far, and the particles that found it, which can go on; ``seconds`` is what it took."""

    target: Target
    ladder: Ladder
    climb: Climb
    seed: int
    control: Control
    rungs: list[Rung] = field(default_factory=list)
    angles: list[float] = field(default_factory=list)
    evaluations: int = 0
    seconds: float = 0.0
    _islands: Islands | None = None
    _angle: float = math.pi / 4

    @torch.no_grad()
    def go_on(self, share: float = 1.0, most: float = math.inf) -> Schedule:
        """Climb on, to ``most`` rungs at the most and within a share of the budget."""
        began = time.perf_counter()
        failure: Outcome | None = self.control.failure()
        if not self.control.interrupted:
            try:
                failure = self._climb(share, most)
            except OutOfTime:
                failure = self.control.failure()
        self.seconds += time.perf_counter() - began
        return Schedule(tuple(self.rungs), tuple(self.angles), self.evaluations, failure)

    def _climb(self, share: float, most: float) -> Outcome | None:
        """Rung after rung; returns why the last one is not the posterior."""
        islands = self._started()
        cost = self.climb.particles * self.climb.moves
        while not self.ladder.finished(self.rungs):
            rung, control = self.ladder.next(islands.score, self.rungs), self.control
            spent = control.out_of_time(share) or not control.affords(self.evaluations + cost, share)
            if spent or len(self.rungs) >= most:
                return control.failure()
            if rung is None:
                return Outcome.STALLED
            angle, acceptance = _adapt(islands, rung, self._angle, self.climb)
            self.evaluations += cost
            self._angle = angle
            self.rungs.append(rung)
            self.angles.append(angle)
            volume = float(islands.log_volume[0])
            control.report(Progress("pilot", self.ladder.way(self.rungs), 1.0, rung.height, acceptance, volume))
        return None

    def _started(self) -> Islands:
        if self._islands is None:
            self._islands = Islands.from_prior(self.target, self.climb.particles, self.seed, Stream.PILOT, [0])
            self.evaluations = self.climb.particles
        return self._islands


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

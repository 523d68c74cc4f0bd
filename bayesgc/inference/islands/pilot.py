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
from bayesgc.inference.islands.islands import Islands
from bayesgc.inference.islands.ladders import Ladder, Rung
from bayesgc.inference.islands.survey import BLOCK, Survey
from bayesgc.inference.records import Outcome
from bayesgc.inference.streams import Stream
from bayesgc.inference.target import Target

SHARE = 0.25
"""The part of the budget that a pilot may spend before islands follow it."""
_SMALLEST_ANGLE = 1e-6


@dataclass(frozen=True)
class Schedule:
    """Frozen rungs and the angles of the moves on each, one for a block.

    ``failure`` says why the last rung is not the posterior.

    ``evaluations`` are the draws and moves behind it, not the looks of a ladder at particles where they are; ``survey``
    takes the islands up its rungs, the first ones, without moves but on its last.
    """

    rungs: tuple[Rung, ...]
    angles: tuple[list[float], ...]
    evaluations: int
    failure: Outcome | None
    survey: Survey | None = None

    def cost(self, climb: Climb) -> int:
        """Evaluations of the score by one island."""
        unmoved, draws = (0, 0) if self.survey is None else (self.survey.rungs - 1, self.survey.draws)
        settling = int(climb.blocks > 1 and len(self.rungs) > unmoved)
        return draws + climb.particles * (1 + climb.steps * (len(self.rungs) - unmoved) + settling)


@dataclass(frozen=True)
class Climb:
    """How islands climb: their particles, the moves of each block on a rung, and the acceptance that a pilot steers to.

    ``survey`` is the one to begin with, on a ladder of thresholds; ``blocks`` how many blocks the target has.
    """

    particles: int
    moves: int
    acceptance: float
    survey: Survey | None = None
    blocks: int = 1

    @property
    def steps(self) -> int:
        """Evaluations of the score by the moves of one particle on a rung."""
        return self.moves * self.blocks


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
    angles: list[list[float]] = field(default_factory=list)
    survey: Survey | None = None
    evaluations: int = 0
    seconds: float = 0.0
    _islands: Islands | None = None
    _angles: list[float] = field(default_factory=list)

    @torch.no_grad()
    def go_on(self, share: float = 1.0, most: float = math.inf) -> Schedule:
        """Climb on, to ``most`` rungs at the most and within a share of the budget."""
        began = time.perf_counter()
        failure: Outcome | None = self.control.failure()
        if not self.control.interrupted and self.control.affords(self.climb.particles):
            try:
                failure = self._climb(share, most)
            except OutOfTime:
                failure = self.control.failure()
        self.seconds += time.perf_counter() - began
        # A pilot that was stopped on the way to a rung has no angle for it.
        rungs = tuple(self.rungs[: len(self.angles)])
        survey = self.survey if self.survey is not None and self.survey.rungs <= len(rungs) else None
        return Schedule(rungs, tuple(self.angles), self.evaluations, failure, survey)

    def _climb(self, share: float, most: float) -> Outcome | None:
        """Rung after rung; returns why the last one is not the posterior."""
        islands = self._started(share)
        cost = self.climb.particles * self.climb.steps
        while not self.ladder.finished(self.rungs):
            rung, control = self.ladder.next(islands.score, self.rungs, islands.looks()), self.control
            spent = control.out_of_time(share) or not control.affords(self.evaluations + cost, share)
            if spent or len(self.rungs) >= most:
                return control.failure()
            if rung is None:
                return Outcome.STALLED
            islands.select(rung)
            self.rungs.append(rung)
            self._move(islands)
        return None

    def _started(self, share: float) -> Islands:
        """The particles where they are, or after the survey that they begin with."""
        if self._islands is None:
            self._islands = Islands.from_prior(self.target, self.climb.particles, self.seed, Stream.PILOT, [0])
            self.evaluations = self.climb.particles
            self._angles = [math.pi / 4] * self.climb.blocks
            self._take_survey(self._islands, share)
        return self._islands

    def _take_survey(self, islands: Islands, share: float) -> None:
        """Begin with a survey where there is to be one and half of the pilot's share affords it.

        The rungs come from draws of their own, so the pilot's particles are taken as those of every island are.
        """
        survey = self.climb.survey
        if survey is None or not self.control.affords(2 * 2 * survey.draws, share):
            return

        def stop() -> bool:
            ended = self.control.out_of_time(share / 2)
            self.evaluations += 0 if ended else BLOCK
            return ended

        rungs = survey.find(islands, self.ladder, stop) or []
        if rungs:
            self.control.report(
                Progress("pilot", self.ladder.way(rungs[:1]), 1.0, self.target.task.shown(rungs[0].height))
            )
        survey = survey.shortened(len(rungs))
        if survey is not None and survey.climb(islands, rungs, stop) is not None:
            self.survey, self.rungs = survey, rungs
            self.angles += [self._angles] * (len(rungs) - 1)
            self._move(islands)

    def _move(self, islands: Islands) -> None:
        """Move the particles on the last rung, and note the angle of the moves."""
        self._angles, acceptance = _adapt(islands, self.rungs[-1], self._angles, self.climb)
        self.evaluations += self.climb.particles * self.climb.steps
        self.angles.append(self._angles)
        volume, height = float(islands.log_volumes[0]), self.target.task.shown(self.rungs[-1].height)
        self.control.report(Progress("pilot", self.ladder.way(self.rungs), 1.0, height, acceptance, volume))


def _adapt(islands: Islands, rung: Rung, angles: list[float], climb: Climb) -> tuple[list[float], float]:
    """Move the particles on a rung while steering the angles; returns them and the mean acceptance."""
    angle, trail, accepted = list(angles), [], []
    for _ in range(climb.moves):
        acceptance = islands.move(rung, angle).tolist()
        angle = [_steered(each, own, climb.acceptance) for each, own in zip(angle, acceptance, strict=True)]
        trail.append([math.log(each) for each in angle])
        accepted.append(sum(acceptance) / len(acceptance))
    islands.refresh(rung)
    settled = list(zip(*trail[len(trail) // 2 :], strict=True))
    return [math.exp(sum(each) / len(each)) for each in settled], sum(accepted) / len(accepted)


def _steered(angle: float, acceptance: float, aim: float) -> float:
    return min(max(angle * math.exp(acceptance - aim), _SMALLEST_ANGLE), math.pi / 2)

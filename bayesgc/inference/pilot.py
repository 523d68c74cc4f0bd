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
from bayesgc.inference.survey import BLOCK, Survey
from bayesgc.inference.target import Target

_SHARE = 0.25
"""The part of the budget that a pilot may spend."""
_SMALLEST_ANGLE = 1e-6


@dataclass(frozen=True)
class Schedule:
    """Frozen rungs and the angle of the moves on each. ``failure`` says why the last one is not the posterior.

    ``survey`` takes the islands up its rungs, the first ones, without moves but on its last.
    """

    rungs: tuple[Rung, ...]
    angles: tuple[float, ...]
    evaluations: int
    failure: Outcome | None
    survey: Survey | None = None

    def cost(self, climb: Climb) -> int:
        """Evaluations of the score by one island."""
        unmoved, draws = (0, 0) if self.survey is None else (self.survey.rungs - 1, self.survey.draws)
        return draws + climb.particles * (1 + climb.moves * (len(self.rungs) - unmoved))


@dataclass(frozen=True)
class Climb:
    """How islands climb: their particles, the moves on each rung, and the acceptance that a pilot steers to.

    ``survey`` is the one to begin with, on a ladder of thresholds.
    """

    particles: int
    moves: int
    acceptance: float
    survey: Survey | None = None


@torch.no_grad()
def run_pilot(target: Target, ladder: Ladder, climb: Climb, seed: int, control: Control) -> Schedule:
    """Climb once from the prior towards the posterior, and record the way."""
    if control.interrupted or not control.affords(climb.particles):
        return Schedule((), (), 0, control.failure())
    islands = Islands.from_prior(target, climb.particles, seed, Stream.PILOT, [0])
    rungs, survey, drawn = _take_survey(islands, ladder, climb, control)
    angles: list[float] = []
    angle, evaluations, failure = math.pi / 4, climb.particles + drawn, None
    cost = climb.particles * climb.moves
    if survey is not None:
        angle, acceptance = _adapt(islands, rungs[-1], angle, climb)
        evaluations += cost
        angles += [angle] * len(rungs)
        _report(control, islands, ladder, rungs, acceptance)
    while not ladder.finished(rungs) and failure is None:
        rung = ladder.next(islands.score, rungs)
        if control.out_of_time(_SHARE) or not control.affords(evaluations + cost, _SHARE):
            failure = control.failure()
        elif rung is None:
            failure = Outcome.STALLED
        else:
            islands.select(rung)
            angle, acceptance = _adapt(islands, rung, angle, climb)
            evaluations += cost
            rungs.append(rung)
            angles.append(angle)
            _report(control, islands, ladder, rungs, acceptance)
    return Schedule(tuple(rungs), tuple(angles), evaluations, failure, survey)


def _report(control: Control, islands: Islands, ladder: Ladder, rungs: list[Rung], acceptance: float | None) -> None:
    volume = float(islands.log_volumes[0])
    control.report(Progress("pilot", ladder.way(rungs), 1.0, rungs[-1].height, acceptance, volume))


def _take_survey(
    islands: Islands, ladder: Ladder, climb: Climb, control: Control
) -> tuple[list[Rung], Survey | None, int]:
    """Begin with a survey where there is to be one and half of the pilot's share affords it, and count its draws.

    The rungs come from draws of their own, so the pilot's particles are taken as those of every island are.
    """
    survey = climb.survey
    if survey is None or not control.affords(2 * 2 * survey.draws, _SHARE):
        return [], None, 0
    blocks = 0

    def stop() -> bool:
        nonlocal blocks
        ended = control.out_of_time(_SHARE / 2)
        blocks += not ended
        return ended

    rungs = survey.find(islands, ladder, stop) or []
    if rungs:
        _report(control, islands, ladder, rungs[:1], None)
    survey = survey.shortened(len(rungs), climb.particles, climb.moves)
    if survey is None or survey.climb(islands, rungs, stop) is None:
        return [], None, blocks * BLOCK
    return rungs, survey, blocks * BLOCK


def _adapt(islands: Islands, rung: Rung, angle: float, climb: Climb) -> tuple[float, float]:
    """Move the particles on a rung while steering the angle; returns it and the mean acceptance."""
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

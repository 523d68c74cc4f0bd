"""Tempering: climb from the prior to the collapsed posterior by powers of the evidence, on independent islands.

Annealed sequential Monte Carlo (Del Moral, Doucet and Jasra 2006) on the hidden layers alone, with the rungs and steps
of a pilot. The evidence of an island is unbiased; errors come from the spread over islands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesgc.inference.collapsed import CollapsedCriterion
from bayesgc.inference.control import Control
from bayesgc.inference.curve import pool_curve
from bayesgc.inference.estimates import log_mean
from bayesgc.inference.ladders import PowerLadder
from bayesgc.inference.passage import Passage
from bayesgc.inference.pilot import Climb, Schedule, run_pilot
from bayesgc.inference.pooling import IslandRecord, diagnose, pool_posterior, pool_stages
from bayesgc.inference.records import Estimate, Levels, Run
from bayesgc.inference.request import Request
from bayesgc.validate import integer_in, positive_integer, real_in

_SHARE = 0.5
"""The part of the budget that the pilot may spend: short of its last rung there is nothing to show."""


@dataclass(frozen=True)
class Tempering:
    """How the collapsed evidence is tempered.

    Args:
        particles: particles in an island, at least 2.
        moves: moves of every particle on each rung.
        survival: the effective share of the particles that a rung of the pilot leaves.
        acceptance: the share of accepted moves that the pilot's step sizes aim at.
    """

    particles: int = 500
    moves: int = 40
    survival: float = 0.5
    acceptance: float = 0.25

    def __post_init__(self) -> None:
        integer_in("particles", self.particles, 2)
        positive_integer("moves", self.moves)
        real_in("survival", self.survival, 0, 0.95, open_low=True)
        real_in("acceptance", self.acceptance, 0, 0.9, open_low=True)

    def run(self, target: CollapsedCriterion, request: Request, control: Control) -> Run:
        """Islands until the errors are small enough; the request must be filled."""
        climb = Climb(self.particles, self.moves, self.acceptance)
        schedule = run_pilot(target, PowerLadder(self.survival), climb, request.seed, control, _SHARE)
        passage = Passage(target, schedule, climb, request, control)
        # Powers short of one say nothing of the posterior.
        islands = passage.rounds() if schedule.failure is None else []
        outcome, reached = passage.outcome(islands), schedule.failure is None
        evidence = _evidence(islands if reached else [])
        return Run(
            method="importance",
            outcome=outcome,
            message=outcome.advice,
            eps=target.eps,
            posterior=pool_posterior(target.task.shape, islands, request) if reached else None,
            log_volume=evidence if target.eps > 0 else None,
            log_evidence=evidence if target.eps == 0 and evidence.value is not None else None,
            levels=self._curve(target, schedule, islands) if reached else None,
            diagnostics={"path": "tempering", **diagnose(islands)},
            evaluations=passage.evaluations(len(islands)),
            seconds=control.seconds,
        )

    @staticmethod
    def _curve(target: CollapsedCriterion, schedule: Schedule, islands: list[IslandRecord]) -> Levels | None:
        """The ε-curve by way of all rungs; None where too few islands are left to tell."""
        if not islands:
            return None
        stages = pool_stages([0.0, *(rung.height for rung in schedule.rungs)], islands)
        return pool_curve(stages, target.task, target.eps)


def _evidence(islands: list[IslandRecord]) -> Estimate:
    """Log volume or evidence. Without islands that reached it nothing is known: powers of the density bound neither."""
    estimate = log_mean(np.array([island.log_volume for island in islands]))
    return Estimate(None, None, (None, 0.0)) if estimate.value is None else estimate

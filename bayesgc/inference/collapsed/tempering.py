"""Tempering: climb from the prior to the collapsed posterior by falling noise on the measurements, on islands.

Annealed sequential Monte Carlo (Del Moral, Doucet and Jasra 2006) on the hidden layers, with the rungs and steps of a
pilot. The evidence of an island is unbiased; errors come from the spread over islands. See `noisy` for the laws on the
way, and for why they are not powers of the evidence, and `gibbs` for the moves of products of Gaussian layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bayesgc.correlated import ErrorRule
from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.collapsed.noisy import NoisyCriterion
from bayesgc.inference.control import Control
from bayesgc.inference.curve import Stage, pool_curve
from bayesgc.inference.estimates import log_mean
from bayesgc.inference.islands.ladders import NoiseLadder
from bayesgc.inference.islands.passage import Passage
from bayesgc.inference.islands.pilot import Climb, run_pilot
from bayesgc.inference.islands.pooling import IslandRecord, diagnose, pool_end, pool_posterior, pool_stages
from bayesgc.inference.records import Estimate, Levels, Outcome, Run
from bayesgc.inference.request import Request
from bayesgc.inference.smoothing import pareto_shape
from bayesgc.validate import integer_in, positive_integer, real_in

_SHARE = 0.5
"""The part of the budget that the pilot may spend: short of its last rung there is nothing to show."""


@dataclass(frozen=True)
class Tempering:
    """How the collapsed evidence is tempered.

    Args:
        particles: particles in an island, at least 2; 500 by default, or 64 where systems are large.
        moves: moves of every particle on each rung; 40 by default, or 3 where layers are drawn anew besides.
        survival: the effective share of the particles that a rung of the pilot leaves.
        acceptance: the share of accepted moves that the pilot's step sizes aim at.
    """

    particles: int | None = None
    moves: int | None = None
    survival: float = 0.5
    acceptance: float = 0.25
    name: ClassVar[str] = "tempering"

    def __post_init__(self) -> None:
        if self.particles is not None:
            integer_in("particles", self.particles, 2)
        if self.moves is not None:
            positive_integer("moves", self.moves)
        real_in("survival", self.survival, 0, 0.95, open_low=True)
        real_in("acceptance", self.acceptance, 0, 0.9, open_low=True)

    def run(self, target: CollapsedCriterion, request: Request, control: Control) -> Run:
        """Islands until the errors are small enough; the request must be filled."""
        noisy = NoisyCriterion(
            target.task, target.collapsed, target.eps, target.device, target.dtype, check=target.check
        )
        climb = self._climb(noisy)
        ladder = NoiseLadder(self.survival, float(np.square(target.task.targets).mean()), target.eps)
        schedule = run_pilot(noisy, ladder, climb, request.seed, control, _SHARE)
        passage = Passage(noisy, schedule, climb, request, control)
        # Short of the last rung the islands say nothing of the posterior.
        return _record(target, passage, passage.rounds() if schedule.failure is None else [])

    def _climb(self, target: NoisyCriterion) -> Climb:
        particles = _PARTICLES_OF_LARGE if target.large else _PARTICLES
        moves = _MOVES_BESIDE if target.draws_layers else _MOVES
        return Climb(self.particles or particles, self.moves or moves, self.acceptance)


_PARTICLES, _PARTICLES_OF_LARGE = 500, 64
_MOVES, _MOVES_BESIDE = 40, 3
"""Layers drawn anew mix by themselves but on the last rung, where the threshold is hard; there these moves alone do."""


def _record(target: CollapsedCriterion, passage: Passage, islands: list[IslandRecord]) -> Run:
    reached, outcome = passage.schedule.failure is None, passage.outcome(islands)
    heights = [math.inf, *(rung.height for rung in passage.schedule.rungs)]
    stages = pool_stages(heights, islands) if reached and islands else []
    evidence = _evidence(islands if reached else [])
    tail = _tail_of_last_step(stages) if target.eps == 0 else {}
    trusted = not tail or tail["last_step_pareto_k"] <= tail["last_step_pareto_k_limit"]
    message = outcome.advice_where(fitted=reached)
    if outcome is Outcome.CONVERGED and not trusted:
        outcome, message = Outcome.EXHAUSTED, _HEAVY
    return Run(
        method=Tempering.name,
        errors=ErrorRule.ISLANDS,
        outcome=outcome,
        message=message,
        eps=target.eps,
        posterior=pool_posterior(target.task.shape, islands, passage.request) if reached else None,
        log_volume=evidence if target.eps > 0 else None,
        log_evidence=evidence if target.eps == 0 and evidence.value is not None else None,
        levels=_curve(target, stages, islands),
        diagnostics={"path": "tempering", **diagnose(islands), **tail},
        evaluations=passage.evaluations(len(islands)),
        seconds=passage.control.seconds,
    )


_HEAVY = (
    "The last step, from little noise on the measurements to none, has weights with too heavy a tail for the islands "
    "to tell the error: exact fits lie on peaks narrower than those found, and their evidence may be infinite. "
    "Use some eps > 0, where the weights are bounded."
)


def _tail_of_last_step(stages: list[Stage]) -> dict[str, float]:
    """k̂ of the weights from the last noise to none, over all islands, with its limit: elsewhere weights are bounded.

    Up to 0.7 such a weight has a mean that the particles can tell (Vehtari et al. 2024). The limit is not that of plain
    weights, since most of the way is done before and this is one factor of many.
    """
    if len(stages) < 2:
        return {}
    before = stages[-2]
    gain = before.profile.density[0] - before.log_density.ravel()
    limit = min(1 - 1 / math.log10(gain.size), _HIGHEST_SHAPE)
    return {"last_step_pareto_k": pareto_shape(gain), "last_step_pareto_k_limit": limit}


_HIGHEST_SHAPE = 0.7


def _curve(target: CollapsedCriterion, stages: list[Stage], islands: list[IslandRecord]) -> Levels | None:
    """The ε-curve by way of all rungs; None where too few islands are left to tell."""
    if not stages:
        return None
    # The law with a hard threshold tells of that threshold alone.
    return pool_curve(stages[:-1] if target.eps > 0 else stages, target.task, target.eps, pool_end(islands))


def _evidence(islands: list[IslandRecord]) -> Estimate:
    """Log volume or evidence. Without islands that reached it nothing is known: a density bounds neither."""
    estimate = log_mean(np.array([island.log_volume for island in islands]))
    return Estimate(None, None, (None, 0.0)) if estimate.value is None else estimate

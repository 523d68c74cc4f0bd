"""Multilevel splitting on ε: condition on ever lower training loss, and measure the volume on the way.

Subset simulation (Au and Beck 2001), also known as sequential Monte Carlo for rare events (Cérou, Del Moral, Furon and
Guyader 2012), with the threshold on the training loss as the path. A pilot chooses thresholds and step sizes; then
independent islands descend through them unchanged, the first few by a survey of many draws of the prior, and every
error comes from the spread over islands. Particles of one island share ancestors, so nothing is ever read from their
spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from bayesgc.correlated import ErrorRule
from bayesgc.inference.control import Control
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.islands.ladders import ThresholdLadder
from bayesgc.inference.islands.passage import Passage, pass_after
from bayesgc.inference.islands.pilot import Climb, Pilot, Schedule
from bayesgc.inference.islands.pooling import (
    IslandRecord,
    diagnose,
    pool_levels,
    pool_log_volume,
    pool_posterior,
    pool_readings,
)
from bayesgc.inference.islands.survey import Survey
from bayesgc.inference.methods import Method, register_method
from bayesgc.inference.records import Estimate, Outcome, Reached, Run
from bayesgc.inference.request import Request
from bayesgc.task import linear_view
from bayesgc.validate import integer_in, positive_integer, real_in

_FINE = 0.05
"""The precision by default, which islands of full size are for."""
_SURVEYED = 5
"""Rungs that a survey of the prior may take: each further one leaves fewer survivors for a larger share of the cost."""
_MOVES, _MOVES_OF_LAYERS = 10, 16
"""On a rung: of whole particles, or of all layers together."""
_NOISY = 2
"""How many times as many moves for measured values: hundreds of cells make many levels, each a small step."""
_FEWEST_SWEEPS, _FEWEST_OF_NETWORKS = 4, 3
"""Moves of each layer at least: of arrays, and of networks, whose every look at the examples is work."""
_MOST_PARTICLES, _NETWORKS_PARTICLES, _FEWEST_PARTICLES = 1000, 200, 200
"""Of an island that says nothing itself: of arrays, of networks, which move one layer at a time, and at least."""


@register_method
@dataclass(frozen=True)
class Splitting(Method):
    """Multilevel splitting with frozen thresholds over independent islands, which are the chains.

    Args:
        particles: particles in an island, at least 2; left open, 1000, or 200 of networks whose layers move one at a
            time, and fewer where a coarser precision than that of ``defaults`` is asked for.
        moves: moves of every layer of every particle below each threshold, or of a particle as a whole where layers do
            not move one at a time; left open, 10 of a whole, and of layers about 16 in all, but of each at least 4, or
            3 of a network's; twice 10 and 16 where measured values hold noise, as those of a table.
        survival: the share of particles that a threshold of the pilot lets through.
        acceptance: the share of accepted moves that the pilot's step sizes aim at.
    """

    particles: int | None = None
    moves: int | None = None
    survival: float = 0.3
    acceptance: float = 0.25
    name: ClassVar[str] = "splitting"
    defaults: ClassVar[Request] = Request(precision=_FINE, chains=16)
    errors: ClassVar[ErrorRule] = ErrorRule.ISLANDS
    fewest_chains: ClassVar[int] = 2
    usual_evaluations: ClassVar[float] = 2.5e6

    def __post_init__(self) -> None:
        if self.particles is not None:
            integer_in("particles", self.particles, 2)
        if self.moves is not None:
            positive_integer("moves", self.moves)
        real_in("survival", self.survival, 0, 0.9, open_low=True)
        real_in("acceptance", self.acceptance, 0, 0.9, open_low=True)

    def run(self, criterion: Criterion, request: Request, control: Control) -> Run:
        """Condition the prior on the criterion: rounds of islands until the errors are small enough."""
        criterion.check_resolved()
        request = request.filled(self.defaults)
        ladder = ThresholdLadder(criterion.eps, self.survival, criterion.task.nats)
        climb = self.climb(criterion, request.relative_error)
        return self._record(criterion, *pass_after(Pilot(criterion, ladder, climb, request.seed, control), request))

    def climb(self, criterion: Criterion, precision: float = _FINE) -> Climb:
        """How islands climb, with what was left open."""
        blocks, network = len(criterion.blocks), linear_view(criterion.task) is None
        most = _NETWORKS_PARTICLES if network and blocks > 1 else _MOST_PARTICLES
        particles = self.particles or _particles(precision, most)
        fewest = _FEWEST_OF_NETWORKS if network else _FEWEST_SWEEPS
        usual = (_MOVES if blocks == 1 else _MOVES_OF_LAYERS) * (_NOISY if criterion.task.noisy else 1)
        moves = self.moves or max(fewest, round(usual / blocks))
        # What the other layers of an array make is kept, so moves of single layers cost less than as many draws.
        draws = moves * blocks if network or blocks == 1 else min(moves * blocks, _MOVES)
        survey = Survey.plan(particles * draws, self.survival, _SURVEYED)
        return Climb(particles, moves, self.acceptance, survey, blocks)

    def _record(self, criterion: Criterion, passage: Passage, islands: list[IslandRecord]) -> Run:
        schedule = passage.schedule
        outcome = passage.outcome(islands)
        reached = schedule.failure is None
        thresholds = [math.inf, *(rung.height for rung in schedule.rungs)]
        posterior = pool_posterior(criterion.task.shape, islands, passage.request)
        thresholds = [criterion.task.shown(threshold) for threshold in thresholds]
        # Short of the first threshold the law of the particles is the prior itself.
        shown = posterior is not None and not reached and math.isfinite(thresholds[-1])
        short = None if posterior is None or not shown else Reached(thresholds[-1], posterior, _volume(islands))
        said = "" if reached else _how_far(schedule, thresholds[-1], criterion.task.scored, shown=short is not None)
        return Run(
            method=self.name,
            errors=self.errors,
            outcome=outcome,
            message=self._message(passage, outcome, fitted=reached and posterior is not None) + said,
            eps=criterion.eps,
            posterior=posterior if reached else None,
            log_volume=pool_log_volume(islands, reached=reached),
            log_evidence=None,
            levels=pool_levels(thresholds, islands) if islands else None,
            diagnostics=diagnose(islands) | _visible(passage, len(islands)),
            evaluations=passage.evaluations(len(islands)),
            seconds=passage.control.seconds,
            reached=short,
            curve=pool_readings(islands),
        )

    @staticmethod
    def _message(passage: Passage, outcome: Outcome, *, fitted: bool) -> str:
        return passage.control.advice(outcome, passage.schedule.evaluations, passage.climb.particles, fitted=fitted)


def _visible(passage: Passage, islands: int) -> dict[str, float | int | str]:
    """The prior probability from which on a mode is among the draws that islands began with, with 95 % probability."""
    if not islands:
        return {}
    survey = passage.schedule.survey
    draws = islands * (passage.climb.particles + (0 if survey is None else survey.plain))
    return {"prior_draws": draws, "least_visible_mode": -math.expm1(math.log(0.05) / draws)}


def _particles(precision: float, most: int) -> int:
    """Enough for a precision: errors fall with the square root of the particles, and too few lose the way down."""
    return min(max(round(most * (_FINE / precision) ** 2), _FEWEST_PARTICLES), most)


def _volume(islands: list[IslandRecord]) -> Estimate:
    """The log volume at the last threshold of the islands."""
    return pool_log_volume(islands, reached=True)


def _how_far(schedule: Schedule, lowest: float, scored: str, *, shown: bool) -> str:
    """The lowest threshold of a way that did not come to its end, where it was begun."""
    if not schedule.evaluations:
        return ""
    reached = "that of the prior itself" if not schedule.rungs else "outside the bin or with labels wrong"
    reached = f"{lowest:.4g} on {scored}" if math.isfinite(lowest) else reached
    return f" The lowest threshold reached was {reached}" + (
        "; the posterior there is given in its place." if shown else "."
    )

"""Multilevel splitting on ε: condition on ever lower training loss, and measure the volume on the way.

Subset simulation (Au and Beck 2001), also known as sequential Monte Carlo for rare events (Cérou, Del Moral, Furon and
Guyader 2012), with the threshold on the training loss as the path. A pilot chooses thresholds and step sizes; then
independent islands descend through them unchanged, and every error comes from the spread over islands. Particles of
one island share ancestors, so nothing is ever read from their spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from bayesgc.inference.control import Control
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.passage import Passage
from bayesgc.inference.pilot import PilotRule, Schedule, run_pilot
from bayesgc.inference.pooling import (
    IslandRecord,
    pool_levels,
    pool_log_volume,
    pool_posterior,
    precise_enough,
)
from bayesgc.inference.records import Outcome, Run
from bayesgc.inference.request import Request
from bayesgc.validate import integer_in, positive_integer, real_in


@dataclass(frozen=True)
class Splitting:
    """Multilevel splitting with frozen thresholds over independent islands, which are the chains.

    Args:
        particles: particles in an island, at least 2.
        moves: moves of every particle below each threshold.
        survival: the share of particles that a threshold of the pilot lets through.
        acceptance: the share of accepted moves that the pilot's step sizes aim at.
    """

    particles: int = 1000
    moves: int = 10
    survival: float = 0.3
    acceptance: float = 0.25
    name: ClassVar[str] = "splitting"
    default_chains: ClassVar[int] = 16

    def __post_init__(self) -> None:
        integer_in("particles", self.particles, 2)
        positive_integer("moves", self.moves)
        real_in("survival", self.survival, 0, 0.9, open_low=True)
        real_in("acceptance", self.acceptance, 0, 0.9, open_low=True)

    def run(self, criterion: Criterion, request: Request, control: Control) -> Run:
        """Condition the prior on the criterion: rounds of islands until the errors are small enough."""
        integer_in("chains", self._chains(request), 2)
        rule = PilotRule(self.particles, self.moves, self.survival, self.acceptance)
        with torch.no_grad():
            schedule = run_pilot(criterion, rule, request.seed, control)
        passage = Passage(criterion, schedule, self.particles, self.moves, request, control)
        islands: list[IslandRecord] = []
        while not _finished(schedule, islands, request):
            blocks = self._next_round(len(islands), passage)
            islands += passage.islands(blocks)
            if not blocks or len(islands) <= blocks[-1]:
                break
        return self._record(passage, islands)

    def _chains(self, request: Request) -> int:
        return self.default_chains if request.chains is None else request.chains

    def _next_round(self, done: int, passage: Passage) -> list[int]:
        """The stream blocks of the islands of the next round that the budget affords, all of them or fewer."""
        if passage.control.out_of_time():
            return []
        ends = range(done + 1, done + 1 + self._chains(passage.request))
        return [end - 1 for end in ends if passage.control.affords(passage.evaluations(end))]

    def _record(self, passage: Passage, islands: list[IslandRecord]) -> Run:
        schedule, control, request = passage.schedule, passage.control, passage.request
        reached = schedule.failure is None
        outcome = _outcome(schedule, islands, request, control)
        return Run(
            method=self.name,
            outcome=outcome,
            message=outcome.advice + ("" if reached else _how_far(schedule)),
            eps=passage.criterion.eps,
            posterior=pool_posterior(passage.criterion, islands, request) if reached and islands else None,
            log_volume=pool_log_volume(islands, reached=reached),
            log_evidence=None,
            levels=pool_levels(schedule.thresholds, islands) if islands else None,
            diagnostics=_diagnostics(islands, schedule),
            evaluations=passage.evaluations(len(islands)),
            seconds=control.seconds,
        )


def _finished(schedule: Schedule, islands: list[IslandRecord], request: Request) -> bool:
    # Short of ε one round is enough: it bounds the volume.
    return bool(islands) and (schedule.failure is not None or precise_enough(islands, request))


def _outcome(schedule: Schedule, islands: list[IslandRecord], request: Request, control: Control) -> Outcome:
    if control.interrupted:
        return Outcome.INTERRUPTED
    if schedule.failure is not None:
        return schedule.failure
    return Outcome.CONVERGED if islands and precise_enough(islands, request) else Outcome.EXHAUSTED


def _how_far(schedule: Schedule) -> str:
    reached = f"{schedule.thresholds[-1]:.4g}" if schedule.thresholds else "that of the prior itself"
    return f" The lowest threshold reached was {reached}."


def _diagnostics(islands: list[IslandRecord], schedule: Schedule) -> dict[str, float | int | str]:
    facts: dict[str, float | int | str] = {"islands": len(islands), "levels": len(schedule.thresholds)}
    if islands:
        last = [island.levels[-1] for island in islands]
        facts["islands_lost"] = sum(level.log_volume == -math.inf for level in last)
        facts["acceptance"] = sum(level.acceptance for level in last) / len(last)
        facts["ancestors"] = sum(level.ancestors for level in last) / len(last)
    return facts

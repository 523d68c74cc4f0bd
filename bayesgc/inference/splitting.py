"""Multilevel splitting on ε: condition on ever lower training loss, and measure the volume on the way.

Subset simulation (Au and Beck 2001), also known as sequential Monte Carlo for rare events (Cérou, Del Moral, Furon and
Guyader 2012), with the threshold on the training loss as the path. A pilot chooses thresholds and step sizes; then
independent islands descend through them unchanged, and every error comes from the spread over islands. Particles of
one island share ancestors, so nothing is ever read from their spread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.control import Control, Progress, in_order
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.functionals import quantities
from bayesgc.inference.islands import Islands
from bayesgc.inference.pilot import PilotRule, Schedule, run_pilot
from bayesgc.inference.pooling import (
    IslandRecord,
    LevelRecord,
    pool_levels,
    pool_log_volume,
    pool_posterior,
    precise_enough,
)
from bayesgc.inference.records import Draws, Outcome, Run
from bayesgc.inference.request import Request
from bayesgc.inference.streams import Stream
from bayesgc.validate import integer_in, positive_integer, real_in

GPU_ISLANDS = 16
"""Islands that advance together on a GPU, to fill it; on a CPU each has a thread to itself."""


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
    moves: int = 20
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
        rule = PilotRule(self.particles, self.moves, self.survival, self.acceptance)
        with torch.no_grad():
            schedule = run_pilot(criterion, rule, request.seed, control)
        islands: list[IslandRecord] = []
        per_island = self.particles * (1 + self.moves * len(schedule.thresholds))
        evaluations = schedule.evaluations
        while not self._finished(schedule, islands, request):
            blocks = self._next_round(len(islands), request, control, evaluations, per_island)
            found = list(self._descend(criterion, request, control, schedule, blocks))
            islands += found
            evaluations += per_island * len(found)
            if not found or len(found) < len(blocks):
                break
        return self._record(criterion, request, control, schedule, islands, evaluations)

    @staticmethod
    def _finished(schedule: Schedule, islands: list[IslandRecord], request: Request) -> bool:
        # Short of ε one round is enough: it bounds the volume.
        return bool(islands) and (schedule.failure is not None or precise_enough(islands, request))

    def _next_round(
        self, done: int, request: Request, control: Control, evaluations: int, per_island: int
    ) -> list[int]:
        """The stream blocks of the islands of the next round that the budget affords, all of them or fewer."""
        if control.out_of_time():
            return []
        size = request.chains or self.default_chains
        return [done + i for i in range(size) if control.affords(evaluations + (i + 1) * per_island)]

    def _descend(
        self, criterion: Criterion, request: Request, control: Control, schedule: Schedule, blocks: list[int]
    ) -> Iterator[IslandRecord]:
        """Islands with the given stream blocks, in order; those that were stopped on their way are left out."""
        together = 1 if criterion.device.type == "cpu" else GPU_ISLANDS
        groups = [blocks[i : i + together] for i in range(0, len(blocks), together)]

        def one_group(group: list[int]) -> list[IslandRecord]:
            return self._pass(criterion, request, control, schedule, group)

        done = blocks[0] if blocks else 0
        for records in in_order(one_group, groups, criterion.device):
            if not records:
                return
            yield from records
            done += len(records)
            reached = schedule.thresholds[-1] if schedule.thresholds else None
            level = records[-1].levels[-1]
            control.report(Progress("islands", done, blocks[-1] + 1, reached, level.acceptance, level.log_volume))

    @torch.no_grad()
    def _pass(
        self, criterion: Criterion, request: Request, control: Control, schedule: Schedule, blocks: list[int]
    ) -> list[IslandRecord]:
        """One group of islands from the prior to the last threshold; empty when it was told to stop on the way."""
        islands = Islands.from_prior(criterion, self.particles, request.seed, Stream.ISLAND, blocks)
        levels = [_measure(islands, [])]
        for threshold, angle in zip(schedule.thresholds, schedule.angles, strict=True):
            islands.select(threshold)
            accepted = []
            for _ in range(self.moves):
                if control.out_of_time():
                    return []
                accepted.append(islands.move(threshold, angle))
            levels.append(_measure(islands, accepted))
        return _harvest(islands, torch.stack(levels), keep_normals=request.weights)

    def _record(
        self,
        criterion: Criterion,
        request: Request,
        control: Control,
        schedule: Schedule,
        islands: list[IslandRecord],
        evaluations: int,
    ) -> Run:
        reached = schedule.failure is None
        posterior = pool_posterior(criterion, islands, request) if reached and islands else None
        outcome = _outcome(schedule, islands, posterior, request, control)
        return Run(
            method=self.name,
            outcome=outcome,
            message=outcome.advice + _how_far(schedule),
            eps=criterion.eps,
            posterior=posterior,
            log_volume=pool_log_volume(islands, reached=reached),
            log_evidence=None,
            levels=pool_levels(schedule.thresholds, islands) if islands else None,
            diagnostics=_diagnostics(islands, schedule),
            evaluations=evaluations,
            seconds=control.seconds,
        )


def _measure(islands: Islands, accepted: list[Tensor]) -> Float[Tensor, "fact island"]:
    """Log volume, E[L_gen], acceptance and ancestors of each island, left on the device."""
    gen_loss = islands.criterion.task.gen_loss(islands.criterion.vectors(islands.normals))
    unknown = torch.full_like(islands.log_volume, torch.nan)
    means = unknown if gen_loss is None else islands.island_means(gen_loss)
    acceptance = torch.stack(accepted).mean().to(unknown.dtype).expand_as(unknown) if accepted else torch.ones_like(unknown)
    return torch.stack([islands.log_volume, means, acceptance, islands.ancestors()])


def _harvest(
    islands: Islands, levels: Float[Tensor, "level fact island"], *, keep_normals: bool
) -> list[IslandRecord]:
    """Take a finished group of islands off the device."""
    count = len(islands.generators)
    vectors = islands.criterion.vectors(islands.normals)
    # The loss that was tested, not one that another batch shape may round differently.
    known = quantities(islands.criterion.task, vectors) | {"train_loss": islands.loss}
    found = {name: values.cpu().chunk(count) for name, values in known.items()}
    parts = vectors.cpu().chunk(count, dim=1)
    normals = islands.normals.cpu().chunk(count, dim=1)
    table = levels.cpu().tolist()
    return [
        IslandRecord(
            [LevelRecord(*(fact[i] for fact in level)) for level in table],
            parts[i],
            {name: values[i] for name, values in found.items()},
            normals[i] if keep_normals else None,
        )
        for i in range(count)
    ]


def _outcome(
    schedule: Schedule, islands: list[IslandRecord], posterior: Draws | None, request: Request, control: Control
) -> Outcome:
    if control.interrupted:
        return Outcome.INTERRUPTED
    if schedule.failure is not None:
        return schedule.failure
    precise = posterior is not None and precise_enough(islands, request)
    return Outcome.CONVERGED if precise else Outcome.EXHAUSTED


def _how_far(schedule: Schedule) -> str:
    if schedule.failure is None:
        return ""
    reached = f"{schedule.thresholds[-1]:.4g}" if schedule.thresholds else "none"
    return f" The lowest threshold reached was {reached}."


def _diagnostics(islands: list[IslandRecord], schedule: Schedule) -> dict[str, float | int | str]:
    facts: dict[str, float | int | str] = {"islands": len(islands), "levels": len(schedule.thresholds)}
    if islands:
        last = [island.levels[-1] for island in islands]
        facts["islands_lost"] = sum(level.log_volume == -float("inf") for level in last)
        facts["acceptance"] = sum(level.acceptance for level in last) / len(last)
        facts["ancestors"] = sum(level.ancestors for level in last) / len(last)
    return facts

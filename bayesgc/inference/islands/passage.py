"""The frozen pass: independent islands that climb the rungs of a pilot, unchanged."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.correlated import ENOUGH_ISLANDS
from bayesgc.inference.control import Control, OutOfTime, Progress, in_order
from bayesgc.inference.curve import Profile
from bayesgc.inference.islands.islands import Islands
from bayesgc.inference.islands.pilot import SHARE, Climb, Pilot, Schedule
from bayesgc.inference.islands.pooling import IslandRecord, LevelRecord, precise_enough
from bayesgc.inference.records import Outcome
from bayesgc.inference.request import Request
from bayesgc.inference.streams import Stream
from bayesgc.inference.target import Target, taken
from bayesgc.validate import integer_in

_DEEPER = 1.1
"""The least factor in the number of rungs for which it is worth to send islands once more."""
_MARGIN = 0.9
"""The part of what is left that such a forecast may use."""
GPU_ISLANDS = 16
"""Islands that advance together on a GPU, to fill it; on a CPU each has a thread to itself."""


def pass_after(pilot: Pilot, request: Request) -> tuple[Passage, list[IslandRecord]]:
    """Islands on the way of a pilot, which may spend a quarter of the budget.

    Where that ends short of the posterior, and islands leave a part of the budget, the pilot goes on, as far as other
    islands can still follow; what is left after that goes into more islands.
    """
    passage = Passage(pilot.target, pilot.go_on(SHARE), pilot.climb, request, pilot.control)
    began = time.perf_counter()
    islands = passage.rounds()
    while (most := passage.most_rungs(pilot, islands, time.perf_counter() - began)) is not None:
        pilot.evaluations = before = passage.evaluations(len(islands))
        deeper, began = replace(passage, schedule=pilot.go_on(most=most)), time.perf_counter()
        found = deeper.rounds()
        if len(found) < min(len(islands), ENOUGH_ISLANDS):  # the forecast was wrong
            wasted = deeper.evaluations(len(found)) - before
            return passage.having_spent(wasted), islands
        passage, islands = deeper, found
    return passage, passage.rounds(islands)


@dataclass(frozen=True)
class Passage:
    """Islands that differ in their stream block alone."""

    target: Target
    schedule: Schedule
    climb: Climb
    request: Request
    control: Control

    def evaluations(self, islands: int) -> int:
        """Evaluations of the training loss by the pilot and so many islands."""
        return self.schedule.evaluations + islands * self.schedule.cost(self.climb)

    def most_rungs(self, pilot: Pilot, islands: list[IslandRecord], seconds: float) -> int | None:
        """How far the pilot and a round of islands could come with what is left; None where that is no farther.

        ``seconds`` are what the round of ``islands`` took.
        """
        rungs, chains, control = len(self.schedule.rungs), len(islands), self.control
        if self.schedule.failure is not Outcome.EXHAUSTED or chains < int(self.request.chains or 2) or not rungs:
            return None
        most = math.inf
        if control.max_seconds is not None:
            left = _MARGIN * (control.max_seconds - control.seconds)
            most = (left + pilot.seconds) * rungs / (pilot.seconds + seconds)
        if control.max_evaluations is not None:
            left = _MARGIN * (control.max_evaluations - self.evaluations(chains))
            most = min(most, (left / (self.climb.particles * self.climb.steps) + rungs) / (1 + chains))
        return int(most) if _DEEPER * rungs <= most < math.inf else None

    def having_spent(self, evaluations: int) -> Passage:
        """The same with evaluations behind it that led nowhere."""
        return replace(self, schedule=replace(self.schedule, evaluations=self.schedule.evaluations + evaluations))

    def rounds(self, before: Sequence[IslandRecord] = ()) -> list[IslandRecord]:
        """Rounds of islands, after those ``before``, until the errors are small enough or the budget is spent.

        Short of the posterior the first round is all, since the budget may be of more use for another way.
        """
        short, islands = not before and self.schedule.failure is not None, list(before)
        while not self._finished(islands, short=short):
            blocks = self._next_round(len(islands))
            islands += self.islands(blocks)
            if not blocks or len(islands) <= blocks[-1]:
                break
        return islands

    def outcome(self, islands: list[IslandRecord]) -> Outcome:
        """How a run with these islands ended."""
        if self.control.interrupted:
            return Outcome.INTERRUPTED
        if self.schedule.failure is not None:
            return self.schedule.failure
        return (
            Outcome.CONVERGED if precise_enough(islands, self.request, self.target.task.primary) else Outcome.EXHAUSTED
        )

    def _finished(self, islands: list[IslandRecord], *, short: bool) -> bool:
        return bool(islands) and (
            short
            or self.schedule.failure is Outcome.STALLED
            or precise_enough(islands, self.request, self.target.task.primary)
        )

    def _next_round(self, done: int) -> list[int]:
        """The stream blocks of the islands of the next round that the budget affords, all of them or fewer."""
        if self.control.out_of_time():
            return []
        ends = range(done + 1, done + 1 + integer_in("chains", self.request.chains, 2))
        return [end - 1 for end in ends if self.control.affords(self.evaluations(end))]

    def islands(self, blocks: list[int]) -> Iterator[IslandRecord]:
        """The islands of these stream blocks, in order; it ends early when the run is told to stop."""
        device = self.target.device
        together = 1 if device.type == "cpu" else GPU_ISLANDS
        groups = [blocks[i : i + together] for i in range(0, len(blocks), together)]
        for group, records in zip(groups, in_order(self._climb, groups, device), strict=True):
            if not records:
                return
            self._report(group[-1] + 1, blocks[-1] + 1, records[-1])
            yield from records

    def _climb(self, blocks: list[int]) -> list[IslandRecord]:
        """One group of islands from the prior to the last rung; empty when it was told to stop on the way."""
        try:
            return self._climbed(blocks)
        except OutOfTime:
            return []

    @torch.no_grad()
    def _climbed(self, blocks: list[int]) -> list[IslandRecord]:
        islands = Islands.from_prior(self.target, self.climb.particles, self.request.seed, Stream.ISLAND, blocks)
        losses = _losses(islands)
        levels, profiles = [_measure(islands, losses, [])], [_profile(islands)]
        rungs, survey = self.schedule.rungs, self.schedule.survey
        first = 0 if survey is None else survey.rungs - 1
        heights, task = [*(rung.height for rung in rungs), -math.inf], self.target.task
        if survey is not None:
            asked = task.readings(math.inf, heights[first])
            found = survey.climb(
                islands, rungs[: first + 1], self.control.out_of_time, asked, level=first + 1 == len(rungs)
            )
            if found is None:
                return []
            levels += found.levels
            readings = found.readings
        else:
            readings = _read(islands, losses, task.readings(math.inf, heights[0]))
        for step in range(first, len(rungs)):
            if survey is None or step > first:
                # The particles end with equal weights, and are moved once more then.
                islands.select(rungs[step], level=step == len(rungs) - 1)
            accepted = self._move(islands, step)
            if accepted is None:
                return []
            losses = _losses(islands)
            levels.append(_measure(islands, losses, accepted))
            profiles.append(_profile(islands))
            readings |= _read(islands, losses, task.readings(heights[step], heights[step + 1]))
        return _harvest(islands, torch.stack(levels), profiles, readings, weights=self.request.weights)

    def _move(self, islands: Islands, step: int) -> list[Float[Tensor, " block"]] | None:
        """The shares of accepted moves on a rung; None when told to stop on the way."""
        rung, settles = self.schedule.rungs[step], step == len(self.schedule.rungs) - 1 and self.climb.blocks > 1
        before = (islands.normals.clone(), islands.score) if settles else None
        accepted: list[Float[Tensor, " block"]] = []
        for _ in range(self.climb.moves):
            if self.control.out_of_time():
                return None
            accepted.append(islands.move(rung, self.schedule.angles[step]))
        if before is not None:
            islands.settle(rung, *before)
        islands.refresh(rung)
        return accepted

    def _report(self, done: int, total: int, last: IslandRecord) -> None:
        height = self.schedule.rungs[-1].height if self.schedule.rungs else None
        level = last.levels[-1]
        self.control.report(Progress("islands", done, total, height, level.acceptance, level.log_volume))


Losses = Float[Tensor, " column"] | None


def _losses(islands: Islands) -> Losses:
    """How well the particles generalise, where that is known."""
    return islands.target.generalisation(islands.normals, islands.generators)


def _measure(islands: Islands, losses: Losses, accepted: list[Float[Tensor, " block"]]) -> Float[Tensor, "fact island"]:
    """Log volume, mean generalisation, acceptance and ancestors of each island, left on the device."""
    ones = torch.ones_like(islands.log_volume)
    means = ones * torch.nan if losses is None else islands.island_means(losses)
    acceptance = ones * torch.stack(accepted).mean() if accepted else ones
    return torch.stack([islands.log_volumes, means, acceptance, islands.ancestors()])


def _read(islands: Islands, losses: Losses, thresholds: list[float]) -> dict[float, Float[Tensor, "two island"]]:
    """Log volume and mean generalisation of each island below thresholds lower than that of its particles."""
    found = {}
    for threshold in thresholds:
        share = islands.share_below(threshold)
        means = share * torch.nan if losses is None else islands.island_means(losses, islands.score < threshold)
        found[threshold] = torch.stack([islands.log_volumes + share.log(), means])
    return found


Profiled = tuple[Profile, Float[np.ndarray, " column"]]


def _profile(islands: Islands) -> Profiled | None:
    """What the particles say of other thresholds, with their scores."""
    profile = islands.target.profile(islands.normals, islands.generators)
    return None if profile is None else (profile, islands.score.cpu().numpy())


def _harvest(
    islands: Islands,
    levels: Float[Tensor, "level fact island"],
    profiles: list[Profiled | None],
    readings: dict[float, Float[Tensor, "two island"]],
    *,
    weights: bool,
) -> list[IslandRecord]:
    """Take a finished group of islands off the device."""
    particles = islands.target.testable(islands.particles)
    columns = islands.spread(particles)
    normals = islands.normals if particles == islands.particles else taken(islands.normals, columns)
    found = islands.target.harvest(normals, islands.score[columns], islands.generators, weights=weights)
    table = levels.cpu().tolist()
    read = {threshold: facts.cpu().tolist() for threshold, facts in readings.items()}
    records = []
    for i in range(len(islands.generators)):
        own, whole = (slice(i * count, (i + 1) * count) for count in (particles, islands.particles))
        sites = None if found.weights is None else {name: value[own] for name, value in found.weights.items()}
        records.append(
            IslandRecord(
                levels=[LevelRecord(*(fact[i] for fact in level)) for level in table],
                vectors=found.vectors[:, own],
                quantities={name: value[own] for name, value in found.quantities.items()},
                expected={name: value[own] for name, value in found.expected.items()},
                weights=sites,
                particles=islands.particles,
                readings={threshold: (facts[0][i], facts[1][i]) for threshold, facts in read.items()},
                profiles=[(each[0].part(whole), each[1][whole]) for each in profiles if each is not None],
            )
        )
    return records

"""A survey of the prior: the many independent draws from which islands take their first particles.

Moved particles cost about as much as fresh draws, so the first rungs of a ladder are better climbed by drawing: the
survivors are independent, and modes that hold little of the prior are met before any rung could leave them behind. A
share of the draws has one of its normals, each as likely as any other, drawn wider. What is rare in a prior is often
far out in one normal: the switch of a mixture, or a scale. The draws weigh what the balance heuristic gives them (Veach
and Guibas 1995; Owen and Zhou 2000), which is unbiased, and never more than 1/(1 − share), so the defence costs little
(Hesterberg 1995).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bayesgc.inference.islands.islands import Islands, exact_dtype, systematic
from bayesgc.inference.islands.ladders import Ladder, Rung, Threshold
from bayesgc.inference.target import Target

BLOCK = 1024
"""Draws of an island that are made and evaluated at once."""
_WIDE = BLOCK // 4
"""Of them those with a wider normal."""
_WIDTH = 3.0
"""The standard deviation of the wider normal."""
_FEWEST_SURVIVORS = 40
"""Independent particles that an island should begin with: their number is the error of its first step."""


@dataclass(frozen=True)
class Survey:
    """Draws of each island, a whole number of blocks, that take it up the first ``rungs`` of a ladder.

    ``survival`` is the share of particles that each of these rungs is expected to let through.
    """

    draws: int
    rungs: int
    survival: float

    @classmethod
    def plan(cls, a_rung: int, survival: float, most_rungs: int) -> Survey | None:
        """The survey of the most rungs that costs no more than to climb them; None where it would leave too few.

        It replaces the moves on all of its rungs but the last; ``a_rung`` draws cost as much as those on one.
        """
        for rungs in range(most_rungs, 1, -1):
            draws = (rungs - 1) * a_rung
            if draws * survival**rungs >= _FEWEST_SURVIVORS:
                return cls(_whole(draws), rungs, survival)
        return None

    def shortened(self, rungs: int) -> Survey | None:
        """The same for as many rungs as were found; None where it does not pay."""
        if rungs < 2:
            return None
        return replace(self, draws=_whole(self.draws * (rungs - 1) // (self.rungs - 1)), rungs=rungs)

    @property
    def plain(self) -> int:
        """Draws of each island that are the prior's own."""
        return self.draws // BLOCK * (BLOCK - _WIDE)

    def find(self, islands: Islands, ladder: Ladder, stop: Callable[[], bool]) -> list[Rung] | None:
        """As many first rungs as enough of the prior's own draws pass, for a pilot; None when told to stop.

        Only for ladders of thresholds, whose rungs keep draws or drop them.
        """
        scores = []
        for _ in range(self.draws // BLOCK):
            if stop():
                return None
            scores.append(islands.target.score(_draw(islands)).view(-1, BLOCK)[:, : BLOCK - _WIDE].flatten())
        score, rungs = torch.cat(scores), list[Rung]()
        while len(rungs) < self.rungs and not ladder.finished(rungs):
            rung = ladder.next(score, rungs)
            if rung is None or _passes(rung, score).sum() < _FEWEST_SURVIVORS / 2:
                break
            rungs.append(rung)
            score = score[_passes(rung, score)]
        return rungs

    def climb(
        self,
        islands: Islands,
        rungs: Sequence[Rung],
        stop: Callable[[], bool],
        readings: Sequence[float] = (),
        *,
        level: bool = False,
    ) -> Climbed | None:
        """Take islands from the prior to the last of the rungs, unmoved; None when told to stop.

        ``readings`` are thresholds between the rungs that the volume is to be known below too. With ``level`` the
        particles are chosen by their weights, which are equal then.
        """
        tally = _Tally(islands, rungs, readings, self)
        for block in range(self.draws // BLOCK):
            if stop():
                return None
            normals = _draw(islands)
            tally.add(block, normals, islands.target.score(normals))
        tally.settle(level=level)
        return Climbed(tally.levels(), tally.readings())


@dataclass(frozen=True)
class Climbed:
    """What was seen on the way up.

    ``levels`` are log volume, mean generalisation, acceptance (all) and survivors of each island on the rungs before
    the last, ``readings`` the first two below other thresholds.
    """

    levels: list[Float[Tensor, "fact island"]]
    readings: dict[float, Float[Tensor, "two island"]]


def _whole(draws: int) -> int:
    return math.ceil(draws / BLOCK) * BLOCK


class _Tally:
    """What islands have found so far: sums on each rung, and the survivors of the last."""

    def __init__(self, islands: Islands, rungs: Sequence[Rung], readings: Sequence[float], survey: Survey) -> None:
        self.islands = islands
        whole = survey.draws // BLOCK
        # On each rung enough blocks for as many survivors as there are particles; all of them on the last.
        wanted = [islands.particles / (BLOCK * survey.survival**step) for step in range(1, len(rungs))]
        blocks = [*(min(whole, math.ceil(each)) for each in wanted), whole]
        # A threshold between two rungs is read on the draws that the higher one takes.
        between = [(Threshold(each), blocks[_place(each, rungs)], True) for each in readings]
        steps = [(rung, count, False) for rung, count in zip(rungs, blocks, strict=True)]
        ordered = sorted([*steps, *between], key=lambda step: (-step[0].height, not step[2]))
        self.rungs = [rung for rung, _, _ in ordered]
        self.blocks = [count for _, count, _ in ordered]
        self.is_read = [read for _, _, read in ordered]
        zeros = torch.zeros(len(islands.generators), dtype=islands.log_volume.dtype, device=islands.target.device)
        self.sums = [tuple(zeros.clone() for _ in range(4)) for _ in self.rungs]
        self.waiting: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self.kept: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def add(self, block: int, normals: Float[Tensor, "latent column"], score: Float[Tensor, " column"]) -> None:
        """Take in one block of each island."""
        first = next(step for step, blocks in enumerate(self.blocks) if block < blocks)
        column = _passes(self.rungs[first], score).nonzero()[:, 0]
        self.waiting.append((normals[:, column], score[column], column // BLOCK, torch.full_like(column, block)))
        if sum(len(each[1]) for each in self.waiting) >= self.islands.root.numel():
            self._count()

    def _count(self) -> None:
        """Count those that wait, as many at once as the islands have particles."""
        normals = torch.cat([each[0] for each in self.waiting], dim=1)
        score, island, block = (torch.cat([each[i] for each in self.waiting]) for i in (1, 2, 3))
        self.waiting.clear()
        target = self.islands.target
        log_weight, losses = _log_weight(target, normals), target.generalisation(normals, self.islands.generators[:1])
        for rung, blocks, sums in zip(self.rungs, self.blocks, self.sums, strict=True):
            own = (_passes(rung, score) & (block < blocks)).to(log_weight.dtype)
            weight = own * log_weight.exp()
            tested = torch.zeros_like(own) if losses is None else torch.where(losses.isfinite(), weight, 0.0)
            loss = torch.zeros_like(own) if losses is None else torch.where(tested > 0, weight * losses, 0.0)
            for total, values in zip(sums, (own, weight, tested, loss), strict=True):
                total.index_add_(0, island, values)
        last = _passes(self.rungs[-1], score)
        self.kept.append((normals[:, last], score[last], island[last], log_weight[last]))

    def levels(self) -> list[Float[Tensor, "fact island"]]:
        """Of the rungs before the last."""
        most, steps = self.islands.particles, [place for place, read in enumerate(self.is_read) if not read]
        found = []
        for place in steps[:-1]:
            count, mass, *_ = self.sums[place]
            found.append(torch.cat([self._read(place), torch.stack([torch.ones_like(mass), count.clamp(max=most)])]))
        return found

    def readings(self) -> dict[float, Float[Tensor, "two island"]]:
        """Log volume and mean generalisation below the thresholds between the rungs."""
        return {self.rungs[place].height: self._read(place) for place, read in enumerate(self.is_read) if read}

    def _read(self, place: int) -> Float[Tensor, "two island"]:
        _, mass, tested, loss = self.sums[place]
        return torch.stack([(mass / (self.blocks[place] * BLOCK)).log(), loss / tested])

    def settle(self, *, level: bool) -> None:
        """Give the islands particles among their survivors, each as often as another but for one or by weight."""
        if self.waiting:
            self._count()
        normals = torch.cat([each[0] for each in self.kept], dim=1)
        score, island, log_weight = (torch.cat([each[i] for each in self.kept]) for i in (1, 2, 3))
        draws = self.blocks[-1] * BLOCK
        for index, source in enumerate(self.islands.generators):
            own = (island == index).nonzero()[:, 0]
            own = own[torch.randperm(len(own), generator=source, device=own.device)]
            self._settle_one(index, normals[:, own], score[own], log_weight[own], draws, level=level)

    def _settle_one(
        self,
        index: int,
        normals: Float[Tensor, "latent survivor"],
        score: Float[Tensor, " survivor"],
        log_weight: Float[Tensor, " survivor"],
        draws: int,
        *,
        level: bool,
    ) -> None:
        islands = self.islands
        chance = log_weight if level else torch.zeros_like(log_weight)
        total = chance.logsumexp(0)
        islands.log_volume[index] = total - math.log(draws)
        if not torch.isfinite(total):
            return
        start = torch.rand(1, 1, generator=islands.generators[index], device=total.device, dtype=total.dtype)
        parent = systematic((chance - total).exp()[None], start, islands.particles)[0]
        columns = slice(index * islands.particles, (index + 1) * islands.particles)
        islands.normals[:, columns] = normals[:, parent]
        islands.score[columns] = score[parent]
        islands.log_weight[index] = (log_weight - chance)[parent]
        islands.root[index] = parent.unique(return_inverse=True)[1]


def _place(threshold: float, rungs: Sequence[Rung]) -> int:
    """The place of the last rung that is not below a threshold, or of the first where all are."""
    return max(sum(rung.height >= threshold for rung in rungs) - 1, 0)


def _passes(rung: Rung, score: Float[Tensor, " column"]) -> Bool[Tensor, " column"]:
    return rung.log_weight(score) > -torch.inf


def _draw(islands: Islands) -> Float[Tensor, "latent column"]:
    """A block of draws of each island, the last of them with a wider normal."""
    target = islands.target
    return torch.cat([_draw_block(target, each) for each in islands.generators], dim=1)


def _draw_block(target: Target, source: torch.Generator) -> Float[Tensor, "latent draw"]:
    normals, rows = target.draw(source, BLOCK), target.free_normals
    if rows:
        row: Int[Tensor, " wide"] = torch.randint(rows, (_WIDE,), generator=source, device=normals.device)
        column = torch.arange(BLOCK - _WIDE, BLOCK, device=normals.device)
        normals[row, column] *= _WIDTH
    return normals


def _log_weight(target: Target, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, " draw"]:
    """log of the prior's density relative to that of the mixture of plain and wider draws."""
    exact = exact_dtype(normals.device)
    if not target.free_normals:
        return torch.zeros(normals.shape[1], dtype=exact, device=normals.device)
    square, share = normals[: target.free_normals].to(exact).square(), _WIDE / BLOCK
    wider = (square * ((1 - _WIDTH**-2) / 2)).logsumexp(0) + math.log(share / _WIDTH / target.free_normals)
    return -wider.logaddexp(wider.new_tensor(math.log(1 - share)))

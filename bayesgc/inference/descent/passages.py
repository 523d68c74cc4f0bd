"""First passages of gradient descent: where each start's training loss first is at or below each of its thresholds.

A descent goes on for long after it has come down to ε, so its end says nothing of weights that merely fit. What it is
at equal fit is its state after the first step whose training loss is at or below the threshold: a state that it was in,
nothing is interpolated. Losses and products of a block of steps are kept on the device, and looked at together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bayesgc.task import ArrayTask

_AT_ONCE = 2**24
"""Numbers of products gathered at a time: 64 MiB in float32."""


@dataclass
class FirstPassages:
    """Of every start, the number of updates made when it first was at or below each threshold; −1 where it never was.

    ``thresholds`` fall from left to right.
    """

    thresholds: Float[Tensor, "start level"]
    steps: Int[Tensor, "start level"] = field(init=False)

    def __post_init__(self) -> None:
        self.steps = torch.full_like(self.thresholds, -1, dtype=torch.int64)

    def passed(self, level: int) -> Bool[Tensor, " start"]:
        """Which starts have passed a level."""
        return self.steps[:, level] >= 0

    def look(
        self, batch: Int[Tensor, " batch"], lowest: Float[Tensor, "batch step"], made: int
    ) -> tuple[Int[Tensor, " passage"], Int[Tensor, " passage"], Int[Tensor, " passage"]]:
        """The passages in a block of steps: place in the batch, level, and step of the block.

        ``lowest`` is the lowest loss so far in the block, ``made`` the number of updates before it.
        """
        first = torch.searchsorted(-lowest, -self.thresholds[batch])
        new = (first < lowest.shape[1]) & (self.steps[batch] < 0)
        place, level = new.nonzero(as_tuple=True)
        step = first[place, level]
        self.steps[batch[place], level] = made + step
        return place, level, step


class Way:
    """The way down of every start: losses at the levels of a curve, and the whole state where it fits and at its goal.

    Args:
        tasks: those of the starts, the starts of one task together.
        levels: thresholds of the curve on each task, falling.
        ends: thresholds at which the product itself is kept.
        like: a number for each weight of every start, on their device and in their dtype.
    """

    def __init__(
        self,
        tasks: Sequence[ArrayTask],
        levels: Float[np.ndarray, "task level"],
        ends: Float[np.ndarray, "task end"],
        like: Float[Tensor, "start weight"],
    ) -> None:
        self.tasks, self.heights, starts = tasks, levels, len(like) // len(tasks)
        each = (torch.tensor(values).to(like).repeat_interleave(starts, 0) for values in (levels, ends))
        self.levels, self.ends = map(FirstPassages, each)
        self.train_loss, self.gen_loss = (torch.full_like(self.levels.thresholds, torch.nan) for _ in range(2))
        self.vectors = like.new_full((ends.shape[1], len(like), math.prod(tasks[0].shape)), torch.nan)

    def look(
        self,
        batch: Int[Tensor, " batch"],
        losses: Float[Tensor, "step batch"],
        products: Float[Tensor, "step batch entry"],
        made: int,
    ) -> None:
        """Note what the starts in the batch passed in a block of steps, after ``made`` updates."""
        lowest = losses.nan_to_num(nan=torch.inf).cummin(0).values.T.contiguous()
        place, level, step = self.ends.look(batch, lowest, made)
        self.vectors[level, batch[place]] = products[step, place]
        place, level, step = self.levels.look(batch, lowest, made)
        self.train_loss[batch[place], level] = losses[step, place]
        most = max(1, _AT_ONCE // products.shape[2])
        for part in torch.arange(len(place), device=place.device).split(most):
            chosen = products[step[part], place[part]]
            self.gen_loss[batch[place[part]], level[part]] = self._held_out(chosen, batch[place[part]])

    def _held_out(self, vectors: Float[Tensor, "row entry"], start: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
        """The generalisation loss of products of some starts, NaN where it is not known."""
        found, each = vectors.new_full((len(vectors),), torch.nan), len(self.gen_loss) // len(self.tasks)
        for place in (start // each).unique().tolist():
            own = start // each == place
            losses = self.tasks[place].gen_loss(vectors[own].T)
            if losses is not None:
                found[own] = losses
        return found

"""The steps of gradient descent: all starts in one batch, which those that are done leave."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bayesgc.inference.control import Control, Progress
from bayesgc.inference.descent.backpropagation import Weights
from bayesgc.inference.descent.optimizers import Optimizer
from bayesgc.inference.descent.passages import Way

_LOOK_EVERY = 100
"""Steps between looks at how many starts are done: each look waits for the device."""
_KEPT = 2**24
"""Numbers of the products kept between two looks at where starts are: 64 MiB in float32."""
_TRACED = frozenset(round(10 ** (i / 8)) for i in range(65))
"""Steps at which the losses are noted: eight in each factor of ten."""
FITTED, GOAL = 0, 1
"""The columns of the ends of a start's way: where it fits, and where it counts as ended."""


@dataclass
class Descending:
    """Starts on their way: the weights of those in the batch, and the end of the others.

    A start goes on until it has passed both of its ends, or is no longer finite; ``steps`` and ``vectors`` are those at
    its goal, or where it stopped before, which of those in ``cut`` the end of the time did. A start's path depends on
    the batch only by rounding.
    """

    factors: Weights
    rule: Optimizer
    way: Way
    _batch: Int[Tensor, " batch"] = field(init=False)
    _going: Bool[Tensor, " batch"] = field(init=False)

    def __post_init__(self) -> None:
        count, device = self.factors.flat.shape[0], self.factors.flat.device
        self._batch = torch.arange(count, device=device)
        self._going = torch.ones(count, dtype=torch.bool, device=device)
        self._stop = self.way.ends.thresholds.amin(1)
        self.steps = torch.zeros(count, dtype=torch.int64, device=device)
        self.cut = torch.zeros(count, dtype=torch.bool, device=device)
        self.vectors = self.factors.vectors().clone()
        self.trace: list[tuple[int, np.ndarray]] = []
        self.began = self._loss_of(self.vectors)
        self._loss = torch.full_like(self._stop, torch.nan)
        self._keep_room()

    def descend(self, most: int, control: Control) -> None:
        """Step until every start is at its ends or ``most`` steps are made, or the run is to end."""
        made, stopped = 0, False
        for step in range(1, most + 1):
            if stopped := control.out_of_time():
                break
            made = step
            self._keep(*self.factors.backpropagate(), step)
            self.rule.move(self.factors.flat, self.factors.gradient, step)
            if step % _LOOK_EVERY == 0:
                self._look(step)
                control.report(Progress("gradient descent", step, most, detail=self._detail()))
                going = int(self._going.sum())
                if not going:
                    break
                self._leave(going)
        self._end(made)
        self.cut[self._batch[self._going]] = stopped

    def _keep_room(self) -> None:
        """Room for the residuals and products of the steps between two looks."""
        sizes = self.factors.misfit.residual(self.vectors[self._batch]).shape[1], self.vectors.shape[1]
        batch = len(self._batch)
        block = max(1, min(_LOOK_EVERY, _KEPT // (batch * max(sizes))))
        self._residuals, self._products = (self.vectors.new_empty(block, size, batch).mT for size in sizes)
        self._rooms = list(zip(self._residuals.unbind(), self._products.unbind(), strict=True))
        self._filled = 0

    def _keep(self, residual: Float[Tensor, "batch n"], vectors: Float[Tensor, "batch entry"], step: int) -> None:
        """Put by where the starts are before an update, and look at it when there is no more room."""
        for room, value in zip(self._rooms[self._filled], (residual, vectors), strict=True):
            room.copy_(value)
        self._filled += 1
        if self._filled == len(self._rooms):
            self._look(step)

    def _look(self, step: int) -> None:
        """Note what was passed up to a step, which is after one update less, and which starts came to their ends."""
        if self._filled:
            kept, made = slice(self._filled), step - self._filled
            products = self._products[kept]
            losses = self._until_ended(self._residuals[kept].square().mean(2), products, made)
            self.way.look(self._batch, losses, products, made)
            for i in range(self._filled):
                if made + i + 1 in _TRACED:
                    self._loss[self._batch] = losses[i]
                    self.trace.append((made + i + 1, self._loss.cpu().numpy().copy()))
            self._loss[self._batch] = losses[-1]
            self._filled = 0

    def _until_ended(
        self, losses: Float[Tensor, "step batch"], products: Float[Tensor, "step batch entry"], made: int
    ) -> Float[Tensor, "step batch"]:
        """The losses of a block of steps, of each start as if it stayed at its end; notes what came to it."""
        first = (losses > self._stop).cumprod(0).sum(0)
        each = torch.arange(len(losses), device=losses.device)
        losses = losses.gather(0, torch.minimum(each[:, None], first))
        losses = torch.where(self._going, losses, self._loss[self._batch])
        ended = self._going & (first < len(losses))
        place = ended.nonzero()[:, 0]
        self.vectors[self._batch[place]] = products[first[place], place]
        self.steps[self._batch[place]] = made + first[place]
        self._going &= ~ended
        return losses

    def _detail(self) -> str:
        """How many starts fitted, and how many never will."""
        fitted, lost = int(self.way.ends.passed(FITTED).sum()), int((~self._loss.isfinite()).sum())
        return f"{fitted} fitted" + (f", {lost} diverged" if lost else "")

    def _leave(self, count: int) -> None:
        """Take the starts that are done out of the batch, once they are half of it: each time is a copy of it."""
        if 2 * count > len(self._batch):
            return
        going = self._going
        self.factors = self.factors.keep(going)
        self.rule.keep(going)
        self._batch, self._stop, self._going = self._batch[going], self._stop[going], going[going]
        self._keep_room()

    def _end(self, step: int) -> None:
        """Note where the starts still going are, the last update included; those that went past a goal go back."""
        self._look(step)
        going = self._batch[self._going]
        self.vectors[going], self.steps[going] = self.factors.vectors()[self._going], step
        last = self.vectors[self._batch]
        loss = torch.where(self._going, self._loss_of(last), self._loss[self._batch])
        self.way.look(self._batch, loss[None], last[None], step)
        reached = self.way.ends.passed(GOAL)
        self.steps = torch.where(reached, self.way.ends.steps[:, GOAL], self.steps)
        self.vectors[reached] = self.way.vectors[GOAL, reached]

    def _loss_of(self, vectors: Float[Tensor, "batch entry"]) -> Float[Tensor, " batch"]:
        return self.factors.misfit.residual(vectors).square().mean(1)

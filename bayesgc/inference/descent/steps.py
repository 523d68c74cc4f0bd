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
    its goal, or where it stopped before. A start's path depends on the batch only by rounding.
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
        # Of those in the batch, so that a step looks nothing up.
        self._stop, self._made = self.way.ends.thresholds.amin(1), torch.zeros(count, dtype=torch.int64, device=device)
        self.steps = torch.zeros_like(self._made)
        # The product of a single layer is a view of the weights, which go on.
        self.vectors = self.factors.vectors().clone()
        self.trace: list[tuple[int, np.ndarray]] = []
        self.began = self._loss_of(self.vectors)
        self._loss = torch.full_like(self._stop, torch.nan)
        self._lost = torch.zeros_like(self._going)
        self._keep_room()

    def descend(self, most: int, control: Control) -> None:
        """Step until every start is at its ends or ``most`` steps are made, or the run is to end."""
        made = 0
        for step in range(1, most + 1):
            if control.out_of_time():
                break
            made = step
            loss, vectors = self.factors.backpropagate()
            self._keep(loss, vectors, step)
            self._going &= loss > self._stop
            self._made += self._going
            if step in _TRACED:
                self._note(step, loss)
            update = self.rule.update(self.factors.gradient, step)
            self.factors.flat.addcmul_(update, self._going[:, None].to(update), value=-1)
            if step % _LOOK_EVERY == 0:
                self._look(step)
                going = self._count(loss)
                control.report(Progress("gradient descent", step, most, detail=self._detail()))
                if not going:
                    break
                self._leave(loss, going)
        self._end(made)

    def _keep_room(self) -> None:
        """Room for the losses and products of the steps between two looks."""
        size = self.vectors[self._batch].shape
        block = max(1, min(_LOOK_EVERY, _KEPT // size.numel()))
        self._losses, self._products = (self.vectors.new_empty(block, *part) for part in (size[:1], size))
        self._filled = 0

    def _keep(self, loss: Float[Tensor, " batch"], vectors: Float[Tensor, "batch entry"], step: int) -> None:
        """Put by where the starts are before an update, and look at it when there is no more room."""
        self._losses[self._filled], self._products[self._filled] = loss, vectors
        self._filled += 1
        if self._filled == len(self._losses):
            self._look(step)

    def _look(self, step: int) -> None:
        """Note what was passed up to a step, which is after one update less."""
        if self._filled:
            kept = slice(self._filled)
            self.way.look(self._batch, self._losses[kept], self._products[kept], step - self._filled)
            self._filled = 0

    def _count(self, loss: Float[Tensor, " batch"]) -> int:
        """How many starts go on; note which are lost."""
        self._lost[self._batch] = ~loss.isfinite()
        return int(self._going.sum())

    def _detail(self) -> str:
        """How many starts fitted, and how many never will."""
        fitted, lost = int(self.way.ends.passed(FITTED).sum()), int(self._lost.sum())
        return f"{fitted} fitted" + (f", {lost} diverged" if lost else "")

    def _note(self, step: int, loss: Float[Tensor, " batch"]) -> None:
        self._loss[self._batch] = loss
        self.trace.append((step, self._loss.cpu().numpy().copy()))

    def _leave(self, loss: Float[Tensor, " batch"], count: int) -> None:
        """Take the starts that are done out of the batch, once they are half of it: each time is a copy of it."""
        if 2 * count > len(self._batch):
            return
        self._settle()
        self._loss[self._batch] = loss
        going = self._going
        self.factors = self.factors.keep(going)
        self.rule.keep(going)
        self._batch, self._going = self._batch[going], going[going]
        self._stop, self._made = self._stop[going], self._made[going]
        self._keep_room()

    def _end(self, step: int) -> None:
        """Note where the starts in the batch are, the last update included; those that went past a goal go back."""
        self._look(step)
        self._settle()
        last = self.vectors[self._batch]
        self.way.look(self._batch, self._loss_of(last)[None], last[None], step)
        reached = self.way.ends.passed(GOAL)
        self.steps = torch.where(reached, self.way.ends.steps[:, GOAL], self.steps)
        self.vectors[reached] = self.way.vectors[GOAL, reached]

    def _settle(self) -> None:
        """Note where the starts in the batch are."""
        self.vectors[self._batch] = self.factors.vectors()
        self.steps[self._batch] = self._made

    def _loss_of(self, vectors: Float[Tensor, "batch entry"]) -> Float[Tensor, " batch"]:
        return self.factors.misfit.residual(vectors).square().mean(1)

"""The steps of gradient descent: all starts in one batch, which those that are done leave."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bayesgc.inference.backpropagation import Weights
from bayesgc.inference.control import Control, Progress
from bayesgc.inference.optimizers import Optimizer

_LOOK_EVERY = 100
"""Steps between looks at how many starts are done: each look waits for the device."""
_TRACED = frozenset(round(10 ** (i / 8)) for i in range(65))
"""Steps at which the losses are noted: eight in each factor of ten."""


@dataclass
class Descending:
    """Starts on their way: the weights of those in the batch, and the end of the others.

    ``goal`` is the training loss at which each start stops. A start's path depends on the batch only by rounding.
    """

    factors: Weights
    rule: Optimizer
    goal: Float[Tensor, " start"]
    _batch: Int[Tensor, " batch"] = field(init=False)
    _going: Bool[Tensor, " batch"] = field(init=False)

    def __post_init__(self) -> None:
        count, device = self.factors.flat.shape[0], self.factors.flat.device
        self._batch = torch.arange(count, device=device)
        self._going = torch.ones(count, dtype=torch.bool, device=device)
        # Of those in the batch, so that a step looks nothing up.
        self._goal, self._made = self.goal, torch.zeros(count, dtype=torch.int64, device=device)
        self.steps = torch.zeros_like(self._made)
        # The product of a single layer is a view of the weights, which go on.
        self.vectors = self.factors.vectors().clone()
        self.trace: list[tuple[int, np.ndarray]] = []
        self._loss = torch.full_like(self.goal, torch.nan)

    def descend(self, most: int, control: Control) -> None:
        """Step until every start is at its goal or ``most`` steps are made, or the run is to end."""
        for step in range(1, most + 1):
            if control.out_of_time():
                break
            loss = self.factors.backpropagate()
            self._going &= loss > self._goal
            self._made += self._going
            if step in _TRACED:
                self._note(step, loss)
            update = self.rule.update(self.factors.gradient, step)
            self.factors.flat.addcmul_(update, self._going[:, None].to(update), value=-1)
            if step % _LOOK_EVERY == 0:
                done = len(self.goal) - int(self._going.sum())
                control.report(Progress("gradient descent", step, most, detail=f"{done} fitted"))
                if done == len(self.goal):
                    break
                self._leave(loss)
        self._settle()

    def _note(self, step: int, loss: Float[Tensor, " batch"]) -> None:
        self._loss[self._batch] = loss
        self.trace.append((step, self._loss.cpu().numpy().copy()))

    def _leave(self, loss: Float[Tensor, " batch"]) -> None:
        """Take the starts that are done out of the batch, once they are half of it: each time is a copy of it."""
        if 2 * int(self._going.sum()) > len(self._batch):
            return
        self._settle()
        self._loss[self._batch] = loss
        going = self._going
        self.factors = self.factors.keep(going)
        self.rule.keep(going)
        self._batch, self._going = self._batch[going], going[going]
        self._goal, self._made = self._goal[going], self._made[going]

    def _settle(self) -> None:
        """Note where the starts in the batch are."""
        self.vectors[self._batch] = self.factors.vectors()
        self.steps[self._batch] = self._made

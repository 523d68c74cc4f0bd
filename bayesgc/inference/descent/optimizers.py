"""Update rules of gradient descent for all starts at once: weights are (start, weight), starts independent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@runtime_checkable
class Optimizer(Protocol):
    """A rule that moves weights by their gradients."""

    def move(self, weights: Float[Tensor, "start weight"], gradient: Float[Tensor, "start weight"], step: int) -> None:
        """Make a step, in place; ``step`` counts from 1."""
        ...

    def keep(self, starts: Bool[Tensor, " start"]) -> None:
        """Forget all but some of the starts."""
        ...


class _PerStart:
    """Every tensor of an optimizer has one row for each start."""

    def keep(self, starts: Bool[Tensor, " start"]) -> None:
        """Forget all but some of the starts."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[starts])


class GroupRMSprop(_PerStart):
    """RMSprop with one average of the squared gradient norm for all weights, bias-corrected.

    Source: the optimizer of Arora, Cohen, Hu and Luo 2019 that Alexander et al. 2025 use (α = 0.99, ε = 1e-6);
    momentum as RMSprop has it, on the scaled gradient.
    """

    def __init__(self, lr: float, momentum: float, like: Tensor, alpha: float = 0.99, eps: float = 1e-6) -> None:
        self.lr, self.momentum, self.alpha = lr, momentum, alpha
        self.eps = like.new_full((like.shape[0], 1), eps)
        self.average = torch.zeros_like(self.eps)
        self.velocity = torch.zeros_like(like)

    def move(self, weights: Float[Tensor, "start weight"], gradient: Float[Tensor, "start weight"], step: int) -> None:
        """Make a step."""
        self.average.lerp_(gradient.square().sum(1, keepdim=True), 1 - self.alpha)
        # The bias correction, taken out of the root: lr / (√(average / c²) + ε) = lr c / (√average + c ε).
        correction = math.sqrt(1 - self.alpha**step)
        spread = self.average.sqrt().add_(self.eps, alpha=correction)
        if self.momentum == 0:
            weights.addcdiv_(gradient, spread, value=-self.lr * correction)
        else:
            weights.sub_(self.velocity.mul_(self.momentum).addcdiv_(gradient, spread, value=self.lr * correction))


class HeavyBall(_PerStart):
    """Gradient descent with Polyak's momentum; plain at momentum 0."""

    def __init__(self, lr: float, momentum: float, like: Tensor) -> None:
        self.lr, self.momentum = lr, momentum
        self.velocity = torch.zeros_like(like)

    def move(self, weights: Float[Tensor, "start weight"], gradient: Float[Tensor, "start weight"], step: int) -> None:
        """Make a step."""
        weights.sub_(self.velocity.mul_(self.momentum).add_(gradient, alpha=self.lr))


class Adam(_PerStart):
    """Adam (Kingma and Ba 2015) with its usual constants; ``momentum`` is not used."""

    def __init__(self, lr: float, momentum: float, like: Tensor) -> None:
        self.lr = lr
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like)

    def move(self, weights: Float[Tensor, "start weight"], gradient: Float[Tensor, "start weight"], step: int) -> None:
        """Make a step."""
        self.first.lerp_(gradient, 0.1)
        self.second.lerp_(gradient.square(), 0.001)
        spread = (self.second / (1 - 0.999**step)).sqrt_().add_(1e-8)
        weights.sub_(self.first * (self.lr / (1 - 0.9**step)) / spread)


@dataclass(frozen=True)
class OptimizerChoice:
    """An optimizer that can be named, with its own momentum."""

    summary: str
    build: Callable[[float, float, Tensor], Optimizer]
    momentum: float = 0.0


OPTIMIZERS = {
    "group-rmsprop": OptimizerChoice("RMSprop with one shared average for all weights, as in the paper", GroupRMSprop),
    "gd": OptimizerChoice("plain gradient descent", HeavyBall),
    "momentum": OptimizerChoice("gradient descent with heavy-ball momentum 0.9", HeavyBall, momentum=0.9),
    "adam": OptimizerChoice("Adam", Adam),
}

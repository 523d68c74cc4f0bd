"""Limited-memory BFGS for many independent problems at once, each with its own line search.

One call of the function evaluates all problems, so a step costs the same whether one or all of them move. Source:
Nocedal & Wright 2006, algorithms 7.4 and 7.5, with backtracking by quadratic interpolation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Function = Callable[
    [Float[Tensor, "problem weight"]], tuple[Float[Tensor, " problem"], Float[Tensor, "problem weight"]]
]
"""The value of each problem and its gradient."""

_MEMORY = 25
_TRIALS = 25
_SUFFICIENT = 1e-4
_ROUNDING = 1e-14
_CURVED = 1e-10


@dataclass
class Descended:
    """Where each problem stands: its point, value and gradient, and the number of steps it made."""

    point: Float[Tensor, "problem weight"]
    value: Float[Tensor, " problem"]
    gradient: Float[Tensor, "problem weight"]
    steps: Float[Tensor, " problem"]

    def slack(self) -> Float[Tensor, " problem"]:
        """How far from stationary each problem is: ‖gradient‖ ‖point‖ in units of its value, at least 1.

        It bounds, to first order, what shrinking or turning the point by its own length could gain.
        """
        size = torch.linalg.vector_norm(self.point, dim=1) * torch.linalg.vector_norm(self.gradient, dim=1)
        return size / self.value.abs().clamp(min=1.0)

    def replace(self, moved: Bool[Tensor, " problem"], other: Descended) -> None:
        """Take over those of ``other`` that ``moved``."""
        self.point[moved] = other.point[moved]
        self.value[moved] = other.value[moved]
        self.gradient[moved] = other.gradient[moved]


def minimise(
    function: Function,
    point: Float[Tensor, "problem weight"],
    going: Bool[Tensor, " problem"],
    *,
    tolerance: float,
    steps: int,
    stop: Callable[[], bool] = lambda: False,
) -> Descended:
    """Minimise each problem that is ``going`` until its `slack` is at most ``tolerance``; the others stay.

    Ends after ``steps`` steps, or when ``stop()`` says so. A problem whose line search finds nothing lower ends there.
    """
    value, gradient = function(point)
    here = Descended(point.clone(), value, gradient, torch.zeros_like(value))
    memory = _Memory(1 / torch.linalg.vector_norm(gradient, dim=1).clamp(min=torch.finfo(value.dtype).tiny))
    going = going.clone()
    for _ in range(steps):
        going &= here.slack() > tolerance
        if stop() or not going.any():
            break
        before = Descended(here.point.clone(), here.value.clone(), here.gradient.clone(), here.steps)
        going &= _search(function, here, memory.direction(here.gradient), going)
        here.steps += going
        memory.learn(here.point - before.point, here.gradient - before.gradient)
    return here


def _search(
    function: Function, here: Descended, direction: Float[Tensor, "problem weight"], going: Bool[Tensor, " problem"]
) -> Bool[Tensor, " problem"]:
    """Backtrack along ``direction`` to sufficient decrease, moving ``here``; returns which problems found one."""
    start, value = here.point.clone(), here.value.clone()
    slope = (direction * here.gradient).sum(1)
    length, found = torch.ones_like(value), torch.zeros_like(going)
    for _ in range(_TRIALS):
        waiting = going & ~found
        if not waiting.any():
            break
        trial = torch.where(waiting[:, None], start + length[:, None] * direction, here.point)
        reached, gradient = function(trial)
        enough = reached <= value + _SUFFICIENT * length * slope + _ROUNDING * value.abs()
        moved = waiting & enough
        here.replace(moved, Descended(trial, reached, gradient, here.steps))
        found |= moved
        # Where the parabola through both values and the slope is least, within a tenth and a half of the step.
        least = -slope * length / (2 * (reached - value - slope * length))
        length = length * least.nan_to_num(0.1, 0.1, 0.1).clamp(0.1, 0.5)
    return found


@dataclass
class _Memory:
    """The last moves and changes of the gradient of each problem, newest last, and the scale of the Hessian."""

    scale: Float[Tensor, " problem"]
    pairs: deque[tuple[Tensor, Tensor, Tensor]] = field(default_factory=lambda: deque(maxlen=_MEMORY))

    def direction(self, gradient: Float[Tensor, "problem weight"]) -> Float[Tensor, "problem weight"]:
        """The quasi-Newton step, downhill for every problem."""
        step, shares = gradient.clone(), []
        for move, change, curvature in reversed(self.pairs):
            share = curvature * (move * step).sum(1)
            step -= share[:, None] * change
            shares.append(share)
        step *= self.scale[:, None]
        for (move, change, curvature), share in zip(self.pairs, reversed(shares), strict=True):
            step += (share - curvature * (change * step).sum(1))[:, None] * move
        uphill = (step * gradient).sum(1) <= 0
        return -torch.where(uphill[:, None], self.scale[:, None] * gradient, step)

    def learn(self, move: Float[Tensor, "problem weight"], change: Float[Tensor, "problem weight"]) -> None:
        """Remember a step; of problems that did not move, or moved where the value is not convex, nothing."""
        curved = (move * change).sum(1)
        usable = curved > _CURVED * (move * move).sum(1)
        usable &= curved > 0
        safe = torch.where(usable, curved, 1.0)
        # A curvature of zero makes both loops of `direction` pass the pair over.
        self.pairs.append((move, change, torch.where(usable, 1 / safe, 0.0)))
        size = (change * change).sum(1)
        self.scale = torch.where(usable, safe / torch.where(usable, size, 1.0), self.scale)

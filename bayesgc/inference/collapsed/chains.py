"""One chain of Pyro's NUTS on a collapsed criterion, which goes on where it stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyro
import torch
from jaxtyping import Bool, Float
from pyro.infer import mcmc
from torch import Tensor
from torch.autograd.function import once_differentiable

from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.control import OutOfTime

_SITE = "normals"
_STARTS = 64
"""Prior draws from which a chain's starting point is chosen by weight: spread wide, yet not far out."""


class Chain:
    """A chain over the standard normals of a collapsed criterion.

    Pyro's kernel is driven through its documented interface (``setup``, ``sample``, ``diagnostics``) and not by
    ``pyro.infer.MCMC``, which could neither stop within a chain and keep what it has nor go on later.

    Args:
        target: the density, in double precision on the CPU.
        source: this chain's own random numbers.
        warmup: transitions that adapt the step size and the diagonal mass matrix, and are thrown away.
        target_accept: the mean acceptance that the step size aims at.
        max_tree_depth: a transition makes at most 2 to this power leapfrog steps.
    """

    def __init__(
        self,
        target: CollapsedCriterion,
        source: torch.Generator,
        *,
        warmup: int,
        target_accept: float,
        max_tree_depth: int,
    ) -> None:
        self.target, self.warmup = target, warmup
        self.evaluations = 0
        self.transitions = 0
        self._draws: list[Tensor] = []
        # The start is there even where no time is left.
        self._state = {_SITE: _start(replace(target, check=lambda: None), source)}
        self._stream = source.get_state()
        self._kernel = mcmc.NUTS(
            potential_fn=self._potential, target_accept_prob=target_accept, max_tree_depth=max_tree_depth
        )

    def __len__(self) -> int:
        """Draws so far, without the warm-up."""
        return len(self._draws)

    @property
    def normals(self) -> Float[Tensor, "latent draw"]:
        """The draws so far."""
        return torch.stack(self._draws, dim=1)

    @property
    def diverging(self) -> Bool[Tensor, " draw"]:
        """Which transitions left the level set of the energy, so that the density was not explored there."""
        found = torch.zeros(len(self), dtype=torch.bool)
        if self._draws:
            found[[index for index in self._kernel.diagnostics()["divergences"] if index < len(self)]] = True
        return found

    @property
    def step_size(self) -> float:
        """The leapfrog step that the warm-up settled on."""
        return float(self._kernel.step_size)

    def extend(self, length: int, go_on: Callable[[], bool]) -> bool:
        """Bring the chain to ``length`` draws; False if ``go_on``, asked before every transition, said no first."""
        with self._borrowed_globals():
            if self.transitions == 0 and not self._begin():
                return False
            while len(self) < length:
                if not go_on():
                    return False
                try:
                    self._state = self._kernel.sample(self._state)
                except OutOfTime:
                    return False
                self.transitions += 1
                if self.transitions > self.warmup:
                    self._draws.append(self._state[_SITE].detach())
        return True

    def _begin(self) -> bool:
        """Let the kernel look for its first step size; False if there was no time for it."""
        self._kernel.initial_params = self._state
        try:
            self._kernel.setup(self.warmup)
        except OutOfTime:
            return False
        return True

    def _potential(self, state: dict[str, Tensor]) -> Tensor:
        """−log density of the normals, up to a constant."""
        self.evaluations += 1
        return _Potential.apply(state[_SITE], self.target)

    @contextlib.contextmanager
    def _borrowed_globals(self) -> Iterator[None]:
        """Pyro draws from torch's global generator: lend it this chain's stream, then put back what was there."""
        with torch.random.fork_rng(devices=[]), pyro.validation_enabled(False):
            torch.set_rng_state(self._stream)
            try:
                yield
            finally:
                self._stream = torch.get_rng_state()


class _Potential(torch.autograd.Function):
    """The potential with the target's own gradient, at half the cost of recording its linear algebra."""

    @staticmethod
    def forward(ctx: Any, normals: Float[Tensor, " latent"], target: CollapsedCriterion) -> Float[Tensor, ""]:
        score, gradient = target.gradient(normals[:, None])
        ctx.save_for_backward(normals - gradient[:, 0])
        return 0.5 * normals.dot(normals) - score[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Float[Tensor, ""]) -> tuple[Float[Tensor, " latent"], None]:
        return upstream * ctx.saved_tensors[0], None


@torch.no_grad()
def _start(target: CollapsedCriterion, source: torch.Generator) -> Float[Tensor, " latent"]:
    normals = target.draw(source, _STARTS)
    score = target.score(normals)
    weight = torch.softmax(torch.where(score.isfinite(), score, score.new_tensor(-1e300)), dim=0)
    return normals[:, torch.multinomial(weight, 1, generator=source)[0]]

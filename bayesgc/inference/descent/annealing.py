"""The posterior density at a finite temperature, all restarts in one batch: a Pyro program and its AutoDelta guide.

The targets are seen with Gaussian noise, whose variance is the temperature. With the targets shifted by what earlier
fits missed, the mode of this density is a step of the method of multipliers (Hestenes 1969, Powell 1969): the shifts
grow into the multipliers of the exact fit, so that the noise need not shrink to nothing.
"""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float, Shaped
from pyro.infer.autoguide import AutoDelta, init_to_value
from torch import Tensor

from bayesgc.models.layout import Program
from bayesgc.task import ArrayTask

_RESTART, _TARGETS = "bayesgc_restart", "bayesgc_targets"


class AnnealedPosterior:
    """log p(weights) + log N(measured values; targets + shift, noise²) of every restart, in double precision.

    A point is a row of the guide's unconstrained parameters. Use it inside ``pyro_aside``.

    Args:
        program: the model; a leading batch dimension passes through it.
        task: what was measured.
        starts: the value of each latent site at the start of each restart.
    """

    def __init__(self, program: Program, task: ArrayTask, starts: dict[str, Shaped[Tensor, "restart *site"]]) -> None:
        self.program, self.task = program, task
        self.targets = torch.as_tensor(task.targets, dtype=torch.float64)
        self.restarts = len(next(iter(starts.values())))
        self.noise = torch.ones((), dtype=torch.float64)
        self.shift = torch.zeros(self.restarts, len(self.targets), dtype=torch.float64)
        self.guide = AutoDelta(self.joint, init_loc_fn=init_to_value(values=starts))
        self.guide()  # the first call makes the parameters
        self._parameters = list(self.guide.parameters())

    def joint(self) -> Float[Tensor, "restart entry"]:
        """The Pyro program: weights from the prior, and the targets observed with noise."""
        with pyro.plate(_RESTART, self.restarts, dim=-1):
            vectors = self.program().reshape(self.restarts, -1)
            measured = self.task.measurements.apply(vectors.T).T
            pyro.sample(_TARGETS, dist.Normal(measured, self.noise).to_event(1), obs=self.targets + self.shift)
        return vectors

    @property
    def point(self) -> Float[Tensor, "restart weight"]:
        """Where the guide is."""
        return torch.cat([each.detach().reshape(self.restarts, -1) for each in self._parameters], dim=1)

    def move(self, point: Float[Tensor, "restart weight"]) -> None:
        """Put the guide at ``point``."""
        sizes = [each.numel() // self.restarts for each in self._parameters]
        with torch.no_grad():
            for parameter, part in zip(self._parameters, point.split(sizes, dim=1), strict=True):
                parameter.copy_(part.reshape(parameter.shape))

    def cool(self, factor: float, missed: Float[Tensor, "restart n"]) -> None:
        """Divide the temperature, and shift the targets by what the last fit ``missed``."""
        # The multipliers of the fit are shift / noise², which a new temperature must leave as they are.
        self.shift = (self.shift + missed) / factor
        self.noise = self.noise / factor**0.5

    def loss(
        self, point: Float[Tensor, "restart weight"]
    ) -> tuple[Float[Tensor, " restart"], Float[Tensor, "restart weight"]]:
        """−log density of each restart at ``point``, and its gradient."""
        self.move(point)
        trace = self._trace()
        value = self._energy(trace) - trace.nodes[_TARGETS]["log_prob"]
        gradients = torch.autograd.grad(value.sum(), self._parameters)
        return value.detach(), torch.cat([each.reshape(self.restarts, -1) for each in gradients], dim=1)

    def state(self) -> tuple[Float[Tensor, "restart entry"], Float[Tensor, " restart"]]:
        """The end-to-end matrices where the guide is, and −log prior density of the weights there."""
        with torch.no_grad():
            trace = self._trace()
            # A copy: at depth one the matrices are the parameters themselves.
            return trace.nodes["_RETURN"]["value"].detach().clone(), self._energy(trace)

    def _trace(self) -> Any:
        guided = pyro.poutine.trace(self.guide).get_trace()
        trace = pyro.poutine.trace(pyro.poutine.replay(self.joint, trace=guided)).get_trace()
        trace.compute_log_prob()
        return trace

    @staticmethod
    def _energy(trace: Any) -> Float[Tensor, " restart"]:
        """−log density of every site but the targets; the plate itself is a site without one."""
        sites = [node for name, node in trace.nodes.items() if node["type"] == "sample" and name != _TARGETS]
        return -sum(node["log_prob"] for node in sites if type(node["fn"]).__name__ != "_Subsample")

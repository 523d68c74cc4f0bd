"""Gradient descent on the same model and task, all restarts in one batch, with a hand-written gradient.

Two laws of the initial weights: ``small``, the uniform small initialisation of the paper, and ``prior``, the prior's
own draws, the cleanest test of the volume hypothesis since then only the search differs from Guess & Check. As in the
paper the raw product is fitted, never the normalised one.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bayesgc.inference.backpropagation import Factors
from bayesgc.inference.control import Control, Progress, one_thread_each
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.functionals import quantities
from bayesgc.inference.optimizers import OPTIMIZERS, Optimizer
from bayesgc.inference.records import Descent
from bayesgc.inference.streams import Stream, generator
from bayesgc.models import MatrixFactorization, Whitened
from bayesgc.validate import InputError, one_of, positive_integer, real_in

INITIALIZATIONS = {
    "small": "uniform on ±1/√fan-in times a small scale, as in the paper",
    "prior": "the prior's own draws",
}
MOST_NUMBERS = 2**28
"""Weights × restarts held at once; with gradients, products and the optimizer's state some 5 GiB in float32."""
MOST_WORK = 10**11
"""Weights × restarts × steps; on two cores each takes 10 to 60 ns, so that this is about an hour."""
_LOOK_EVERY = 100
"""Steps between looks at whether all restarts are done: each look waits for the device."""


@dataclass(frozen=True)
class GradientDescent:
    """Full-batch gradient descent from many starts.

    Args:
        optimizer: ``group-rmsprop`` (the paper: RMSprop with one squared-gradient average for all weights), ``gd``,
            ``momentum`` (heavy ball) or ``adam``.
        lr: step size.
        momentum: heavy-ball factor for ``group-rmsprop``, ``gd`` and ``momentum``; None for the optimizer's own.
        steps: most steps of a restart; None for the paper's number at this activation.
        init: ``small`` or ``prior``.
        init_scale: factor on a small initialisation; None for the paper's at this depth.
        tol: a restart stops at this training loss relative to the zero predictor's; 0 turns early stopping off.
        restarts: independent starts.
    """

    optimizer: str = "group-rmsprop"
    lr: float = 1e-2
    momentum: float | None = None
    steps: int | None = None
    init: str = "small"
    init_scale: float | None = None
    tol: float = 1e-6
    restarts: int = 32
    name: ClassVar[str] = "gd"

    def __post_init__(self) -> None:
        one_of("gd optimizer", self.optimizer, OPTIMIZERS)
        one_of("gd init", self.init, INITIALIZATIONS)
        real_in("gd learning rate", self.lr, 0, open_low=True)
        real_in("gd tolerance", self.tol, 0)
        positive_integer("restarts", self.restarts)
        if self.steps is not None:
            positive_integer("gd steps", self.steps)
        if self.init_scale is not None:
            real_in("gd init scale", self.init_scale, 0, open_low=True)
        if self.momentum is not None:
            real_in("gd momentum", self.momentum, 0, 0.9999)
            if self.optimizer == "adam" and self.momentum:
                raise InputError("gd momentum does not apply to adam, which has its own; leave it out.")

    def resolved(self, model: MatrixFactorization) -> GradientDescent:
        """The same with every open choice filled in from the paper's table for this model."""
        chosen = {
            "steps": self.steps or paper_steps(model.activation),
            "init_scale": self.init_scale or paper_init_scale(model.depth, model.activation),
            "momentum": OPTIMIZERS[self.optimizer].momentum if self.momentum is None else self.momentum,
        }
        return GradientDescent(**(asdict(self) | chosen))

    def why_too_large(self, model: MatrixFactorization, shape: tuple[int, ...]) -> str | None:
        """Why these restarts are beyond memory or patience, and what to ask for instead; None where they are not."""
        weights = sum(math.prod(size) for size in model.layer_shapes(shape))
        steps = int(self.resolved(model).steps or 0)
        if weights * self.restarts <= MOST_NUMBERS and weights * self.restarts * steps <= MOST_WORK:
            return None
        size = f"gradient descent over {weights:.3g} weights with {self.restarts} restarts and {steps} steps"
        if weights > MOST_NUMBERS:
            return f"{size} would not fit into memory; it takes a narrower model"
        restarts = min(self.restarts, MOST_NUMBERS // weights)
        fewer = min(steps, MOST_WORK // (weights * restarts))
        return f"{size} is too much; --restarts {restarts} --gd-steps {fewer} is the most, or fewer restarts"

    def run(self, model: MatrixFactorization, criterion: Criterion, seed: int, control: Control) -> Descent:
        """Descend from every start; a restart is converged when it ends below `fitted_below`.

        Raises:
            InputError: where `why_too_large` has something to say.
        """
        if reason := self.why_too_large(model, criterion.task.shape):
            raise InputError(f"{reason}.")
        method = self.resolved(model)
        with torch.no_grad(), one_thread_each():
            factors = method.start(model, criterion, seed)
            steps = method.descend(factors, criterion, control)
            vectors = factors.vectors()
            found = quantities(criterion.task, vectors)
        return Descent(
            configuration={key: value for key, value in asdict(method).items() if value is not None},
            end_to_end=vectors.T.unflatten(-1, criterion.task.shape).cpu(),
            quantities={name: values.cpu() for name, values in found.items()},
            converged=(found["train_loss"] < fitted_below(criterion)).cpu(),
            steps=steps.cpu(),
            seconds=control.seconds,
        )

    def start(self, model: MatrixFactorization, criterion: Criterion, seed: int) -> Factors:
        """The initial weights; those of one restart depend on the seed and its index alone."""
        factors = Factors.zeros(model, criterion, self.restarts)
        # Whitened with all its weights, which the criterion's form may not have.
        prior = model.whiten(criterion.task.shape, weights=True) if self.init == "prior" else None
        for restart in range(self.restarts):
            source = generator(seed, Stream.DESCENT, restart, criterion.device)
            if prior is not None:
                self._start_at_prior(factors, prior, source, restart)
            else:
                self._start_small(factors, source, restart)
        return factors

    def _start_small(self, factors: Factors, source: torch.Generator, restart: int) -> None:
        for layer in factors.layers:
            bound = float(self.init_scale or 1.0) * layer.shape[1] ** -0.5
            layer[..., restart] = torch.empty_like(layer[..., 0]).uniform_(-bound, bound, generator=source)

    @staticmethod
    def _start_at_prior(factors: Factors, prior: Whitened, source: torch.Generator, restart: int) -> None:
        like = factors.flat
        normals = torch.randn(prior.size, 1, generator=source, device=like.device, dtype=like.dtype)
        for layer, draw in zip(factors.layers, prior.weights(normals).values(), strict=True):
            layer[..., restart] = draw[0]

    def descend(self, factors: Factors, criterion: Criterion, control: Control) -> Int[Tensor, " restart"]:
        """Step until every restart is below the tolerance or the steps are spent; returns the steps each one made."""
        rule: Optimizer = OPTIMIZERS[self.optimizer].build(self.lr, float(self.momentum or 0.0), factors.flat)
        goal = self.tol * criterion.task.zero_train_loss
        going: Bool[Tensor, " restart"] = torch.ones(self.restarts, dtype=torch.bool, device=criterion.device)
        made = torch.zeros(self.restarts, dtype=torch.int64, device=criterion.device)
        for step in range(1, int(self.steps or 0) + 1):
            loss: Float[Tensor, " restart"] = factors.backpropagate()
            going = going & (loss > goal)
            made += going
            factors.flat.sub_(rule.update(factors.gradient, step) * going)
            if step % _LOOK_EVERY == 0:
                control.report(Progress("gradient descent", step, self.steps, detail=f"{int((~going).sum())} fitted"))
                if control.interrupted or not going.any():
                    break
        return made


def fitted_below(criterion: Criterion) -> float:
    """The training loss under which a restart counts as converged: ε, or at ε = 0 a thousandth of the zero predictor's.

    A descent of finite length fits no data exactly.
    """
    return criterion.eps if criterion.eps > 0 else 1e-3 * criterion.task.zero_train_loss


def paper_steps(activation: str) -> int:
    """Steps of the paper's depth sweeps: 20 000, and 50 000 for leaky ReLU (and here for ReLU)."""
    return 50_000 if "relu" in activation else 20_000


def paper_init_scale(depth: int, activation: str) -> float:
    """Initial scale of the paper's depth sweeps; depths beyond ten take the deepest one's."""
    if depth <= 4:
        return 1e-3
    return 0.1 if depth <= 8 or "relu" in activation else 0.2

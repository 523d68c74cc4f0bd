"""Gradient descent on the same model and task, all restarts in one batch.

Two laws of the initial weights: ``small``, the uniform small initialisation of the paper, and ``prior``, the prior's
own draws, the cleanest test of the volume hypothesis since then only the search differs from Guess & Check. As in the
paper the raw product is fitted, never the normalised one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.control import Control, one_thread_each
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.descent.backpropagation import DifferentiatedWeights, Weights, weights_of
from bayesgc.inference.descent.misfit import misfit
from bayesgc.inference.descent.optimizers import OPTIMIZERS
from bayesgc.inference.descent.passages import Way
from bayesgc.inference.descent.steps import FITTED, Descending
from bayesgc.inference.descent.unconstrained import UnconstrainedProgram
from bayesgc.inference.records import Descent, DescentCurve, Passage
from bayesgc.inference.streams import Stream, generator
from bayesgc.models import Factorization, Model, Whitened, WhitenedProgram, factorised
from bayesgc.validate import InputError, one_of, positive_integer, real_in

INITIALIZATIONS = {
    "small": "uniform on ±1/√fan-in times a small scale, as in the paper",
    "prior": "the prior's own draws",
}
MOST_NUMBERS = 2**28
"""Weights × restarts held at once; with gradients, products and the optimizer's state some 5 GiB in float32."""
_PROGRAM_STEPS = 5000
"""Steps on a Pyro program, each of which costs milliseconds."""
MOST_MEASURED = 2**26
"""Starts × measurements × entries up to which tasks descend in one batch, which gains nothing where there is more to
multiply. A fixed number, since the batch decides how sums are rounded."""
MOST_WORK = 10**11
"""Weights × restarts × steps; on two cores each takes 10 to 60 ns, so that this is about an hour."""
_LEVELS_A_DECADE, _HIGHEST, _LOWEST = 16, 1, -6
"""The levels of the curve of descent, from the power of ten in the zero predictor's loss that no fit is above on."""
_NO_ZERO = -12
"""The lowest level where a descent stops at no loss: what rounding leaves in float32."""
_EXPLODED = 10.0
"""A restart has diverged when it ends this many times above both its start and the zero predictor."""


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

    def resolved_for(self, model: Model, shape: tuple[int, ...]) -> GradientDescent:
        """The same with every open choice filled in, for whatever model of arrays it is."""
        layered = factorised(model)
        return self.resolved_for_program() if layered is None else self.resolved(layered, shape)

    def resolved(self, model: Factorization, shape: tuple[int, ...]) -> GradientDescent:
        """The same with every open choice filled in from the paper's table for this model of arrays of that shape.

        Its depth there is the number of weights that are multiplied in an entry, for a tensor one for each of its
        weight matrices.
        """
        chosen = {
            "steps": self.steps or paper_steps(model.activation),
            "init_scale": self.init_scale or paper_init_scale(len(model.layer_shapes(shape)), model.activation),
            "momentum": OPTIMIZERS[self.optimizer].momentum if self.momentum is None else self.momentum,
        }
        return GradientDescent(**(asdict(self) | chosen))

    def resolved_for_program(self) -> GradientDescent:
        """The same for a Pyro program, which has no other start than the prior's draws."""
        momentum = OPTIMIZERS[self.optimizer].momentum if self.momentum is None else self.momentum
        return replace(self, init="prior", init_scale=None, steps=self.steps or _PROGRAM_STEPS, momentum=momentum)

    def why_too_large(self, model: Factorization, shape: tuple[int, ...], tasks: int = 1) -> str | None:
        """Why these restarts are beyond memory or patience, and what to ask for instead; None where they are not."""
        weights = tasks * sum(math.prod(size) for size in model.layer_shapes(shape))
        steps = int(self.resolved(model, shape).steps or 0)
        if weights * self.restarts <= MOST_NUMBERS and weights * self.restarts * steps <= MOST_WORK:
            return None
        size = f"gradient descent over {weights:.3g} weights with {self.restarts} restarts and {steps} steps"
        if weights > MOST_NUMBERS:
            return f"{size} would not fit into memory; it takes a narrower model"
        restarts = min(self.restarts, MOST_NUMBERS // weights)
        fewer = min(steps, MOST_WORK // (weights * restarts))
        return f"{size} is too much; `restarts={restarts}` `gd_steps={fewer}` is the most, or fewer restarts"

    def run(
        self,
        model: Factorization,
        criterion: Criterion,
        seed: int,
        control: Control,
        thresholds: Sequence[float] = (),
    ) -> Descent:
        """Descend from every start; a restart is converged when it ends below `fitted_below`.

        It goes on below its tolerance until it is at or below ε, at ε = 0 until 1e-6 of the zero predictor's loss, so
        that it is known at equal fit; its end is where it reached the tolerance. ``thresholds`` are training losses at
        which the curve of descent is to be known beside ε and its own levels.

        Raises:
            InputError: where `why_too_large` has something to say.
        """
        [found] = self.run_together(model, [criterion], seed, control, thresholds)
        return found

    def run_together(
        self,
        model: Factorization,
        criteria: Sequence[Criterion],
        seed: int,
        control: Control,
        thresholds: Sequence[float] = (),
    ) -> list[Descent]:
        """`run` on several tasks of one shape; a restart begins at the same weights on each of them.

        They run in one batch up to `MOST_MEASURED`, beyond it one after the other.
        """
        shape = criteria[0].task.shape
        if reason := self.why_too_large(model, shape, len(criteria)):
            raise InputError(f"{reason}.")
        measured = sum(criterion.array.measurements.count for criterion in criteria) * math.prod(shape)
        if len(criteria) > 1 and self.restarts * measured > MOST_MEASURED:
            return [self.run(model, criterion, seed, control, thresholds) for criterion in criteria]
        method = self.resolved(model, shape)
        with torch.no_grad(), one_thread_each():
            factors = method.start(model, criteria, seed)
            rule = OPTIMIZERS[method.optimizer].build(method.lr, float(method.momentum or 0.0), factors.flat)
            descending = Descending(factors, rule, method._way(criteria, thresholds, factors.flat))
            descending.descend(int(method.steps or 0), control)
            return [method._ended(descending, i, criterion, control) for i, criterion in enumerate(criteria)]

    def run_program(
        self,
        whitened: WhitenedProgram,
        criterion: Criterion,
        seed: int,
        control: Control,
        thresholds: Sequence[float] = (),
    ) -> Descent:
        """The same for a Pyro program: from the prior's own draws, in the unconstrained coordinates of its sites.

        A program has no other start, whatever ``init`` says. It takes 5000 steps unless told otherwise.
        """
        method = self.resolved_for_program()
        free = UnconstrainedProgram.of(whitened)
        with torch.no_grad(), one_thread_each():
            flat = torch.stack([self._program_start(whitened, free, criterion, seed, i) for i in range(self.restarts)])
            parts = ([(1, free.size)], misfit([criterion.array], self.restarts, flat), flat, torch.zeros_like(flat))
            weights = DifferentiatedWeights(*parts, free.assembled())
            rule = OPTIMIZERS[method.optimizer].build(method.lr, float(method.momentum or 0.0), flat)
            descending = Descending(weights, rule, method._way([criterion], thresholds, flat))
            descending.descend(int(method.steps or 0), control)
            return method._ended(descending, 0, criterion, control)

    @staticmethod
    def _program_start(
        whitened: WhitenedProgram, free: UnconstrainedProgram, criterion: Criterion, seed: int, restart: int
    ) -> Float[Tensor, " weight"]:
        source = generator(seed, Stream.DESCENT, restart, criterion.device)
        column = whitened.draw(source, 1, device=criterion.device, dtype=criterion.dtype)
        values = {name: value[0] for name, value in whitened.weights(column).items()}
        return free.inverse(values).to(criterion.dtype)

    def _way(self, criteria: Sequence[Criterion], thresholds: Sequence[float], like: Tensor) -> Way:
        """What is to be noted on the way: levels of the curve, and the states where a start fits and at its goal."""
        tasks = [criterion.array for criterion in criteria]
        levels = [self.levels(criterion, thresholds) for criterion in criteria]
        ends = [(self._followed(each), self.tol * each.array.zero_train_loss) for each in criteria]
        return Way(tasks, np.stack(levels), np.array(ends), like)

    def levels(self, criterion: Criterion, thresholds: Sequence[float] = ()) -> Float[np.ndarray, " level"]:
        """The training losses at which the curve of descent is known, falling: sixteen in each factor of ten."""
        lowest = min(_LOWEST, math.log10(self.tol) if self.tol else _NO_ZERO)
        count = 1 + math.ceil(_LEVELS_A_DECADE * (_HIGHEST - lowest))
        own = criterion.array.zero_train_loss * 10.0 ** (_HIGHEST - np.arange(count) / _LEVELS_A_DECADE)
        asked = {float(each) for each in (*thresholds, criterion.eps) if 0 < each < math.inf}
        return np.sort(np.concatenate([own, sorted(asked)]))[::-1]

    @staticmethod
    def _followed(criterion: Criterion) -> float:
        """The training loss down to which a start is followed, whatever tolerance it is stopped at."""
        return criterion.eps or 10.0**_LOWEST * criterion.array.zero_train_loss

    def _ended(self, descending: Descending, index: int, criterion: Criterion, control: Control) -> Descent:
        """The record of the restarts on one task."""
        own = slice(index * self.restarts, (index + 1) * self.restarts)
        vectors, zero = descending.vectors[own], criterion.array.zero_train_loss
        found = criterion.task.measures(vectors.T)
        exploded = found["train_loss"] > _EXPLODED * descending.began[own].clamp_min(zero)
        return Descent(
            configuration={key: value for key, value in asdict(self).items() if value is not None},
            end_to_end=vectors.unflatten(-1, criterion.task.shape).cpu(),
            quantities={name: values.cpu() for name, values in found.items()},
            converged=(found["train_loss"] < fitted_below(criterion.eps, zero)).cpu(),
            steps=descending.steps[own].cpu(),
            seconds=control.seconds,
            trace={step: losses[own] for step, losses in descending.trace},
            at_eps=_passage(descending.way, own, criterion) if criterion.eps > 0 else None,
            curve=_curve(descending.way, own, index),
            diverged=(exploded | ~found["train_loss"].isfinite()).cpu(),
            cut=descending.cut[own].cpu(),
        )

    def start(self, model: Factorization, criteria: Sequence[Criterion], seed: int) -> Weights:
        """The initial weights; those of one restart depend on the seed and its index alone."""
        tasks, device = [criterion.array for criterion in criteria], criteria[0].device
        factors = weights_of(model, tasks, self.restarts, device, criteria[0].dtype)
        # Whitened with all its weights, which the criterion's form may not have.
        prior = model.whiten(tasks[0].shape, weights=True) if self.init == "prior" else None
        for restart in range(self.restarts):
            source = generator(seed, Stream.DESCENT, restart, device)
            starts = slice(restart, None, self.restarts)
            if prior is not None:
                self._start_at_prior(factors, prior, source, starts)
            else:
                self._start_small(factors, source, starts)
        return factors

    def _start_small(self, factors: Weights, source: torch.Generator, starts: slice) -> None:
        for layer in factors.layers:
            bound = float(self.init_scale or 1.0) * layer.shape[2] ** -0.5
            layer[starts] = layer.new_empty(layer.shape[1:]).uniform_(-bound, bound, generator=source)

    @staticmethod
    def _start_at_prior(factors: Weights, prior: Whitened, source: torch.Generator, starts: slice) -> None:
        like = factors.flat
        normals = prior.draw(source, 1, device=like.device, dtype=like.dtype)
        for layer, draw in zip(factors.layers, prior.weights(normals).values(), strict=True):
            layer[starts] = draw[0]


def _passage(way: Way, own: slice, criterion: Criterion) -> Passage:
    """Where the restarts on one task first fitted."""
    vectors = way.vectors[FITTED, own]
    return Passage(
        end_to_end=vectors.unflatten(-1, criterion.task.shape).cpu(),
        quantities={name: values.cpu() for name, values in criterion.task.measures(vectors.T).items()},
        reached=way.ends.passed(FITTED)[own].cpu(),
        steps=way.ends.steps[own, FITTED].cpu(),
    )


def _curve(way: Way, own: slice, index: int) -> DescentCurve:
    """The curve of the restarts on one task; a threshold that was asked for may be one of its own levels."""
    levels = way.heights[index]
    _, first = np.unique(-levels, return_index=True)
    losses = (each[own].cpu().numpy()[:, first] for each in (way.train_loss, way.gen_loss))
    return DescentCurve(levels[first], *losses)


def fitted_below(eps: float, zero_train_loss: float) -> float:
    """The training loss under which a restart counts as converged: ε, or at ε = 0 a thousandth of the zero predictor's.

    A descent of finite length fits no data exactly.
    """
    return eps if eps > 0 else 1e-3 * zero_train_loss


def paper_steps(activation: str) -> int:
    """Steps of the paper's depth sweeps: 20 000, and 50 000 for leaky ReLU (and here for ReLU)."""
    return 50_000 if "relu" in activation else 20_000


def paper_init_scale(depth: int, activation: str) -> float:
    """Initial scale of the paper's depth sweeps; depths beyond ten take the deepest one's."""
    if depth <= 4:
        return 1e-3
    return 0.1 if depth <= 8 or "relu" in activation else 0.2

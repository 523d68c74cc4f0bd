"""The mode (MAP): the most probable weights under the model's own prior among those that fit exactly.

For a linear net with Gaussian weights it is the exact fit of least Schatten-2/d quasi-norm, at depth two that of least
nuclear norm (Srebro, Rennie & Jaakkola 2004 at depth two; Shang, Liu & Cheng 2016 beyond). From depth three on the
problem is not convex, so all restarts are kept: they are a spread, and the best one is the mode as far as it is known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import ClassVar

import pyro
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from bayesgc.inference.control import Control, Progress, one_thread_each
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.descent.annealing import AnnealedPosterior
from bayesgc.inference.descent.quasi_newton import Descended, minimise
from bayesgc.inference.records import Descent
from bayesgc.inference.streams import Stream, generator
from bayesgc.models import Model, factorised
from bayesgc.models.factorization.density import peak, why_no_mode
from bayesgc.task import ArrayTask
from bayesgc.task.array.feasibility import infeasible
from bayesgc.validate import InputError, positive_integer, real_in

_FIT = 1e-6
"""Residual of an exact fit, relative to the targets."""
_SLACK, _SETTLED = 1e-6, 2e-4
"""`Descended.slack` that is aimed at, and that which still counts as a mode: energies are then right to about 1e-6."""
_COOLING, _COLDEST = 4.0, 3
"""The temperature falls by this factor after each of the first stages; from then on the shifts do the rest."""
_STAGES, _STEPS = 16, 150
_FROZEN = 1e-3
"""A residual above this, relative to the targets, that no longer halves in a stage will not vanish."""
_COLDER = 10.0
_ATTEMPTS = 4
"""A restart that froze before it fitted starts again so much colder, so often at most."""
_CHEAP_WEIGHTS, _CHEAP_DEPTH = 2000, 4


@dataclass(frozen=True)
class MaximumAPosteriori:
    """The mode of the weights given an exact fit, from many starts at once, by annealing Pyro's AutoDelta guide.

    Each restart begins at a draw from the prior, at a temperature at which the misfit of the zero predictor costs
    ``chill`` times as much as the weights of a typical draw do, in nats, and cools until the fit is exact. It is
    computed in double precision on the CPU.

    Args:
        restarts: independent starts.
        chill: how cold annealing begins. Hotter starts (smaller values) can find better modes of deep nets, and freeze
            more often at matrices of too low a rank to fit; those are tried again from ten times colder.
    """

    restarts: int = 16
    chill: float = 20.0
    name: ClassVar[str] = "map"

    def __post_init__(self) -> None:
        positive_integer("map restarts", self.restarts)
        real_in("map chill", self.chill, 0, open_low=True)

    def run(self, model: Model, criterion: Criterion, seed: int, control: Control) -> Descent:
        """Anneal from every start; a restart is converged when it fits exactly and its energy cannot be lowered.

        ``criterion`` gives the task; its ε plays no part.

        Raises:
            InputError: where there is no mode, or no exact fit, saying why.
        """
        task = criterion.array
        reason = why_no_map(model, task)
        if reason is not None:
            raise InputError(reason)
        with one_thread_each(), _pyro_aside():
            found = self._anneal(model, task, seed, control)
        vectors = found.vectors.T.contiguous()
        return Descent(
            configuration={key: value for key, value in asdict(self).items() if value is not None},
            end_to_end=found.vectors.unflatten(-1, task.shape),
            quantities=task.measures(vectors),
            converged=found.fitted,
            steps=found.steps.long(),
            seconds=control.seconds,
            energy=found.energy + peak(model, task.shape),
        )

    def _anneal(self, model: Model, task: ArrayTask, seed: int, control: Control) -> _Modes:
        """Every restart annealed, those that froze a few times over."""
        starts = self._starts(model, task, seed)
        latent = sum(value[0].numel() for value in starts.values())
        # Half a nat for each weight is what a typical draw costs.
        noise = float((task.targets**2).sum() / (self.chill * latent)) ** 0.5
        program = model.program(task.shape)
        found = _annealed(AnnealedPosterior(program, task, starts), noise, control)
        for attempt in range(1, _ATTEMPTS):
            frozen = found.frozen.clone()
            if control.out_of_time() or not frozen.any():
                break
            chosen = {name: value[frozen] for name, value in starts.items()}
            colder = noise * _COLDER ** (-attempt / 2)
            with pyro.get_param_store().scope():
                found.put(frozen, _annealed(AnnealedPosterior(program, task, chosen), colder, control))
        return found

    def _starts(self, model: Model, task: ArrayTask, seed: int) -> dict[str, Shaped[Tensor, "restart *site"]]:
        """Draws from the prior; that of one restart depends on the seed and its index alone."""
        cpu = torch.device("cpu")
        whitened = model.whiten(task.shape, weights=True)
        sources = [generator(seed, Stream.MODE, restart, cpu) for restart in range(self.restarts)]
        draws = [whitened.draw(source, 1, device=cpu, dtype=torch.float64) for source in sources]
        return whitened.weights(torch.cat(draws, dim=1))


def why_no_map(model: Model, task: ArrayTask) -> str | None:
    """Why a model has no mode given an exact fit of a task, as a sentence; None where nothing speaks against it."""
    reason = why_no_mode(model, task.shape)
    if reason is None and infeasible(task, 0.0, normalize=False):
        return "no matrix fits the measurements exactly, so there is no mode given an exact fit"
    return reason


def why_not_by_default(model: Model, shape: tuple[int, ...]) -> str | None:
    """Why the mode is left out unless it is asked for: where it may take longer than a few seconds."""
    weights = depth = 0
    smooth, layered = False, factorised(model)
    if layered is not None:
        weights = sum(rows * cols for rows, cols in layered.layer_shapes(shape))
        gaussian = all("gaussian" in each.label for each in layered.layer_priors(shape))
        depth, smooth = layered.depth, layered.activation == "linear" and gaussian
    if smooth and weights <= _CHEAP_WEIGHTS and depth <= _CHEAP_DEPTH:
        return None
    return (
        f"it can take long beyond linear models, Gaussian priors, depth {_CHEAP_DEPTH} and {_CHEAP_WEIGHTS} weights; "
        "ask for it with `map=True`"
    )


@dataclass
class _Modes:
    """Where each restart ended."""

    vectors: Float[Tensor, "restart entry"]
    energy: Float[Tensor, " restart"]
    fitted: Bool[Tensor, " restart"]
    frozen: Bool[Tensor, " restart"]
    steps: Float[Tensor, " restart"]

    def put(self, chosen: Bool[Tensor, " restart"], other: _Modes) -> None:
        """Replace those ``chosen``; their steps add up."""
        self.vectors[chosen], self.energy[chosen] = other.vectors, other.energy
        self.fitted[chosen], self.frozen[chosen] = other.fitted, other.frozen
        self.steps[chosen] += other.steps


def _annealed(posterior: AnnealedPosterior, noise: float, control: Control) -> _Modes:
    """Cool in stages, each one from the mode of the last, until every restart fits and is stationary, or is frozen."""
    size = float(torch.linalg.vector_norm(posterior.targets))
    before = posterior.targets.new_full((posterior.restarts,), torch.inf)
    steps, fitted = torch.zeros_like(before), torch.zeros_like(before, dtype=torch.bool)
    frozen = fitted.clone()
    posterior.noise = posterior.targets.new_tensor(noise)
    for stage in range(_STAGES):
        mode = _next_mode(posterior, ~fitted & ~frozen, stage, control)
        vectors, energy = posterior.state()
        missed = -posterior.task.residual(vectors.T).T
        distance = torch.linalg.vector_norm(missed, dim=1)
        fitted |= (distance <= _FIT * size) & (mode.slack() <= _SETTLED)
        frozen |= (distance > _FROZEN * size) & (distance > before / 2)
        steps += mode.steps
        control.report(Progress("MAP", stage + 1, _STAGES, detail=f"{int(fitted.sum())} fitted"))
        if control.out_of_time() or (fitted | frozen).all():
            break
        posterior.cool(_COOLING if stage < _COLDEST else 1.0, missed)
        before = distance
    return _Modes(vectors, energy, fitted, frozen & ~fitted, steps)


def _next_mode(
    posterior: AnnealedPosterior, going: Bool[Tensor, " restart"], stage: int, control: Control
) -> Descended:
    """Move the guide to the mode at the present temperature; early stages only lead the way."""
    tolerance = max(_SLACK, 10.0 ** -(3 + stage))
    mode = minimise(
        posterior.loss,
        posterior.point,
        going,
        tolerance=tolerance,
        steps=_STEPS,
        stop=control.out_of_time,
    )
    posterior.move(mode.point)
    return mode


@contextlib.contextmanager
def _pyro_aside() -> Iterator[None]:
    """Pyro without validation, with a parameter store and a random state that are put back afterwards."""
    with pyro.validation_enabled(False), pyro.get_param_store().scope(), torch.random.fork_rng(devices=[]):
        yield

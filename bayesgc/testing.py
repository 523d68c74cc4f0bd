"""Checks that a prior or a model of one's own is what the methods take it for: for the tests of a plug-in.

``check_prior`` and ``check_model`` run all of them, and ``CHECKS`` has each by itself. A check says what is wrong in a
`CheckFailed`, an ``AssertionError``. Seeds are fixed, so a check that passes once always does; statistical ones fail a
right prior for one seed in a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from bayesgc.inference import Control, Criterion, Progress, Request, Splitting
from bayesgc.models import MatrixFactorization, Model, as_model
from bayesgc.models.layout import Program
from bayesgc.models.priors.prior import Prior, layer_prior
from bayesgc.task import sensing

LEVEL = 1e-3
"""The chance that a statistical check fails a prior that is right."""
SHAPE = (3, 4)
_SIZES = [(1, 1), (3, 4), (4, 3), (5, 5), (1, 6)]
_OWN, _OURS = 1000, 4000
_CPU = torch.device("cpu")
_RANKED = 9
"""Posterior draws that a truth is ranked among."""


class CheckFailed(AssertionError):  # noqa: N818 - it says what happened
    """What a check found."""


def check_prior(prior: str | Prior, *, truths: int = 100) -> None:
    """Run every check on a prior.

    Args:
        prior: a name with options, ``file.py:function``, or a function (rows, cols) → Pyro distribution.
        truths: simulated tasks of the calibration; 0 leaves it out.

    Raises:
        CheckFailed: naming the first check that failed, and how.
        InputError: where it is not a prior at all.
    """
    check_shapes(prior)
    # Two layers, so that they are seen in a product and not by themselves alone.
    check_model(MatrixFactorization(2, 3, prior=prior, normalize=False), SHAPE, truths=0)
    if truths:
        # Normalised: a truth far out in a heavy tail takes very long to fit.
        check_calibration(MatrixFactorization(2, 3, prior=prior, normalize=True), SHAPE, truths=truths)


def check_model(model: Model | Program, shape: tuple[int, ...], *, truths: int = 100) -> None:
    """Run every check but that of shapes on a model, such as a Pyro program without arguments.

    Args:
        model: as `bayesgc.infer` takes it.
        shape: the shape of its arrays.
        truths: simulated tasks of the calibration; 0 leaves it out.

    Raises:
        CheckFailed: naming the first check that failed, and how.
        InputError: where it is not a model of this shape at all.
    """
    for check in CHECKS.values():
        check(model, shape)
    if truths:
        check_calibration(model, shape, truths=truths)


def check_shapes(prior: str | Prior) -> None:
    """A prior gives matrices of every shape, and the same law whenever it is asked."""
    layer = layer_prior(prior, "fan-out")
    for rows, cols in _SIZES:
        law, again = layer(rows, cols), layer(rows, cols)
        draws, same = _sampled(law, 8), _sampled(again, 8)
        if tuple(draws.shape) != (8, rows, cols):
            raise CheckFailed(f"shapes: eight draws of a {rows}×{cols} matrix came as {tuple(draws.shape)}.")
        if not torch.equal(draws, same):
            raise CheckFailed(f"shapes: asked twice for a {rows}×{cols} matrix, the prior gave two laws.")


def check_finite(model: Model | Program, shape: tuple[int, ...]) -> None:
    """Draws are finite, by the model's own sampling and as a function of normals."""
    for way, draws in (("own", own_draws(model, shape, _OWN)), ("whitened", whitened_draws(model, shape, _OURS))):
        bad = int((~draws.isfinite()).any(1).sum())
        if bad:
            raise CheckFailed(f"finite: {bad} of {len(draws)} {way} draws have entries that are not finite.")


def check_batches(model: Model | Program, shape: tuple[int, ...]) -> None:
    """Draws together are those made one by one, whatever stands beside them."""
    whitened = as_model(model).whiten(shape)
    columns = whitened.draw(_generator(1), 6, device=_CPU, dtype=torch.float64)
    together = whitened.vectors(columns)
    alone = torch.cat([whitened.vectors(columns[:, [i]]) for i in range(6)], dim=1)
    if not torch.allclose(together, alone, rtol=1e-6, atol=1e-9):
        gap = float((together - alone).abs().max())
        raise CheckFailed(f"batches: six draws at once differ from the same six one by one, by up to {gap:.2g}.")


def check_determinism(model: Model | Program, shape: tuple[int, ...]) -> None:
    """One seed gives one result, and Pyro's and torch's global generator are left alone."""
    before = torch.random.get_rng_state()
    first, again = (whitened_draws(model, shape, 64) for _ in range(2))
    if not torch.equal(first, again):
        raise CheckFailed("determinism: the same columns gave other draws the second time.")
    if not torch.equal(torch.random.get_rng_state(), before):
        raise CheckFailed("determinism: making draws from columns moved torch's global generator.")


def check_whitening(model: Model | Program, shape: tuple[int, ...]) -> None:
    """Draws as a function of normals have the law of the model's own sampling; so have they after moves."""
    own = own_draws(model, shape, _OWN)
    samples = {
        "draws": whitened_draws(model, shape, _OURS),
        "moved draws": whitened_draws(model, shape, _OURS, moves=3),
    }
    level = LEVEL / (len(samples) * len(_FUNCTIONALS))
    for which, ours in samples.items():
        for name, functional in _FUNCTIONALS.items():
            both = _rounded(functional(torch.cat([own, ours]).unflatten(1, shape)))
            one, two = both[: len(own)], both[len(own) :]
            if (p := float(stats.ks_2samp(one, two).pvalue)) < level:
                raise CheckFailed(
                    f"whitening: the {name} of {which} from normals has another law than that of own draws "
                    f"(p = {p:.1g}): is the transport right?"
                )


def check_calibration(model: Model | Program, shape: tuple[int, ...], *, truths: int = 100) -> None:
    """The truth, drawn from the model itself, has any rank among posterior draws with the same chance.

    Source: Talts et al. 2018. The targets are the exact ones plus a residual uniform in the ball of radius √(nε), with
    which truth and draws are exchangeable given L_train < ε.
    """
    found = calibration_ranks(model, shape, truths)
    worst = min(found, key=lambda name: _uniformity(found[name]))
    p = _uniformity(found[worst])
    if p < LEVEL / len(found):
        counts = np.bincount(found[worst], minlength=_RANKED + 1).tolist()
        raise CheckFailed(f"calibration: ranks of the truth's {worst} are not uniform (p = {p:.1g}): {counts}.")


CHECKS: dict[str, Callable[[Model | Program, tuple[int, ...]], None]] = {
    "finite": check_finite,
    "batches": check_batches,
    "determinism": check_determinism,
    "whitening": check_whitening,
}
"""The checks of a model, by name; `check_shapes` is for priors, and `check_calibration` takes longer."""


def own_draws(model: Model | Program, shape: tuple[int, ...], count: int, seed: int = 0) -> Float[Tensor, "draw entry"]:
    """Vectorised draws by the model's own program, from Pyro's generator."""
    program = as_model(model).program(shape)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return torch.stack([program().detach().flatten().double() for _ in range(count)])


def whitened_draws(
    model: Model | Program, shape: tuple[int, ...], count: int, *, moves: int = 0
) -> Float[Tensor, "draw entry"]:
    """Vectorised draws as a function of normals, after so many moves that leave the prior as it is."""
    whitened = as_model(model).whiten(shape)
    generator = _generator(2)
    columns = whitened.draw(generator, count, device=_CPU, dtype=torch.float32)
    criterion = Criterion(sensing(*_sides(shape), 1, 1, seed=0), whitened, 1.0, _CPU, torch.float32)
    for _ in range(moves):
        columns = criterion.propose(columns, math.pi / 4, [generator])
    return whitened.vectors(columns).T.double()


def calibration_ranks(
    model: Model | Program, shape: tuple[int, ...], truths: int, first: int = 0
) -> dict[str, np.ndarray]:
    """The ranks, from 0 to 9, of each functional of so many truths among nine posterior draws."""
    rows, cols = _sides(shape)
    task = sensing(rows, cols, 1, max(1, rows * cols // 3), seed=3)
    pool = own_draws(model, shape, truths + first, seed=11)
    eps = _typical_loss(task, whitened_draws(model, shape, _OURS))
    whitened = as_model(model).whiten(shape)
    found: dict[str, list[int]] = {name: [] for name in _FUNCTIONALS}
    for index in range(first, first + truths):
        rng = np.random.default_rng([17, index])
        truth = pool[index]
        targets = task.measurements.dense() @ truth.numpy() + _residual(rng, task.measurements.count, eps)
        criterion = Criterion(replace(task, targets=targets, truth=None), whitened, eps, _CPU, torch.float32)
        draws = _posterior(criterion, index, rng)
        for name, functional in _FUNCTIONALS.items():
            values = functional(torch.cat([truth[None], draws]).unflatten(1, shape))
            values = torch.from_numpy(_rounded(values))
            ties = int((values[1:] == values[0]).sum())
            found[name].append(int((values[1:] < values[0]).sum()) + int(rng.integers(ties + 1)))
    return {name: np.array(ranks) for name, ranks in found.items()}


_FUNCTIONALS: dict[str, Callable[[Tensor], Tensor]] = {
    "first entry": lambda draws: draws.flatten(1)[:, 0],
    "sum with weights": lambda draws: draws.flatten(1) @ torch.linspace(-1, 1.3, draws[0].numel(), dtype=draws.dtype),
    "norm": lambda draws: draws.flatten(1).norm(dim=1),
    "largest singular value": lambda draws: torch.linalg.matrix_norm(
        draws.flatten(2) if draws.ndim > 2 else draws, ord=2
    ),
}


def _posterior(criterion: Criterion, seed: int, rng: np.random.Generator) -> Float[Tensor, "draw entry"]:
    """One draw from each of as many independent islands."""
    request = Request(seed=seed, precision=1.0, chains=_RANKED, draws=20)
    control = Control(max_seconds=120)
    # One round of islands is enough, however rough the volume that it gives.
    control.report = lambda progress: control.interrupt() if _is_round(progress) else None
    run = Splitting(particles=200, moves=8).run(criterion, request, control)
    if run.posterior is None:
        raise CheckFailed(f"calibration: no draw fits to {criterion.eps:.3g}: {run.message}")
    islands = run.posterior.end_to_end[:_RANKED]
    chosen = torch.from_numpy(rng.integers(20, size=len(islands)))
    return islands[torch.arange(len(islands)), chosen].flatten(1).double()


def _is_round(progress: Progress) -> bool:
    return progress.stage == "islands" and progress.done >= _RANKED


def _typical_loss(task: Any, draws: Float[Tensor, "draw entry"]) -> float:
    """A threshold that about one draw in fifty is below, for targets that another draw gave."""
    measured = task.measurements.apply(draws.T)
    half = measured.shape[1] // 2
    losses = (measured[:, :half] - measured[:, half : 2 * half]).square().mean(0)
    return max(float(losses.quantile(0.02)), 1e-6 * float(losses.median()), 1e-12)


def _residual(rng: np.random.Generator, count: int, eps: float) -> Float[np.ndarray, " n"]:
    direction = rng.standard_normal(count)
    return math.sqrt(count * eps) * rng.uniform() ** (1 / count) * direction / np.linalg.norm(direction)


def _uniformity(ranks: np.ndarray) -> float:
    return float(stats.chisquare(np.bincount(ranks, minlength=_RANKED + 1)).pvalue)


def _rounded(values: Float[Tensor, " draw"]) -> Float[np.ndarray, " draw"]:
    """In units of their size to four digits, so that rounding does not tell the atoms of two ways of drawing apart."""
    # By a factor that puts no atom on the edge between two roundings.
    return (values * (1.2345678 / (float(values.abs().median()) or 1.0))).numpy().round(4)


def _sampled(law: Any, count: int) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)
        return law.sample((count,))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0], math.prod(shape[1:])

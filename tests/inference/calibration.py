"""Simulation-based calibration: ranks of the truth among posterior draws (Talts et al. 2018).

Draw the truth from the prior, measure it, infer: the rank of a functional of the truth among independent posterior
draws is uniform, for every prior, activation and exact method. At ε > 0 the method must be given the exact values plus
a residual uniform in the ball of radius √(nε): given W the event {L_train < ε} is that of such a residual, so truth and
draws are then exchangeable. A functional may use A, y and W, not the truth; a tensor is seen as its first unfolding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from problems import CPU
from scipy import stats

from bayesgc.inference import NUTS, Control, Criterion, Request, Run
from bayesgc.models import Factorization
from bayesgc.models.factorization.collapse import collapse
from bayesgc.task import ArrayTask

DRAWS = 9
"""Posterior draws that a truth is ranked among, one a chain: ten equally likely ranks."""

Functional = Callable[[ArrayTask, np.ndarray], float]
FUNCTIONALS: dict[str, Functional] = {
    "entry": lambda task, matrix: float(matrix[0, 1]),
    "nuclear norm": lambda task, matrix: float(np.linalg.norm(matrix, "nuc")),
    "last row": lambda task, matrix: float(np.linalg.norm(matrix[-1])),
    "training loss": lambda task, matrix: float(
        np.mean((task.measurements.dense() @ matrix.ravel() - task.targets) ** 2)
    ),
}
"""The training loss is that of the exact fit at ε = 0, and is left out there."""


@dataclass(frozen=True)
class Simulation:
    """A model and measurements to calibrate a method on. ``noise`` leaves the residual out when it is False."""

    model: Factorization
    task: ArrayTask
    eps: float
    noise: bool = True

    @property
    def functionals(self) -> list[str]:
        return [name for name in FUNCTIONALS if self.eps > 0 or name != "training loss"]

    def replicate(self, seed: int) -> tuple[Criterion, np.ndarray]:
        """A truth from the prior, and what is to be conditioned on its measurements."""
        rng = np.random.default_rng([71, seed])
        whitened = self.model.whiten(self.task.shape)
        normals = torch.from_numpy(rng.standard_normal((whitened.size, 1)))
        truth = whitened.vectors(normals)[:, 0].numpy()
        targets = self.task.measurements.dense() @ truth
        if self.noise:
            targets = targets + self._residual(rng)
        task = replace(self.task, targets=targets, truth=None)
        collapsed = collapse(self.model, task.shape)
        whitened = whitened if collapsed is None else collapsed.whitened
        criterion = Criterion(task, whitened, self.eps, CPU, torch.float32, collapsed)
        return criterion, truth.reshape(task.unfolding)

    def _residual(self, rng: np.random.Generator) -> np.ndarray:
        n = self.task.measurements.count
        direction = rng.standard_normal(n)
        radius = math.sqrt(n * self.eps) * rng.uniform() ** (1 / n)
        return radius * direction / np.linalg.norm(direction)


def independent_draws(run: Run, rng: np.random.Generator) -> np.ndarray:
    """One draw from each of `DRAWS` chains, which islands and chains are.

    Raises:
        RuntimeError: where a run has too few; leaving such truths out would bend the ranks.
    """
    if run.posterior is None or len(run.posterior.end_to_end) < DRAWS:
        raise RuntimeError(f"{run.method} gave fewer than {DRAWS} chains: {run.message}")
    matrices = run.posterior.end_to_end.double().numpy()
    chains = rng.choice(len(matrices), DRAWS, replace=False)
    return matrices[chains, rng.integers(matrices.shape[1], size=DRAWS)]


def rank(truth: float, draws: Sequence[float], rng: np.random.Generator) -> int:
    """How many draws lie below the truth, ties broken at random."""
    below, ties = sum(draw < truth for draw in draws), sum(draw == truth for draw in draws)
    return below + int(rng.integers(ties + 1))


def budget(method: Any, draws: int) -> Control:
    """Five minutes; NUTS stops at the first length of its chains, from each of which ranks need one draw."""
    control = Control(max_seconds=300)
    if isinstance(method, NUTS):
        first = DRAWS * (method.warmup + draws)
        control.report = lambda progress: control.interrupt() if (progress.total or 0) > first else None
    return control


def ranks(simulation: Simulation, method: Any, replications: int, first: int = 0) -> dict[str, np.ndarray]:
    """The ranks of each functional over that many truths."""
    found: dict[str, list[int]] = {name: [] for name in simulation.functionals}
    for seed in range(first, first + replications):
        criterion, truth = simulation.replicate(seed)
        draws = 5 if isinstance(method, NUTS) else 20
        wanted = Request(seed=seed, precision=1.0, chains=DRAWS, draws=draws)
        run = method.run(criterion, wanted, budget(method, draws))
        rng = np.random.default_rng([72, seed])
        matrices = independent_draws(run, rng).reshape(DRAWS, *criterion.task.unfolding)
        for name, own in found.items():
            value = FUNCTIONALS[name]
            task = criterion.task
            own.append(rank(value(task, truth), [value(task, matrix) for matrix in matrices], rng))
    return {name: np.array(own) for name, own in found.items()}


def uniformity(found: np.ndarray) -> float:
    """The p-value of a χ² test of uniform ranks."""
    return float(stats.chisquare(np.bincount(found, minlength=DRAWS + 1)).pvalue)


def worst(found: dict[str, np.ndarray]) -> float:
    """The smallest p-value over functionals, times their number."""
    return min(1.0, len(found) * min(uniformity(own) for own in found.values()))


def pairwise(factors: dict[str, list[Any]], allowed: Callable[[dict[str, Any]], bool]) -> Iterator[dict[str, Any]]:
    """Cells in which every allowed pair of levels of two factors meets, by greedy choice."""
    cells = [dict(zip(factors, levels, strict=True)) for levels in product(*factors.values())]
    cells = [cell for cell in cells if allowed(cell)]
    open_pairs = {pair for cell in cells for pair in pairs(cell)}
    while open_pairs:
        best = max(cells, key=lambda cell: len(open_pairs & pairs(cell)))
        open_pairs -= pairs(best)
        yield best


def pairs(cell: dict[str, Any]) -> set[tuple[Any, Any]]:
    """The pairs of levels that meet in a cell."""
    return set(combinations(cell.items(), 2))


def plot_ranks(cells: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Histograms of ranks, a row for each cell and a column for each functional, with a 99 % band."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from bayesgc.analysis.plots.look import COLOURS, LOOK

    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(7.2, 0.5 + 0.5 * len(cells)), layout="constrained")
        grid = figure.subplots(len(cells), len(FUNCTIONALS), sharex=True, squeeze=False)
        for row, (label, found) in zip(grid, cells.items(), strict=True):
            row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=6)
            for axes, name in zip(row, FUNCTIONALS, strict=True):
                axes.set_yticks([])
                if axes in grid[0]:
                    axes.set_title(name)
                if name not in found:
                    axes.set_visible(axes in grid[0] or axes in grid[-1])
                    continue
                low, high = stats.binom.interval(0.99, len(found[name]), 1 / (DRAWS + 1))
                axes.axhspan(low, high, color=COLOURS["prior"], alpha=0.3, lw=0)
                axes.bar(range(DRAWS + 1), np.bincount(found[name], minlength=DRAWS + 1), color=COLOURS["posterior"])
        for axes in grid[-1]:
            axes.set_xlabel("rank of the truth")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)

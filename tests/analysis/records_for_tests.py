"""Small synthetic records of inference, random but seeded, for the tests of what is made of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
import xarray as xr

import bayesgc.task as tasks
from bayesgc.analysis.tree.datatree import assemble
from bayesgc.inference.records import (
    Descent,
    DescentCurve,
    Draws,
    Estimate,
    Levels,
    Outcome,
    Passage,
    Run,
    Summary,
)
from bayesgc.task import ArrayTask, ObservedCells, Reference

CHAINS, DRAWS, RESTARTS = 4, 60, 12


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sensing_task() -> ArrayTask:
    return tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=1)


def table_task() -> ArrayTask:
    """A labelled table of unknown truth, 4×3, with three empty cells, in units of its own."""
    values = np.arange(12, dtype=np.float64).reshape(4, 3)
    units = tasks.Units(center=np.array([[100.0, 10.0, 1.0]]), scale=np.array([[50.0, 5.0, 0.5]]))
    cells = np.setdiff1d(np.arange(12), [1, 5, 9])
    return ArrayTask(
        kind="data",
        shape=(4, 3),
        measurements=ObservedCells((4, 3), cells),
        targets=(values.reshape(-1)[cells] - 5.5) / 3.5,
        truth=None,
        description={"file": "table.csv"},
        coords={"row": ["Ada", "Bo", "Cy", "Dé"], "col": ["mass", "age", "µ"]},
        units=units,
    )


def matrices(task: ArrayTask, lead: tuple[int, ...], spread: float, seed: int) -> torch.Tensor:
    center = torch.zeros(task.shape) if task.truth is None else torch.from_numpy(task.truth).float()
    noise = torch.randn(*lead, *task.shape, generator=generator(seed))
    # Lognormal scales spread losses out, with a tail that lets their means be believed.
    scale = torch.exp(0.3 * torch.randn(*lead, 1, 1, generator=generator(seed + 1)))
    return center + spread * scale * noise


def quantities(task: ArrayTask, end_to_end: torch.Tensor) -> dict[str, torch.Tensor]:
    lead = end_to_end.shape[: -len(task.shape)]
    vectors = end_to_end.reshape(-1, math.prod(task.shape)).T.contiguous()
    singular = torch.linalg.svdvals(end_to_end)
    share = singular / singular.sum(-1, keepdim=True)
    found = {
        "train_loss": task.train_loss(vectors),
        "gen_loss": task.gen_loss(vectors),
        "error": task.error(vectors),
    }
    return {name: values.reshape(lead) for name, values in found.items() if values is not None} | {
        "effective_rank": torch.exp(-(share * share.log()).sum(-1)),
        "nuclear_norm": singular.sum(-1),
        "singular_value": singular,
    }


def summary(values: torch.Tensor) -> Summary:
    flat = values.double().flatten().numpy()
    q05, q50, q95 = (float(q) for q in np.quantile(flat, [0.05, 0.5, 0.95]))
    return Summary(float(flat.mean()), float(flat.std()), float(flat.std() / math.sqrt(flat.size)), q05, q50, q95)


def draws(task: ArrayTask, spread: float, seed: int, *, weights: bool = False) -> Draws:
    end_to_end = matrices(task, (CHAINS, DRAWS), spread, seed)
    values = quantities(task, end_to_end)
    sites = {"W1": (CHAINS, DRAWS, 5, 3), "scale": (CHAINS, DRAWS)}
    return Draws(
        end_to_end,
        values,
        {name: summary(value) for name, value in values.items() if value.ndim == 2},
        {"acceptance_rate": torch.rand(CHAINS, DRAWS, generator=generator(seed + 2))},
        {name: torch.randn(size, generator=generator(seed + 3)) for name, size in sites.items()} if weights else None,
    )


def levels(task: ArrayTask, eps: float) -> Levels:
    count = 8
    threshold = np.concatenate([[np.inf], np.geomspace(0.3, eps, count - 1)])
    known = task.zero_gen_loss is not None
    gen_loss = np.geomspace(0.25, 0.02, count) if known else np.full(count, np.nan)
    return Levels(
        threshold=threshold,
        log_volume=-1.2 * np.arange(count),
        log_volume_mcse=0.03 * np.arange(count) ** 0.5,
        primary=gen_loss,
        primary_mcse=0.03 * gen_loss,
        acceptance=np.full(count, 0.25),
        ancestors=np.linspace(1000, 200, count),
    )


def run(task: ArrayTask, *, posterior: Draws | None, outcome: Outcome = Outcome.CONVERGED) -> Run:
    eps = 0.0035
    volume = Estimate(None, None, (None, -12.0)) if posterior is None else Estimate(-8.4, 0.08, (-8.57, -8.23))
    return Run(
        method="splitting",
        outcome=outcome,
        message=outcome.advice,
        eps=eps,
        posterior=posterior,
        log_volume=volume,
        log_evidence=None,
        levels=levels(task, eps) if posterior is not None else None,
        diagnostics={"islands": 16, "angle": 0.3, "lost": math.nan, "kernel": "pcn"},
        evaluations=1_234_567,
        seconds=3.25,
    )


def descent(task: ArrayTask, spread: float, *, converged: int = RESTARTS) -> Descent:
    end_to_end = matrices(task, (RESTARTS,), spread, 31)
    return Descent(
        configuration={"optimizer": "group-rmsprop", "lr": 0.01},
        end_to_end=end_to_end,
        quantities=quantities(task, end_to_end),
        converged=torch.arange(RESTARTS) < converged,
        steps=torch.arange(RESTARTS) * 10,
        seconds=1.5,
        at_eps=passage(task, spread, converged),
        curve=curve(task),
        diverged=torch.zeros(RESTARTS, dtype=torch.bool),
    )


def passage(task: ArrayTask, spread: float, reached: int) -> Passage:
    """The same restarts at ε, three times as far from the truth as at their end."""
    end_to_end = matrices(task, (RESTARTS,), 3 * spread, 32)
    there = torch.arange(RESTARTS) < reached
    found = quantities(task, end_to_end)
    for values in (end_to_end, *found.values()):
        values[~there] = torch.nan
    return Passage(end_to_end, found, there, torch.where(there, 5, -1))


def curve(task: ArrayTask) -> DescentCurve:
    """Losses that fall with the threshold; the last restart passes none of the lower half."""
    threshold = np.geomspace(1.0, 1e-6, 25)
    train = np.repeat(0.95 * threshold[None], RESTARTS, axis=0)
    train[-1, 12:] = np.nan
    return DescentCurve(threshold, train, np.full_like(train, np.nan) if task.truth is None else 2 * train)


def mode(task: ArrayTask, *, converged: int = RESTARTS) -> Descent:
    """A spread of modes, the third of which is the most probable of all and the second of those that fitted."""
    energy = torch.cat([torch.tensor([7.5, 7.0, 6.5]), torch.linspace(8.0, 9.0, RESTARTS - 3)]).double()
    return dataclasses.replace(
        descent(task, 0.02, converged=converged), configuration={"restarts": RESTARTS}, energy=energy, seconds=0.5
    )


def references(task: ArrayTask) -> dict[str, Reference]:
    def point(matrix: np.ndarray) -> Reference:
        vectors = torch.from_numpy(matrix.reshape(-1, 1))
        gen = task.gen_loss(vectors)
        return Reference(matrix, float(task.train_loss(vectors)), None if gen is None else float(gen))

    fitted = np.linalg.lstsq(task.measurements.dense(), task.targets, rcond=None)[0].reshape(task.shape)
    points = {"zero": point(np.zeros(task.shape)), "least_squares": point(fitted), "nuclear_norm": point(0.9 * fitted)}
    return points if task.truth is None else points | {"chance": Reference(None, None, 0.08)}


def configuration(task: ArrayTask) -> dict[str, Any]:
    return {
        "task": {
            **task.description,
            "kind": task.kind,
            "shape": list(task.shape),
            "measurements": task.measurements.count,
        },
        "model": {
            "family": "matrix factorization",
            "depth": 8,
            "width": 5,
            "activation": "linear",
            "prior": "gaussian",
            "scaling": "fan-out",
            "normalize": True,
        },
        "method": {"name": "splitting", "particles": 2000, "bound": math.inf},
        "precision": 0.05,
    }


def tree(task: ArrayTask | None = None, *, weights: bool = False, with_gd: bool = True, **changes: Any) -> xr.DataTree:
    """A whole result; ``changes`` replace arguments of ``assemble``, or, as ``accepted=False``, drop the posterior."""
    task = sensing_task() if task is None else task
    accepted = changes.pop("accepted", True)
    outcome = changes.pop("outcome", Outcome.CONVERGED)
    posterior = draws(task, 0.08, 11, weights=weights) if accepted else None
    arguments: dict[str, Any] = {
        "configuration": configuration(task),
        "prior": dataclasses.replace(draws(task, 0.4, 21), sample_stats={}),
        "run": run(task, posterior=posterior, outcome=outcome),
        "gd": descent(task, 0.01) if with_gd else None,
        "references": references(task),
        "seconds": {"total": 5.0, "sampling": 3.25, "gd": 1.5},
        "seed": 2**70,
        "reasons": {"map": "a normalised output has no mode"},
    }
    return assemble(task, **(arguments | changes))

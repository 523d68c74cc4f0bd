"""Small synthetic results of labelled examples, random but seeded: networks whose outputs are labels and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from records_for_tests import generator, summary

from bayesgc.analysis.tree.datatree import assemble
from bayesgc.inference.records import Curve, Descent, Draws, Estimate, Levels, Outcome, Passage, Run
from bayesgc.task.labelled.labelled import LabelledTask, classification, regression
from bayesgc.task.task import Reference

ISLANDS, PARTICLES, RESTARTS, EXAMPLES, TESTS = 8, 60, 12, 10, 50


def inputs(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 4))


def classes_task(*, tested: bool = True, fit: str = "errors", **changes: Any) -> LabelledTask:
    X, Xt = inputs(EXAMPLES, 1), inputs(TESTS, 2)
    y, yt = ((each[:, 0] > 0).astype(int) for each in (X, Xt))
    return classification(X, y, test=(Xt, yt) if tested else None, fit=fit, **changes)


def numbers_task() -> LabelledTask:
    X, Xt = inputs(EXAMPLES, 1), inputs(TESTS, 2)
    return regression(X, X[:, 0], test=(Xt, Xt[:, 0]))


def outputs(task: LabelledTask, labels: np.ndarray, lead: tuple[int, ...], noise: float, seed: int) -> torch.Tensor:
    """The labels' codes and noise: (*lead, example, output)."""
    if task.classes is None:
        codes = torch.from_numpy(labels).float()[:, None]
    else:
        codes = torch.eye(len(task.classes))[torch.from_numpy(labels)] - 0.5
    # Each draw has a noise of its own size, so that test errors spread as those of real networks do.
    size = noise * torch.exp(0.5 * torch.randn(*lead, 1, 1, generator=generator(seed + 1)))
    return codes + size * torch.randn(*lead, *codes.shape, generator=generator(seed))


def measured(task: LabelledTask, lead: tuple[int, ...], fit: float, test: float, seed: int) -> tuple[Any, Any]:
    """Outputs at the training inputs with noise of ``fit``, and all that is reported of them with noise of ``test``."""
    train = outputs(task, task.labels, lead, fit, seed)
    flat = train.flatten(len(lead)).flatten(0, len(lead) - 1).T.contiguous()
    held_out = None
    if task.test_labels is not None:
        held_out = outputs(task, task.test_labels, lead, test, seed + 7)
        held_out = held_out.flatten(len(lead)).flatten(0, len(lead) - 1).T.contiguous()
    found = task.measures(flat, held_out)
    return train, {name: each.unflatten(0, lead) for name, each in found.items()}


def draws(task: LabelledTask, fit: float, test: float, seed: int, *, islands: bool = False) -> Draws:
    train, found = measured(task, (ISLANDS, PARTICLES), fit, test, seed)
    index = torch.arange(ISLANDS)[:, None].expand(ISLANDS, PARTICLES).contiguous()
    stats = {"island": index, "island_log_volume": torch.zeros(ISLANDS, PARTICLES, dtype=torch.float64)}
    summaries = {name: summary(each) for name, each in found.items() if each.ndim == 2}
    return Draws(train, found, summaries, stats if islands else {})


def levels(task: LabelledTask) -> Levels:
    count = 5
    error = np.geomspace(0.5, 0.2, count)
    return Levels(
        threshold=np.array([np.inf, 3.4, 1.2, 0.5, 0.0 if task.fit == "train_errors" else 0.3]),
        log_volume=-1.1 * np.arange(count),
        log_volume_mcse=0.02 * np.arange(count) ** 0.5,
        primary=error,
        primary_mcse=0.01 * error,
        acceptance=np.array([1.0, 1.0, 0.6, 0.4, 0.25]),
        ancestors=np.linspace(1000, 200, count),
    )


def curve(*, better: bool = True) -> Curve:
    """Ten readings, from nine errors at most down to none; if ``better``, the test error falls with them."""
    allowed = np.arange(EXAMPLES - 1, -1, -1.0)
    volume = [Estimate(-0.5 * (9 - k), 0.02, (-0.5 * (9 - k) - 0.04, -0.5 * (9 - k) + 0.04)) for k in allowed]
    error = 0.2 + 0.03 * (allowed if better else 9 - allowed)
    return Curve(allowed, volume, [Estimate(each, 0.002, (each - 0.004, each + 0.004)) for each in error])


def run(task: LabelledTask, posterior: Draws | None, eps: float, outcome: Outcome, found: Curve | None) -> Run:
    known = Estimate(-4.5, 0.03, (-4.56, -4.44))
    return Run(
        method="splitting",
        outcome=outcome,
        message=outcome.advice,
        eps=eps,
        posterior=posterior,
        log_volume=Estimate(None, None, (None, -12.0)) if posterior is None else known,
        log_evidence=None,
        levels=None if posterior is None else levels(task),
        diagnostics={"islands": ISLANDS},
        evaluations=1000,
        seconds=1.0,
        curve=found if task.fit == "train_errors" and posterior is not None else None,
    )


def descent(task: LabelledTask, *, first: float = 1.0, end: float = 0.2, converged: int = RESTARTS) -> Descent:
    """Restarts whose outputs at the test inputs have noise of ``first`` at their first fit and ``end`` at their end."""
    output, found = measured(task, (RESTARTS,), 0.01, end, 31)
    passed, there = measured(task, (RESTARTS,), 0.01, first, 41)
    reached = torch.arange(RESTARTS) < converged
    for each in (passed, *there.values()):
        each[~reached] = torch.nan
    return Descent(
        configuration={"optimizer": "gd", "lr": 0.01, "batch": 2},
        end_to_end=output,
        quantities=found,
        converged=reached,
        steps=torch.arange(RESTARTS) * 10,
        seconds=1.5,
        at_eps=Passage(passed, there, reached, torch.where(reached, 5, -1)),
        diverged=torch.zeros(RESTARTS, dtype=torch.bool),
    )


def references(task: LabelledTask) -> dict[str, Reference]:
    return dict(task.references())


def configuration(task: LabelledTask) -> dict[str, Any]:
    model = {"family": "mlp", "width": [16, 8], "activation": "relu", "bias": False}
    model |= {"prior": "gaussian", "scaling": "fan-in"}
    return {"task": task.facts, "model": model, "method": {"name": "splitting"}, "precision": 0.05, "gd": {}}


def labelled(task: LabelledTask | None = None, *, with_gd: bool = True, **changes: Any) -> xr.DataTree:
    """A whole result; ``accepted=False`` drops the posterior, ``better=False`` turns the curve over."""
    task = classes_task() if task is None else task
    posterior = draws(task, 0.01, 1.0, 11, islands=True) if changes.pop("accepted", True) else None
    eps, outcome = changes.pop("eps", 0.0), changes.pop("outcome", Outcome.CONVERGED)
    found = curve(better=changes.pop("better", True))
    arguments: dict[str, Any] = {
        "configuration": configuration(task),
        "prior": draws(task, 1e3, 1e3, 21),
        "run": run(task, posterior, eps, outcome, found),
        "gd": descent(task) if with_gd else None,
        "references": references(task),
        "seconds": {"total": 5.0, "sampling": 3.25, "gd": 1.5},
        "seed": 3,
        "reasons": {"map": "the task is labelled examples"},
    }
    return assemble(task, **(arguments | changes))

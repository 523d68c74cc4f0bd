"""Networks over many teachers and seeds: calibrated ranks and predictions, and intervals that cover what they should.

All of it takes minutes: ``pytest -m slow -n 0 -rP tests/inference/test_network_proofs.py``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from calibration import DRAWS, rank, worst
from problems import CPU, condition
from scipy import stats
from test_networks import clusters, criterion

from bayesgc.inference import Control, Criterion, Rejection, Request, Splitting
from bayesgc.models import MLP
from bayesgc.task import LabelledTask, load, teacher

pytestmark = pytest.mark.usefixtures("unchecked")

CASES = Path(__file__).parents[1] / "cases"
METHOD = Splitting(particles=150, moves=4)
TEACHERS, SEEDS = 150, 100


# --- teachers ---------------------------------------------------------------------------------------------------------

MODEL = MLP((6,), "tanh", bias=True)
FUNCTIONALS = {
    "smallest margin": lambda outputs, signs: float((signs * (outputs[:, 1] - outputs[:, 0])).min()),
    "first difference": lambda outputs, signs: float(outputs[0, 1] - outputs[0, 0]),
    "size": lambda outputs, signs: float(np.linalg.norm(outputs)),
    "mean output": lambda outputs, signs: float(outputs.mean()),
}
"""Of the outputs at the training inputs; none looks at a test label."""


def teacher_of(seed: int) -> tuple[LabelledTask, np.ndarray]:
    """Eight inputs, the labels that a network of the prior gives them and 60 others, and its outputs at the eight."""
    task = teacher(network=MODEL, features=3, train=8, test=60, seed=seed)
    whitened = MODEL.whiten(task.domain)
    source = torch.Generator().manual_seed(10_000 + seed)
    normals = whitened.draw(source, 1, device=CPU, dtype=torch.float32)
    outputs = whitened.vectors(normals).unflatten(0, task.shape)[..., 0].numpy()
    tested = whitened.held_out(normals, source).unflatten(0, (60, 2))[..., 0].numpy()
    return replace(task, labels=outputs.argmax(1), test_labels=tested.argmax(1)), outputs


def simulated(eps: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Ranks of each functional of the teachers among draws that fit, and confidence less accuracy of each vote."""
    ranks: dict[str, list[int]] = {name: [] for name in FUNCTIONALS}
    gaps = []
    for seed in range(TEACHERS):
        task, truth = teacher_of(seed)
        problem = Criterion(task, MODEL.whiten(task.domain), eps, CPU, torch.float32)
        found = METHOD.run(problem, Request(seed=seed, precision=1.0, chains=16, draws=40), Control(max_seconds=300))
        rng, draws = np.random.default_rng([73, seed]), found.posterior.end_to_end.numpy()
        chains = rng.choice(len(draws), DRAWS, replace=False)
        chosen, signs = draws[chains, rng.integers(draws.shape[1], size=DRAWS)], 2 * task.labels - 1
        for name, value in FUNCTIONALS.items():
            ranks[name].append(rank(value(truth, signs), [value(each, signs) for each in chosen], rng))
        share = found.posterior.quantities["prediction"].numpy().reshape(-1, 60).mean(0)
        gaps.append((np.maximum(share, 1 - share) - ((share > 0.5) == task.test_labels)).mean())
    return {name: np.array(each) for name, each in ranks.items()}, np.array(gaps)


def apart(gaps: np.ndarray) -> float:
    """In standard errors over teachers, as the labels of one go together."""
    return float(gaps.mean() / (gaps.std(ddof=1) / np.sqrt(len(gaps))))


@pytest.mark.slow
def test_teachers_are_calibrated():
    ranks, gaps = simulated(0.0)
    p, z = worst(ranks), apart(gaps)
    print(f"{TEACHERS} teachers: p of uniform ranks {p:.3f}, confidence less accuracy {gaps.mean():.4f}, z {z:.2f}")  # noqa: T201
    assert p > 1e-3
    assert abs(z) < 3.3


@pytest.mark.slow
def test_a_posterior_that_lets_errors_pass_is_caught():
    """The negative control: given at most two errors, where the labels of a teacher have none."""
    ranks, gaps = simulated(2.0)
    assert worst(ranks) < 1e-4
    assert apart(gaps) < -3.3


# --- coverage ---------------------------------------------------------------------------------------------------------


def shared() -> tuple[Criterion, dict[str, tuple[float, float]]]:
    """A case whose answers were computed apart from this package."""
    facts = json.loads((CASES / "net_cases.json").read_text(encoding="utf-8"))["net-shared-1"]
    task = load(CASES / "net-shared-1.npz")
    problem = criterion(task, MLP(tuple(facts["width"]), facts["activation"], scaling=facts["scaling"]))
    return problem, {name: (facts[name], facts[f"{name}_se"]) for name in ("log_volume", "test_error")}


def small() -> tuple[Criterion, dict[str, tuple[float, float]]]:
    """Networks with biases on eight examples, by a long run of rejection."""
    problem = criterion(clusters(8), MLP((5,), "tanh", bias=True, scaling="unit"), 0.0)
    run = condition(Rejection(), problem, precision=2e-3, seed=10**6, draws=10)
    error, volume = run.posterior.summaries["test_error"], run.log_volume
    return problem, {"log_volume": (volume.value, volume.mcse), "test_error": (error.mean, error.mcse)}


PROBLEMS = {"net-shared-1": cache(shared), "small": cache(small)}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_intervals_of_networks_cover(name):
    problem, known = PROBLEMS[name]()
    hits, sharpness = dict.fromkeys(known, 0), []
    for seed in range(SEEDS):
        run = METHOD.run(problem, Request(seed=seed, precision=1.0, chains=16, draws=20), Control(max_seconds=300))
        error, volume = run.posterior.summaries["test_error"], run.log_volume
        reach = stats.t.ppf(0.975, 15) * error.mcse
        found = {"log_volume": volume.ci95, "test_error": (error.mean - reach, error.mean + reach)}
        for quantity, (low, high) in found.items():
            hits[quantity] += low <= known[quantity][0] <= high
            sharpness.append(known[quantity][1] / ((high - low) / 2))
    print(f"{name}: of {SEEDS} intervals cover {hits}; sharpness of the truth {np.mean(sharpness):.3f}")  # noqa: T201
    assert np.mean(sharpness) < 0.15
    # Binomial(100, 0.95) lies within 88 to 99 with probability 0.99.
    assert all(88 <= count <= 99 for count in hits.values()), hits

"""The volume of an island is unbiased, whatever its layers' moves: the mean over many islands is the true one.

A schedule is found once and frozen; islands share nothing but that. The long proof finds one anew for each of two
hundred seeds:

    BAYESGC_UNCHECKED=1 pytest -m slow -n 2 -rP tests/inference/test_unbiased.py
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from collapsed_problems import collapsed_problem
from problems import MILD_TASK, errors_apart
from references import PROBLEMS, truth

from bayesgc.inference import Control, Criterion, Request, Splitting
from bayesgc.inference.islands.ladders import ThresholdLadder
from bayesgc.inference.islands.passage import Passage
from bayesgc.inference.islands.pilot import Pilot
from bayesgc.inference.records import Estimate
from bayesgc.inference.target import crank_nicolson
from bayesgc.models import MatrixFactorization
from bayesgc.models.factorization.layered import LayerSweep

pytestmark = pytest.mark.usefixtures("unchecked")
SEEDS, TOGETHER, ISLANDS = 200, 2, 40

DEEP = collapsed_problem(MatrixFactorization(4, 4), MILD_TASK, 0.005)
BY_REJECTION = Estimate(-5.7606, 0.0033, (None, 0.0))
"""The log volume of it from some 3·10⁷ draws of the prior."""


def island_volumes(target: Criterion, truth: float, seed: int, islands: int, particles: int) -> np.ndarray:
    """Volumes of islands on the schedule of one pilot, over the true volume; all the way down by moves."""
    method = Splitting(particles=particles, moves=2)
    assert len(target.blocks) > 1
    climb = replace(method.climb(target), survey=None)
    pilot = Pilot(target, ThresholdLadder(target.eps, method.survival, target.task.nats), climb, seed, Control())
    passage = Passage(target, pilot.go_on(), climb, Request(chains=2, seed=seed), Control())
    assert passage.schedule.failure is None
    assert len(passage.schedule.rungs) > 2
    return np.exp(np.array([each.log_volume for each in passage.islands(list(range(islands)))]) - truth)


def apart(volumes: np.ndarray, error: float = BY_REJECTION.mcse) -> float:
    """Standard errors between the mean of independent volumes and the true one, which has an error too."""
    return errors_apart(volumes.mean(), 1.0, volumes.std(ddof=1) / math.sqrt(len(volumes)), error)


def deep_volumes() -> np.ndarray:
    return island_volumes(DEEP, BY_REJECTION.value, seed=0, islands=ISLANDS, particles=800)


def test_islands_that_move_layer_by_layer_are_unbiased() -> None:
    volumes = deep_volumes()
    assert apart(volumes) < 4
    # What is not unbiased is the logarithm.
    assert np.log(volumes).mean() < np.log(volumes.mean())


def drifting(self: Criterion, normals: torch.Tensor, angle: float, sources: list[torch.Generator]) -> torch.Tensor:
    """A step whose noise is not centred."""
    return crank_nicolson(normals, angle, sources) + 0.1 * math.sin(angle)


def test_a_move_that_does_not_keep_the_prior_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Criterion, "propose", drifting)
    assert apart(deep_volumes()) > 5


def test_a_pass_that_forgets_the_layers_it_moved_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    started = LayerSweep.__init__
    monkeypatch.setattr(
        LayerSweep, "__init__", lambda sweep, factors, normals: started(sweep, factors, normals.clone())
    )
    assert apart(deep_volumes()) > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_volumes_are_unbiased_over_seeds(name: str) -> None:
    known = truth(name)
    means = [island_volumes(PROBLEMS[name], known.log_volume, each, TOGETHER, 100).mean() for each in range(SEEDS)]
    volumes = np.array(means)
    error = volumes.std(ddof=1) / math.sqrt(SEEDS)
    print(f"{name}: mean of {SEEDS} volumes over the true one {volumes.mean():.3f} ± {error:.3f}")  # noqa: T201
    assert error < 0.1
    assert apart(volumes, known.log_volume_error) < 4

"""The threshold that the data suggest, against a closed form and against noise that was put in."""

from __future__ import annotations

import math
import signal

import numpy as np
import pytest
import torch
from scipy import optimize, stats

import bayesgc as gc
from bayesgc.api import infer_together
from bayesgc.inference import Control, Criterion
from bayesgc.inference.collapsed.noise import likeliest_threshold
from bayesgc.models.factorization.collapse import collapse
from bayesgc.task import ArrayTask, ObservedCells
from bayesgc.validate import InputError


def cells(values: np.ndarray, share: float, seed: int) -> ArrayTask:
    """Some cells of a matrix as a task of unknown truth."""
    count = round(share * values.size)
    observed = np.sort(np.random.default_rng(seed).permutation(values.size)[:count])
    return ArrayTask("data", values.shape, ObservedCells(values.shape, observed), values.ravel()[observed])


def suggested(model: gc.MatrixFactorization, task: ArrayTask, seed: int = 0, *, noise: bool = True) -> float:
    collapsed = collapse(model, task.shape)
    whitened = model.whiten(task.shape) if collapsed is None else collapsed.whitened
    criterion = Criterion(task, whitened, 1.0, torch.device("cpu"), torch.float32, collapsed)
    return likeliest_threshold(criterion, seed, Control(None, None, lambda progress: None), noise=noise).eps


def test_at_depth_one_it_is_the_top_of_a_noncentral_chi_square() -> None:
    """W is Gaussian of variance 1/rows, so nL_train is (1/rows)·χ'²_n; data three times as large must be noise."""
    rows, n = 8, 40
    task = cells(3 * np.random.default_rng(1).normal(size=(rows, 8)) / math.sqrt(rows), n / 64, 2)
    center = rows * float((task.targets**2).sum())

    def density(eps: float) -> float:
        return float(stats.ncx2.logcdf(rows * n * eps, n, center) - 0.5 * n * math.log(eps))

    exact = optimize.minimize_scalar(lambda eps: -density(eps), bounds=(0.01, 3.0), method="bounded").x
    found = suggested(gc.MatrixFactorization(depth=1, width=5, normalize=False), task)
    # Near its top the density is flat: what counts is that next to nothing of it is lost.
    assert density(exact) - density(found) < 0.25
    assert density(exact) - density(2 * exact) > 1  # and that this would notice a wrong one
    assert density(exact) - density(exact / 2) > 1


def test_it_finds_the_noise_that_was_put_in() -> None:
    source, rows, noise = np.random.default_rng(3), 12, 0.15
    signal = np.outer(source.normal(size=rows), source.normal(size=10)) / math.sqrt(rows)
    noisy = signal + noise * source.normal(size=signal.shape)
    found = suggested(gc.MatrixFactorization(depth=2, width=1, normalize=False), cells(noisy, 0.8, 4))
    # A variance estimated from about 75 residuals has a standard error of √(2/75) = 16 %.
    assert found == pytest.approx(noise**2, rel=4 * 0.16)
    assert found != pytest.approx(4 * noise**2, rel=4 * 0.16)
    assert found != pytest.approx(noise**2 / 4, rel=4 * 0.16)


def test_data_without_noise_suggest_none() -> None:
    task = gc.completion(rows=4, cols=4, rank=1, measurements=6, seed=0)
    with pytest.raises(InputError, match=r"'evidence', but .*no noise; give eps"):
        suggested(gc.MatrixFactorization(depth=2, width=4, normalize=False), task)
    # Where nobody said that there is noise, the least threshold is what they suggest.
    found = suggested(gc.MatrixFactorization(depth=2, width=4, normalize=False), task, noise=False)
    assert found == pytest.approx(1e-4 * task.zero_train_loss)


def test_an_interruption_of_the_search_is_one_and_no_wrong_input() -> None:
    def interrupt(progress: gc.Progress) -> None:
        signal.raise_signal(signal.SIGINT)

    task, before = gc.completion(rows=4, cols=4, rank=1, measurements=6, seed=0), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        gc.infer(gc.MatrixFactorization(2, 4, normalize=False), task, eps="evidence", report=interrupt)
    assert signal.getsignal(signal.SIGINT) is before


def test_inference_takes_it_by_name_and_says_what_it_took() -> None:
    source = np.random.default_rng(5)
    noisy = np.outer(source.normal(size=6), source.normal(size=5)) / math.sqrt(6) + 0.2 * source.normal(size=(6, 5))
    task, model = cells(noisy, 0.8, 6), gc.MatrixFactorization(depth=2, width=1, normalize=False)
    result = gc.infer(model, task, eps="evidence", method="splitting", gd=False, map=False, chains=4, draws=50)
    assert result.attrs["eps"] == pytest.approx(suggested(model, task))
    assert 0.2 * 0.04 < result.attrs["eps"] < 5 * 0.04


def test_problems_on_the_same_draws_take_it_each_for_itself() -> None:
    source, model = np.random.default_rng(7), gc.MatrixFactorization(depth=1, width=5, normalize=False)
    tasks = [cells(3 * source.normal(size=(4, 4)), 0.7, seed) for seed in (8, 9)]
    together = infer_together([(model, task, "evidence") for task in tasks], max_evaluations=300_000)
    for result, task in zip(together, tasks, strict=True):
        alone = gc.infer(model, task, eps="evidence", method="rejection", gd=False, map=False, max_evaluations=300_000)
        assert result.attrs["eps"] == alone.attrs["eps"] < task.zero_train_loss
        assert gc.result_object(result)["posterior"] == gc.result_object(alone)["posterior"]
        assert result.attrs["evaluations"] == alone.attrs["evaluations"]


def test_what_the_search_spends_is_part_of_the_budget() -> None:
    source = np.random.default_rng(5)
    noisy = np.outer(source.normal(size=6), source.normal(size=5)) / math.sqrt(6) + 0.2 * source.normal(size=(6, 5))
    task, model = cells(noisy, 0.8, 6), gc.MatrixFactorization(depth=2, width=1, normalize=False)
    kept = {"method": "rejection", "gd": False, "map": False, "draws": 5, "precision": 1e-3, "max_evaluations": 800_000}
    found = gc.infer(model, task, eps="evidence", **kept)
    again = gc.infer(model, task, eps=found.attrs["eps"], **kept)
    assert again.attrs["outcome"] == found.attrs["outcome"] == "exhausted"
    draws = [gc.result_object(each)["diagnostics"]["draws"] for each in (found, again)]
    # Rejection spends all that is left, in blocks of 8192; of the search the particles alone are a thousand.
    assert draws[0] < draws[1] - 1000
    for result in (found, again):
        assert 800_000 - 8192 < result.attrs["evaluations"] <= 800_000
    assert found.attrs["evaluations"] > draws[0] + 1000

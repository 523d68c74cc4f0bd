"""Intervals of cells as they would be measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from records_for_tests import quantities, run, sensing_task, table_task, tree

from bayesgc.analysis.predictive import _mixture_quantile, predict
from bayesgc.analysis.tree.summary import result_object
from bayesgc.inference.records import Draws
from bayesgc.task import ArrayTask, ObservedCells
from bayesgc.validate import InputError


def test_a_cell_is_a_mixture_of_the_draws_with_noise_of_their_residuals() -> None:
    result = tree(table_task())
    found = predict(result, level=0.8)
    draws = result["posterior"]["end_to_end"].sel(row="Ada", col="age").values.astype(float).ravel()
    scale = float(result["constant_data"]["scale"].sel(row="Ada", col="age"))
    noise = np.sqrt(result["posterior"]["train_loss"].values.astype(float).ravel()) * scale
    sampled = draws + noise * np.random.default_rng(0).normal(size=(4000, draws.size))
    low, high = np.quantile(sampled, [0.1, 0.9])
    cell = found.sel(row="Ada", col="age")
    # A quantile of a million draws has an error of about a thousandth of the spread.
    assert float(cell["low"]) == pytest.approx(low, abs=0.005 * sampled.std())
    assert float(cell["high"]) == pytest.approx(high, abs=0.005 * sampled.std())
    assert float(cell["mean"]) == pytest.approx(draws.mean())
    without = np.quantile(draws, [0.1, 0.9])
    assert float(cell["high"] - cell["low"]) > 1.05 * np.ptp(without)


def test_an_exact_fit_leaves_no_noise() -> None:
    result = tree(table_task())
    result["posterior"]["train_loss"].values[:] = 0
    found = predict(result).sel(row="Bo", col="µ")
    draws = result["posterior"]["end_to_end"].sel(row="Bo", col="µ").values.astype(float)
    assert [float(found["low"]), float(found["high"])] == pytest.approx(np.quantile(draws, [0.05, 0.95]).tolist())


def test_what_cannot_be_predicted_is_refused() -> None:
    with pytest.raises(InputError, match="observed cells"):
        predict(tree(sensing_task()))
    with pytest.raises(InputError, match="level is 1.2"):
        predict(tree(table_task()), level=1.2)


def test_quantiles_of_mixtures_are_exact_where_their_parts_lie_far_apart_too() -> None:
    # Newton's method alone leaves the bracket on such a staircase; the median of two parts is anywhere between them.
    centers, spreads = np.array([[0.0], [1000.0], [1000.0]]), np.array([[1.0], [1e-9], [1e-9]])
    # 0.15 of the mixture is 0.45 of its first part: Φ⁻¹(0.45) = −0.12566.
    assert _mixture_quantile(centers, spreads, 0.15) == pytest.approx(-0.1256613, abs=1e-5 * 1000)
    assert _mixture_quantile(centers, spreads, 0.9) == pytest.approx(1000.0, abs=1e-3)


ROWS, COLS, HIDDEN, NOISE = 8, 6, 12, 0.3


def noisy_tables(count: int) -> Iterator[tuple[ArrayTask, np.ndarray, np.ndarray]]:
    """Tables θ₁ B₁ + θ₂ B₂ and noise, B known and θ standard normal: the values hidden, and exact draws that fit.

    ε is the noise's variance. A draw of the prior fits where its distance to the least-squares θ is small enough,
    so the draws that fit are those of the prior in an ellipse, which rejection finds.
    """
    source = np.random.default_rng(0)
    for _ in range(count):
        basis = source.normal(size=(2, ROWS * COLS))
        values = source.normal(size=2) @ basis + NOISE * source.normal(size=ROWS * COLS)
        cells = np.sort(source.choice(ROWS * COLS, ROWS * COLS - HIDDEN, replace=False))
        task = ArrayTask("data", (ROWS, COLS), ObservedCells((ROWS, COLS), cells), values[cells])
        theta = source.normal(size=(150_000, 2))
        (normal, best) = np.linalg.qr(basis[:, cells].T)[1], np.linalg.lstsq(basis[:, cells].T, values[cells])[0]
        misfit = np.sum((values[cells] - best @ basis[:, cells]) ** 2)
        losses = (misfit + np.sum(((theta - best) @ normal.T) ** 2, axis=1)) / cells.size
        fitted = theta[losses < 1.15 * NOISE**2] @ basis
        if len(fitted) >= 100:  # where the noise happens to be large, few draws or none fit
            yield task, values, fitted[:400].reshape(1, -1, ROWS, COLS)


def result_of(task: ArrayTask, end_to_end: np.ndarray) -> dict:
    found = torch.from_numpy(end_to_end).float()
    draws = Draws(found, quantities(task, found), {})
    return result_object(tree(task, run=run(task, posterior=draws), with_gd=False))


def test_intervals_cover_what_is_measured_and_those_without_noise_do_not() -> None:
    inside: list[bool] = []
    without: list[bool] = []
    for task, values, draws in noisy_tables(25):
        low, high = np.quantile(draws.reshape(-1, ROWS * COLS), [0.05, 0.95], axis=0)
        for cell in result_of(task, draws)["unobserved"]:
            place = np.ravel_multi_index(cell["index"], (ROWS, COLS))
            inside.append(cell["q05"] <= values[place] <= cell["q95"])
            without.append(low[place] <= values[place] <= high[place])
    assert len(inside) >= 150
    # Of at least 150 cells, 0.80 and 0.97 are three to four binomial standard errors of 0.024 from 0.9.
    assert 0.80 <= np.mean(inside) <= 0.97
    assert np.mean(without) < 0.7  # the negative control

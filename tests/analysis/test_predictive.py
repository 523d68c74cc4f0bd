"""Intervals of cells as they would be measured."""

from __future__ import annotations

import numpy as np
import pytest
from records_for_tests import sensing_task, table_task, tree

from bayesgc.analysis.predictive import predict
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

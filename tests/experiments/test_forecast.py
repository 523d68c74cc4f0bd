"""What is said of a sweep before it runs, and what its picture leaves out."""

from __future__ import annotations

import pytest
import torch

from bayesgc.analysis.plots.sweep import plot_sweep
from bayesgc.experiments import Sweep, forecast
from bayesgc.experiments.dataset import collect
from bayesgc.experiments.store import Store
from bayesgc.inference import Control, Criterion, GradientDescent
from bayesgc.models import MatrixFactorization
from bayesgc.task import sensing


@pytest.mark.parametrize(("method", "times"), [("rejection", 2), ("splitting", 8)])
def test_draws_that_cells_share_are_counted_once(monkeypatch, method, times):
    monkeypatch.setattr(forecast, "_seconds_an_evaluation", lambda model, shape: 1.0)
    options = {"method": method, "max_evaluations": 1000, "gd": False}
    axes = {"depth": [2, 3], "eps": [0.1, 0.2], "task_seed": [0, 1]}
    cells = Sweep(title="", options=options, axes=axes).cells()
    seconds = forecast.seconds_of(cells)
    assert set(seconds) == {cell.key for cell in cells}
    assert sum(seconds.values()) == pytest.approx(1000 * times + 8 * 0.8)


@pytest.mark.parametrize(("depths", "said"), [(range(2, 10), "Many\nthe first 6 of 8 panels"), (range(2, 8), "Many")])
def test_a_picture_says_how_many_panels_it_leaves_out(tmp_path, depths, said):
    sweep = Sweep(title="Many", options={"gd": False}, axes={"width": [4, 8], "depth": depths})
    dataset = collect(sweep, sweep.cells(), Store(tmp_path))
    figure = plot_sweep(dataset, "width")
    assert figure.get_suptitle() == said
    assert len(figure.axes) == 6 * 3  # gradient descent is turned off, and has no row


def test_descent_is_forecast_from_a_short_one():
    """Within a factor of two of the steps that it takes, and all steps where nothing ends it before."""
    task, model = sensing(3, 3, 1, 5, seed=0), MatrixFactorization(depth=2, width=3)
    criterion = Criterion(task, model.whiten(task.shape), 0.0, torch.device("cpu"), torch.float32)
    for lr in (1e-2, 1e-3):  # one that ends within the short one, and one that does not
        method = GradientDescent(lr=lr, restarts=4, init_scale=0.1).resolved(model, task.shape)
        taken = int(method.run(model, criterion, 0, Control()).steps.max())
        assert taken / 2 < forecast._steps_taken(model, task, method) < taken * 2
    endless = GradientDescent(steps=10**7, tol=0.0, restarts=4).resolved(model, task.shape)
    assert forecast._steps_taken(model, task, endless) == 10**7

"""What is said of a sweep before it runs, and what its picture leaves out."""

from __future__ import annotations

import pytest

from bayesgc.analysis.plots.sweep import plot_sweep
from bayesgc.experiments import Sweep, forecast
from bayesgc.experiments.dataset import collect
from bayesgc.experiments.store import Store


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
    assert len(figure.axes) == 6 * 4

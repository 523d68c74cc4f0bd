"""Plots on somebody's axes, and figures that show themselves in a notebook, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from labelled_for_tests import labelled
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from records_for_tests import chained_tree, table_task, tree

import bayesgc as gc
from bayesgc.validate import InputError


def sweep_cells() -> xr.Dataset:
    axes = {"depth": [2, 4], "task_seed": [0, 1]}
    names = ("prior_gen_loss", "posterior_gen_loss", "posterior_gen_loss_mcse", "gd_at_eps_gen_loss", "gd_gen_loss",
             "zero_gen_loss", "log_volume", "log_volume_mcse", "gd_at_eps_converged", "gd_restarts")  # fmt: skip
    return xr.Dataset({name: (tuple(axes), np.ones((2, 2))) for name in names}, coords=axes)


ON_RESULTS = {
    "plot_losses": tree, "plot_curve": tree, "plot_joint": tree, "plot_spectrum": tree, "plot_levels": tree,
    "plot_result": tree, "plot_forest": tree, "plot_cells": lambda: tree(table_task()), "plot_ranks": chained_tree,
    "plot_calibration": labelled, "plot_functions": labelled, "plot_sweep": sweep_cells,
}  # fmt: skip
"""What each public plot draws."""


def test_every_public_plot_is_here() -> None:
    assert ON_RESULTS.keys() == {name for name in gc.__all__ if name.startswith("plot_")}


@pytest.mark.parametrize("name", ON_RESULTS)
def test_a_plot_draws_on_axes_and_leaves_their_neighbours(name: str) -> None:
    figure = Figure(figsize=(7, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot: Callable[..., Any] = getattr(gc, name)
    found = plot(ON_RESULTS[name](), ax=left)
    assert isinstance(found, Axes)
    assert found.get_figure(root=True) is figure
    figure.canvas.draw()
    assert not right.lines + right.collections + right.texts
    assert right in figure.axes
    drawn = [each for each in figure.axes if each is not right]
    assert any(each.lines + each.collections + each.texts for each in drawn)
    middle = right.get_window_extent().x0
    assert all(each.get_window_extent().x1 < middle for each in drawn)


@pytest.mark.parametrize("name", ON_RESULTS)
def test_a_figure_shows_itself_and_pyplot_has_not_heard_of_it(name: str) -> None:
    from matplotlib import pyplot

    figure = getattr(gc, name)(ON_RESULTS[name]())
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == []


def test_axes_without_a_place_in_a_grid_take_what_fits_into_one() -> None:
    figure = Figure()
    assert gc.plot_joint(tree(), ax=figure.add_axes((0.2, 0.2, 0.5, 0.5))).lines
    with pytest.raises(InputError, match="ax has no place in a grid"):
        gc.plot_losses(tree(), ax=figure.add_axes((0.2, 0.2, 0.5, 0.5)))


def test_documentation_says_what_axes_do() -> None:
    assert all("``ax``" in getattr(gc, name).__doc__ or "ax: axes" in getattr(gc, name).__doc__ for name in ON_RESULTS)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ON_RESULTS)
def test_what_is_no_axes_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match=r"^ax is a str; give one of the axes that plt.subplots .* has made.$"):
        getattr(gc, name)(ON_RESULTS[name](), ax="left")


def test_a_heading_has_room_in_a_figure_without_a_layout() -> None:
    figure = Figure(figsize=(9, 4))
    gc.plot_result(tree(), ax=figure.subplots())
    figure.canvas.draw()
    titles = [each._left_title for each in figure.axes]  # which have no public name
    assert any("\n" in each.get_text() for each in titles)
    assert all(each.get_window_extent().y1 <= figure.bbox.y1 for each in titles)

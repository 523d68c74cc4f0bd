"""How often gradient descent finds each function against how probable it is given the fit."""

from __future__ import annotations

from typing import overload

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesgc.analysis.equal_fit import AT_EPS
from bayesgc.analysis.functions import FUNCTION_POINTS, functions
from bayesgc.analysis.plots.canvas import axes_on, check_result, handed_over, unsuited
from bayesgc.analysis.plots.look import COLOURS, in_the_look, title_and_legend
from bayesgc.analysis.tree.groups import fitted, has


@overload
def plot_functions(tree: xr.DataTree, points: int = FUNCTION_POINTS, *, ax: None = None) -> Figure: ...


@overload
def plot_functions(tree: xr.DataTree, points: int = FUNCTION_POINTS, *, ax: Axes) -> Axes: ...


@in_the_look
def plot_functions(tree: xr.DataTree, points: int = FUNCTION_POINTS, *, ax: Axes | None = None) -> Figure | Axes:
    """Each function on the first test examples by its share of the posterior and of the restarts at equal fit.

    Given ``ax``, it draws there, and returns these axes instead of the figure.

    Raises:
        InputError: for what is no result, or a result that lacks what is drawn here.
    """
    check_result("plot_functions", tree)
    if not all(has(tree, group, "prediction") for group in ("posterior", AT_EPS)) or not fitted(tree, AT_EPS).any():
        raise unsuited("plot_functions", "draws that fit, restarts that fitted and what both say of test labels", tree)
    found = functions(tree, min(points, int(tree.attrs["held_out"])))
    axes = axes_on(ax)
    ours, theirs = found["posterior"].values, found["gd"].values
    least = 0.4 / found.attrs["draws"], 0.4 / found.attrs["restarts"]
    both = (ours > 0) & (theirs > 0)
    colour = COLOURS["gd"]
    for shown, fill, name in ((both, colour, "seen by both"), (~both, "none", "seen by one")):
        x, y = np.maximum(ours[shown], least[0]), np.maximum(theirs[shown], least[1])
        axes.scatter(x, y, s=14, lw=0.7, edgecolors=colour, facecolors=fill, label=name if shown.any() else None)
    _error_bars(axes, found, least)
    line = [max(least), 1.0]
    axes.plot(line, line, color=COLOURS["reference"], lw=0.8, ls=(0, (4, 3)), zorder=0, label="equally probable")
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel(f"P(f) given the fit, on {found.attrs['points']} test examples")
    axes.set_ylabel("share of restarts at equal fit")
    title_and_legend(axes, functions_title(found))
    return handed_over(axes, ax)


def _error_bars(axes: Axes, found: xr.Dataset, least: tuple[float, float]) -> None:
    both = found.isel(function=(found["posterior"].values > 0) & (found["gd"].values > 0))
    reach = [np.nan_to_num(both[f"{law}_mcse"].values) for law in ("posterior", "gd")]
    low = [np.minimum(error, 0.95 * both[law].values) for error, law in zip(reach, ("posterior", "gd"), strict=True)]
    axes.errorbar(
        both["posterior"].values, both["gd"].values, xerr=[low[0], reach[0]], yerr=[low[1], reach[1]],
        fmt="none", elinewidth=0.5, color=COLOURS["gd"], alpha=0.6,
        label="± standard error",
    )  # fmt: skip


def functions_title(found: xr.Dataset) -> str:
    """How far the two laws of functions overlap, beside what chance allows."""
    ours, chance = (100 * found.attrs[name] for name in ("overlap", "overlap_by_chance"))
    return f"The laws of functions overlap by {ours:.0f} %\n({chance:.0f} % were descent a draw of the posterior)"

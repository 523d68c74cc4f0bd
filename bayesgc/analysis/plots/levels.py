"""How splitting got there: moves accepted and ancestors left at each level."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from bayesgc.analysis.checks import FEWEST_ANCESTORS, LEAST_ACCEPTANCE
from bayesgc.analysis.measures import SOFT, measures_in
from bayesgc.analysis.plots.canvas import Drawn, canvas, plot_of_result, unsuited
from bayesgc.analysis.plots.look import COLOURS, plain_numbers

_SHOWN = {"acceptance": ("accepted moves", LEAST_ACCEPTANCE), "ancestors": ("ancestors of an island", FEWEST_ANCESTORS)}


@plot_of_result
def plot_levels(tree: xr.DataTree, ax: Axes | None = None) -> Drawn:
    """Acceptance and surviving ancestors against the threshold, with the least that a diagnosis accepts."""
    levels = tree["levels"].to_dataset() if "levels" in tree.children else None
    # The curve of importance has thresholds, but no moves below them.
    seen = np.zeros(0) if levels is None else levels["threshold"].values + levels["acceptance"].values
    known = np.isfinite(seen)
    if levels is None or known.sum() < 2:
        raise unsuited("plot_levels", "a method that climbs levels", tree)
    drawn = canvas(ax)
    panels: Any = drawn.place.subgridspec(2, 1).subplots(sharex=True)
    for axes, (name, (label, least)) in zip(panels, _SHOWN.items(), strict=True):
        eps, found = levels["threshold"].values[known], levels[name].values[known]
        axes.plot(eps, found, color=COLOURS["posterior"], marker="o", ms=2.4)
        axes.axhline(least, color=COLOURS["gd"], lw=0.8, ls=(0, (4, 3)))
        axes.annotate(
            "least", (1, least), xycoords=("axes fraction", "data"), xytext=(-2, 1.5), textcoords="offset points",
            ha="right", fontsize=6.2, color=COLOURS["gd"],
        )  # fmt: skip
        axes.set_ylabel(label)
        axes.set_ylim(0, 1.12 * max(found.max(), least))
    panels[-1].set_xlabel(levels_axis(tree))
    if not measures_in(tree).counted:
        panels[-1].set_xscale("log")
        plain_numbers(panels[-1].xaxis)
    panels[0].set_title(levels_title(levels.isel(level=known)))
    return drawn


def levels_axis(tree: xr.DataTree) -> str:
    """What falls from level to level: with errors also how far they are violated, since counts alone have ties."""
    return f"threshold on {SOFT}" if measures_in(tree).counted else "threshold ε on the training loss"


def levels_title(levels: xr.Dataset) -> str:
    """Whether particles still moved, and came from many places, at the last level."""
    stuck = float(levels["acceptance"].min()) < LEAST_ACCEPTANCE
    few = float(levels["ancestors"][-1]) < FEWEST_ANCESTORS
    if stuck:
        return "The particles hardly move any more"
    return "The particles descend from too few" if few else "Particles move and have many ancestors"

"""A result at a glance, at the width of a page."""

from __future__ import annotations

import xarray as xr
from matplotlib.axes import Axes

from bayesgc.analysis.plots.canvas import Drawn, canvas, plot_of_result
from bayesgc.analysis.plots.curve import curve_of, draw_curve
from bayesgc.analysis.plots.look import PAGE
from bayesgc.analysis.plots.losses import draw_losses
from bayesgc.analysis.tree.summary import result_object


@plot_of_result
def plot_result(tree: xr.DataTree, ax: Axes | None = None) -> Drawn:
    """How well the laws generalise on the left, the curve over fits on the right."""
    drawn, result = canvas(ax, width=PAGE), result_object(tree)
    if curve_of(tree) is None:
        draw_losses(drawn.figure, drawn.place, tree, result)
        return drawn
    if ax is None:
        drawn.figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    grid = drawn.place.subgridspec(1, 2, width_ratios=[1.15, 1.0])
    draw_losses(drawn.figure, grid[0], tree, result)
    draw_curve(drawn.figure, grid[1], tree, result)
    return drawn

"""A result at a glance, at the width of a page."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesgc.analysis.plots.curve import curve_of, draw_curve
from bayesgc.analysis.plots.look import PAGE, in_the_look
from bayesgc.analysis.plots.losses import draw_losses
from bayesgc.analysis.tree.summary import result_object


@in_the_look
def plot_result(tree: xr.DataTree) -> Figure:
    """How well the laws generalise on the left, the curve over fits on the right."""
    figure = Figure(figsize=(PAGE, 3.2), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    result = result_object(tree)
    if curve_of(tree) is None:
        draw_losses(figure, figure.add_gridspec(1, 1)[0], tree, result)
        return figure
    grid = figure.add_gridspec(1, 2, width_ratios=[1.15, 1.0])
    draw_losses(figure, grid[0], tree, result)
    draw_curve(figure, grid[1], tree, result)
    return figure

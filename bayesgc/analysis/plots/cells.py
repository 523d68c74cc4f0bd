"""A completed table: what weights that fit say of the cells that were not observed."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from bayesgc.analysis.plots.canvas import Drawn, axes_on, plot_of_result, unsuited
from bayesgc.analysis.plots.look import COLOURS, NAMES, title_and_legend
from bayesgc.analysis.predictive import MEANINGS, cell_moments, cell_quantiles, interval_kind
from bayesgc.analysis.tree.groups import has, values
from bayesgc.analysis.tree.summary import Json, cell_labels, result_object
from bayesgc.analysis.words.numerals import quartiles, rounded

CELLS_SHOWN = 16
NAME_LENGTH = 22
_LINE = 42


@plot_of_result
def plot_cells(tree: xr.DataTree, ax: Axes | None = None) -> Drawn:
    """Mean and 90 % interval of the missing cells, before and after the fit, in the table's units beside them."""
    cells = result_object(tree)["unobserved"]
    if not cells:
        raise unsuited("plot_cells", "draws that fit and missing cells that they predict", tree)
    axes = axes_on(ax, 1.0 + 0.16 * min(len(cells), CELLS_SHOWN) + 0.4)
    draw_cells(axes, tree, cells)
    return axes


def draw_cells(axes: Axes, tree: xr.DataTree, cells: list[Json]) -> None:
    """Mean and 90 % interval of the first missing cells, before and after the fit.

    Columns may have units of their own, so the axis is in standard deviations and the numbers beside it in the units.
    """
    _, missing = _missing(tree, CELLS_SHOWN)
    center, scale, unit = cell_units(tree, CELLS_SHOWN)
    heights = np.arange(len(missing))[::-1]
    for law, width, alpha in (("prior", 7.0, 0.25), ("posterior", 3.0, 0.9)):
        low, high = ((each - center) / scale for each in cell_quantiles(tree, law, missing, [0.05, 0.95]))
        axes.hlines(heights, low, high, color=COLOURS[law], lw=width, alpha=alpha, label=NAMES[law])
    means = (cell_moments(tree, missing)[0] - center) / scale
    axes.plot(means, heights, "o", ms=4.5, color=COLOURS["posterior"], mec="white", mew=0.6)
    for height, cell in zip(heights, cells, strict=False):
        text = f"{rounded(cell['mean'])} {quartiles(cell['q05'], cell['q95'])}"
        axes.annotate(text, (1.01, height), xycoords=("axes fraction", "data"), va="center", fontsize=6.5)
    # A label is no formula, whatever dollar signs it has.
    axes.set_yticks(heights, [cell_name(cell) for cell in cells[:CELLS_SHOWN]], parse_math=False)
    axes.set_ylim(-0.7, len(missing) - 0.3)
    name = f"mean and 90 % interval {MEANINGS[interval_kind(tree)]}"
    axes.set_xlabel(fill(f"{name}, in {unit}" if unit else name, _LINE))
    title_and_legend(axes, _cells_title(len(missing), len(cells)))


def _missing(tree: xr.DataTree, count: int) -> tuple[tuple[int, ...], np.ndarray]:
    """The table's shape, and the places in its row of rows of its first missing cells."""
    shape = tree["prior"]["end_to_end"].shape[2:]
    return shape, np.setdiff1d(np.arange(np.prod(shape)), values(tree, "constant_data", "cells"))[:count]


def cell_units(tree: xr.DataTree, count: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Mean and standard deviation of the columns of the first missing cells, and what an axis in these is in.

    Where a table is not scaled these are 0 and 1, and nothing.
    """
    shape, missing = _missing(tree, count)
    if not has(tree, "constant_data", "scale"):
        return np.zeros(missing.size), np.ones(missing.size), ""
    center, scale = (values(tree, "constant_data", part).reshape(-1)[missing] for part in ("center", "scale"))
    # A table is scaled so that the variance of each column is one in its number of rows.
    return center, scale / np.sqrt(shape[0]), "standard deviations of the column"


def cell_name(cell: Json) -> str:
    """Its labels, cut where they are long."""
    name = " · ".join(cell_labels(cell).values())
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def _cells_title(shown: int, count: int) -> str:
    which = "the missing cells" if shown == count else f"the first {shown} of {count} missing cells"
    return f"What weights that fit say of\n{which}"

"""Rank plots of chains, by arviz-plots; not for particles of islands, which are no chains."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from bayesgc.analysis.diagnose import diagnose
from bayesgc.analysis.plots.canvas import Drawn, plot_of_result, titled_canvas, unsuited
from bayesgc.analysis.plots.forest import LABELS
from bayesgc.analysis.plots.look import PAGE
from bayesgc.analysis.standing import quantities
from bayesgc.analysis.uncertainty import error_rule
from bayesgc.correlated import ErrorRule


@plot_of_result
def plot_ranks(tree: xr.DataTree, ax: Axes | None = None) -> Drawn:
    """The ranks of each chain's draws among all, as ECDFs from which a uniform law's is subtracted.

    Raises:
        InputError: for a result that was not made by chains.
    """
    if not in_chains(tree):
        raise unsuited("plot_ranks", "a posterior drawn by chains", tree)
    from arviz_base.labels import MapLabeller
    from arviz_plots import plot_rank

    names = [name for name in quantities(tree) if name in tree["posterior"].data_vars]
    shown: Any = MapLabeller(var_name_map={name: LABELS[name] for name in names})
    drawn = titled_canvas(ax, 2.8, PAGE)
    places = _places(tree, names, drawn.figure)
    plot_rank(tree, var_names=names, plot_collection=places, backend="matplotlib", labeller=shown)
    drawn.figure.suptitle(ranks_title(tree), x=0.01, ha="left", fontsize=8, fontweight="bold")
    return drawn


def _places(tree: xr.DataTree, names: list[str], figure: Figure | SubFigure) -> Any:
    """Axes for each of the quantities, as arviz-plots makes them on figures of its own, which pyplot would keep."""
    from arviz_plots.plot_collection import PlotCollection

    axes = dict(zip(names, figure.subplots(1, len(names), squeeze=False, sharex=True)[0], strict=True))
    held = {
        "plot": {name: np.array(each, dtype=object) for name, each in axes.items()},
        "row_index": dict.fromkeys(names, np.array(0)),
        "col_index": {name: np.array(place) for place, name in enumerate(names)},
    }
    children = {kind: xr.DataTree(xr.Dataset({name: ((), each) for name, each in of.items()}))
                for kind, of in held.items()}  # fmt: skip
    whole = xr.DataTree(xr.Dataset({"figure": ((), np.array(figure, dtype=object))}), children=children)
    data, chains = tree["posterior"].to_dataset()[names], {"color": ["chain"], "overlay": ["chain"]}
    return PlotCollection(data, whole, aes=chains, backend="matplotlib")


def in_chains(tree: xr.DataTree) -> bool:
    """Whether there are chains to look at."""
    return "posterior" in tree.children and error_rule(tree) is ErrorRule.CHAINS


def ranks_title(tree: xr.DataTree) -> str:
    """Whether the chains agree."""
    worst = next(check for check in diagnose(tree).checks if check.name.startswith("R̂"))
    agree = "agree" if worst.status == "fine" else "do not agree"
    found = "" if worst.found is None else f" (R̂ = {worst.found:.3f})"
    return f"The chains {agree}{found}: lines inside the band are as a uniform law's"

"""Rank plots of chains, by arviz-plots; not for particles of islands, which are no chains."""

from __future__ import annotations

from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from bayesgc.analysis.diagnose import diagnose
from bayesgc.analysis.plots.forest import LABELS
from bayesgc.analysis.plots.look import PAGE, in_the_look
from bayesgc.analysis.standing import quantities
from bayesgc.analysis.uncertainty import error_rule
from bayesgc.correlated import ErrorRule
from bayesgc.validate import InputError


@in_the_look
def plot_ranks(tree: xr.DataTree) -> Figure:
    """The ranks of each chain's draws among all, as ECDFs from which a uniform law's is subtracted.

    Raises:
        InputError: for a result that was not made by chains.
    """
    if not in_chains(tree):
        raise InputError(f"the method is {tree.attrs['method']!r}; rank plots are for chains, as nuts has.")
    from arviz_base.labels import MapLabeller
    from arviz_plots import plot_rank

    names = [name for name in quantities(tree) if name in tree["posterior"].data_vars]
    shown = MapLabeller(var_name_map={name: LABELS[name] for name in names})
    options: dict[str, Any] = {"figure_kwargs": {"figsize": (PAGE, 2.8), "figsize_units": "inches"}, "labeller": shown}
    collection = plot_rank(tree, var_names=names, backend="matplotlib", **options)
    figure: Figure = collection.viz["figure"].item()
    figure.set_layout_engine("constrained")
    figure.suptitle(ranks_title(tree), x=0.01, ha="left", fontsize=8, fontweight="bold")
    return figure


def in_chains(tree: xr.DataTree) -> bool:
    """Whether there are chains to look at."""
    return "posterior" in tree.children and error_rule(tree) is ErrorRule.CHAINS


def ranks_title(tree: xr.DataTree) -> str:
    """Whether the chains agree."""
    worst = next(check for check in diagnose(tree).checks if check.name.startswith("R̂"))
    agree = "agree" if worst.status == "fine" else "do not agree"
    found = "" if worst.found is None else f" (R̂ = {worst.found:.3f})"
    return f"The chains {agree}{found}: lines inside the band are as a uniform law's"

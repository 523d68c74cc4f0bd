"""Sweeps along depth at several widths in one picture, against depth over width: whether they fall on one curve."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesgc.analysis.plots.look import COLOURS, COLUMN, SERIES, in_the_look
from bayesgc.analysis.tree.panels import Panel
from bayesgc.validate import InputError


@in_the_look
def plot_one_axis(datasets: Sequence[xr.Dataset]) -> Figure:
    """Medians and quartiles over tasks of E[L_gen] against depth over width, a curve for each width.

    Args:
        datasets: what the ``sweep.nc`` of each sweep holds; its axis is the depth, its width an option.

    Raises:
        InputError: where a sweep has no axis of depths or no width of its own.
    """
    figure = Figure(figsize=(COLUMN, 2.6), layout="constrained")
    ax, ends = figure.subplots(), []
    for dataset, colour, marker in zip(datasets, SERIES, "osD^v<>", strict=False):
        width = json.loads(dataset.attrs["sweep"])["options"].get("width")
        if width is None or "depth" not in dataset.dims:
            raise InputError(f"{dataset.attrs.get('title')!r} is no sweep along depth at one width.")
        panel = Panel(f"width {width}", "depth", dataset.sortby("depth"))
        places, (low, middle, high) = panel.positions / width, panel.band("posterior_gen_loss")
        ends += [places.min() / 1.3, places.max() * 1.3]
        ax.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(places, middle, f"{marker}-", color=colour, markersize=4, linewidth=1.3, label=panel.name)
        ax.plot(places, panel.over_tasks("posterior_gen_loss"), ".", color=colour, markersize=2.5, alpha=0.45)
    zero = np.nanmedian(np.concatenate([dataset["zero_gen_loss"].values.ravel() for dataset in datasets]))
    ax.axhline(zero, linestyle="--", color=COLOURS["reference"], linewidth=1, label="zero")
    ax.set_xscale("log")
    ax.set_xlim(min(ends), max(ends))  # also where no cell has a number
    ax.set_ylim(bottom=0)
    ax.set_xlabel("depth / width")
    ax.set_ylabel("$E[L_{gen}]$ of Guess & Check")
    figure.legend(loc="outside lower center", ncols=4)
    figure.suptitle(str(datasets[0].attrs.get("question", "")), fontsize=8)
    return figure

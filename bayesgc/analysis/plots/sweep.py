"""Figures of a sweep, read from its dataset alone: the losses as in the paper, and below them what it could not show.

Above, medians and quartiles over tasks of each task's E[L_gen], a dot for each task, with prior, gradient descent and
the zero matrix beside. Below, the Monte Carlo error of a task, apart from the spread over tasks; how rare a fit is;
and how many restarts of gradient descent ended without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesgc.analysis.plots.look import COLOURS, LOOK, NAMES, save_figure
from bayesgc.analysis.stores import REPLICATES
from bayesgc.validate import InputError

LAWS = {
    "prior_gen_loss": (NAMES["prior"], COLOURS["prior"], "s"),
    "posterior_gen_loss": (NAMES["posterior"], COLOURS["posterior"], "o"),
    "gd_gen_loss": (NAMES["gd"], COLOURS["gd"], "^"),
    "zero_gen_loss": ("zero", COLOURS["reference"], None),
}
ROWS = ("$L_{gen}$", "MC error\nof $E[L_{gen}]$", "log P(fit)", "GD restarts\nwithout a fit")
_MOST_PANELS = 6
_FLAGGED = 0.1
"""The relative Monte Carlo error above which a cell is flagged."""


def plot_sweep(dataset: xr.Dataset, axis: str | None = None) -> Figure:
    """The figure of a sweep along one axis, a column for each panel, of which it shows the first six.

    Args:
        dataset: what ``sweep.nc`` holds.
        axis: the axis to draw along; None for the first one with numbers that is not the tasks.

    Raises:
        InputError: where the sweep has no such axis.
    """
    along = _axis(dataset, axis)
    every = _panels(dataset, along)
    panels = dict(list(every.items())[:_MOST_PANELS])
    left_out = f"the first {len(panels)} of {len(every)} panels" if len(panels) < len(every) else ""
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(1.0 + 2.1 * len(panels), 5.6), layout="constrained")
        axes = figure.subplots(
            len(ROWS), len(panels), sharex=True, sharey="row", squeeze=False, height_ratios=[3, 1, 1, 1]
        )
        for column, (name, panel) in enumerate(panels.items()):
            _draw_panel(axes[:, column], panel, along, name)
        for row, label in enumerate(ROWS):
            axes[row, 0].set_ylabel(label)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        words = [*(dataset.attrs.get(key, "") for key in ("title", "question")), left_out]
        figure.suptitle("\n".join(filter(None, words)), fontsize=8)
    return figure


def save_sweep_plots(dataset: xr.Dataset, files: Sequence[Path]) -> list[Path]:
    """Draw the sweep into each of the files; none where there is no axis to draw along."""
    try:
        figure = plot_sweep(dataset)
    except InputError:
        return []
    return [save_figure(figure, file) for file in files]


def _axis(dataset: xr.Dataset, axis: str | None) -> str:
    dims = [str(name) for name in dataset["posterior_gen_loss"].dims]
    if axis is not None:
        if axis not in dims:
            raise InputError(f"axis is {axis!r}; choose one of {', '.join(dims)}.")
        return axis
    numeric = [name for name in dims if name not in REPLICATES and dataset[name].dtype.kind in "if"]
    if not numeric:
        raise InputError("the sweep has no axis of numbers to draw along.")
    return numeric[0]


def _panels(dataset: xr.Dataset, along: str) -> dict[str, xr.Dataset]:
    """The dataset cut along every other axis; the panels of a figure where there are some."""
    others = [str(name) for name in dataset["posterior_gen_loss"].dims if name not in (along, *REPLICATES)]
    panels = {"": dataset}
    for name in others:
        panels = {
            ", ".join(filter(None, [before, str(value) if name == "panel" else f"{name} {value}"])): part.sel(
                {name: value}
            )
            for before, part in panels.items()
            for value in part[name].values
        }
    return panels


def _draw_panel(axes: np.ndarray[Any, np.dtype[Any]], panel: xr.Dataset, along: str, name: str) -> None:
    """One column of the figure."""
    places = panel[along].values.astype(float)
    for variable, look in LAWS.items():
        _draw_law(axes[0], places, _by_task(panel[variable], along), *look)
    axes[0].set_title(name)
    axes[0].set_ylim(bottom=0)
    mean, error = (_by_task(panel[f"posterior_gen_loss{end}"], along) for end in ("", "_mcse"))
    axes[1].plot(places, error / mean, ".", color=COLOURS["posterior"], markersize=3, alpha=0.6)
    axes[1].axhline(_FLAGGED, color=COLOURS["prior"], linewidth=0.7, linestyle=":")
    axes[1].yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))
    axes[1].set_ylim(bottom=0)
    for volume, spread in zip(*(_by_task(panel[f"log_volume{end}"], along).T for end in ("", "_mcse")), strict=True):
        axes[2].errorbar(places, volume, spread, fmt=".", color=COLOURS["posterior"], markersize=3, alpha=0.6)
    missed = 1 - _by_task(panel["gd_converged"], along) / _by_task(panel["gd_restarts"], along)
    axes[3].plot(places, _over_tasks(np.mean, missed), "^-", color=COLOURS["gd"], markersize=3)
    axes[3].yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))
    axes[3].set_ylim(-0.05, 1.05)
    axes[3].set_xlabel(along)
    for ax in axes if _wide(places) else ():
        ax.set_xscale("log", base=2)
        ax.set_xticks(places, [f"{place:g}" for place in places])
        ax.minorticks_off()


def _draw_law(ax: Axes, places: np.ndarray, values: np.ndarray, label: str, color: str, marker: str | None) -> None:
    """Median and quartiles over tasks, and each task's dot; a dashed line for what does not depend on the model."""
    if np.isnan(values).all():
        return
    middle = _over_tasks(np.median, values)
    if marker is None:
        ax.plot(places, middle, "--", color=color, linewidth=1, label=label)
        return
    low, high = (_over_tasks(lambda row, q=q: np.quantile(row, q), values) for q in (0.25, 0.75))
    ax.fill_between(places, low, high, color=color, alpha=0.18, linewidth=0)
    ax.plot(places, middle, f"{marker}-", color=color, markersize=4, linewidth=1.3, label=label)
    ax.plot(places, values, ".", color=color, markersize=2.5, alpha=0.45)


def _by_task(values: xr.DataArray, along: str) -> np.ndarray:
    """(place, task), all replicates as tasks."""
    rest = [name for name in values.dims if name != along]
    found: np.ndarray = values.transpose(along, *rest).values.reshape(values.sizes[along], -1).astype(float)
    return found


def _over_tasks(statistic: Any, values: np.ndarray) -> np.ndarray:
    """A statistic of what is there in each row; NaN where nothing is."""
    rows = [row[~np.isnan(row)] for row in values]
    return np.array([statistic(row) if row.size else np.nan for row in rows])


def _wide(places: np.ndarray) -> bool:
    """Whether the places are best seen on a logarithmic scale."""
    return bool(len(places) > 2 and places.min() > 0 and places.max() / places.min() > 12)

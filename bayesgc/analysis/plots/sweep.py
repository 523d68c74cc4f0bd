"""Figures of a sweep, read from its dataset alone: the losses as in the paper, and below them what it could not show.

Above, medians and quartiles over tasks of each task's E[L_gen], a dot for each task, with prior, gradient descent and
the zero matrix beside. Below, the Monte Carlo error of a task, apart from the spread over tasks; how rare a fit is;
and how many restarts of gradient descent ended without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, overload

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesgc.analysis.equal_fit import descent_variable
from bayesgc.analysis.measures import measures_over
from bayesgc.analysis.plots.canvas import handed_over, kind_of, titled_canvas
from bayesgc.analysis.plots.look import COLOURS, COLUMN, NAMES, in_the_look, inches_across, save_figure
from bayesgc.analysis.tree.panels import Panel, axes_of, main_axis, panels
from bayesgc.validate import InputError, one_of

_LAWS = {
    "prior": (NAMES["prior"], COLOURS["prior"], "s"),
    "posterior": (NAMES["posterior"], COLOURS["posterior"], "o"),
    "gd_at_eps": (NAMES["gd_at_eps"], COLOURS["gd_at_eps"], "^"),
    "gd": (NAMES["gd"], COLOURS["gd"], None),
    "zero": ("zero", COLOURS["reference"], None),
    "wide": ("G&C, width → ∞", COLOURS["posterior"], None),
}
LAWS = {f"{law}_gen_loss": look for law, look in _LAWS.items()}
"""The looks of the losses of an array, by their variables."""
ROWS = ("$L_{gen}$", "MC error\nof $E[L_{gen}]$", "log P(fit)", "GD restarts\nwithout a fit")
_ROWS_IN_PER_CENT = ("test error (%)", "MC error\nof its mean", *ROWS[2:])
_MOST_PANELS = 6
_MOST_MARKS = 12
_LETTERS = 14
"""Of a title in an inch."""
_ENTRY = 1.3
"""Inches of an entry of the legend."""
_FLAGGED = 0.1
"""The relative Monte Carlo error above which a cell is flagged."""


@overload
def plot_sweep(dataset: xr.Dataset, axis: str | None = None, *, ax: None = None) -> Figure: ...


@overload
def plot_sweep(dataset: xr.Dataset, axis: str | None = None, *, ax: Axes) -> Axes: ...


@in_the_look
def plot_sweep(dataset: xr.Dataset, axis: str | None = None, *, ax: Axes | None = None) -> Figure | Axes:
    """The figure of a sweep along one axis, a column for each panel, of which it shows the first six.

    Args:
        dataset: what ``sweep.nc`` holds.
        axis: the axis to draw along; None for the first one of numbers, or else of words, that repeats no cell.
        ax: axes in whose place to draw, instead of a figure; the first of those that stand there is returned.

    Raises:
        InputError: for what is no dataset of a sweep, and where the sweep has no such axis.
    """
    _check_dataset(dataset)
    along = main_axis(dataset) if axis is None else one_of("axis", axis, axes_of(dataset))
    every = panels(dataset, along)
    shown = every[:_MOST_PANELS]
    rows = ROWS[: len(ROWS) if _descended(dataset) else -1]
    drawn = titled_canvas(ax, 1.5 + 1.025 * len(rows), max(COLUMN, 1.0 + 2.1 * len(shown)))
    figure, heights = drawn.figure, [3, *[1] * (len(rows) - 1)]
    axes = figure.subplots(len(rows), len(shown), sharex=True, sharey="row", squeeze=False, height_ratios=heights)
    for column, panel in enumerate(shown):
        _draw_panel(axes[:, column], panel)
    top = _room(shown)
    if top is not None:
        top = float(measures_over(dataset).generalisation.scaled(top))
    axes[0, 0].set_ylim(0, top)  # after all panels, since limits that are set no longer follow the data
    axes[1, 0].set_ylim(bottom=0)
    labels_of_rows = _ROWS_IN_PER_CENT if measures_over(dataset).generalisation.percent else ROWS
    for row in range(len(rows)):
        axes[row, 0].set_ylabel(labels_of_rows[row])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    beside = int(inches_across(figure) / _ENTRY)
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), beside))
    left_out = f"the first {len(shown)} of {len(every)} panels" if len(shown) < len(every) else ""
    above = "" if top is None else "the prior goes on above the picture"
    words = [*(dataset.attrs.get(key, "") for key in ("title", "question")), left_out, above]
    room = round(_LETTERS * inches_across(figure))
    figure.suptitle("\n".join(fill(line, room) for line in words if line), fontsize=8)
    return handed_over(drawn, ax)


def _check_dataset(dataset: object) -> None:
    """Refuse what is no dataset of a sweep, or lacks what is drawn of every one, naming what it has."""
    if not isinstance(dataset, xr.Dataset):
        raise InputError(
            f"plot_sweep needs the dataset of a sweep, as run_sweep gives it, and was given {kind_of(dataset)}."
        )
    measure = measures_over(dataset).generalisation.name
    needed = [f"prior_{measure}", f"posterior_{measure}", f"posterior_{measure}_mcse", "log_volume", "log_volume_mcse"]
    if missing := [name for name in needed if name not in dataset]:
        held = ", ".join(map(str, dataset.data_vars)) or "none"
        raise InputError(f"plot_sweep needs {', '.join(missing)}, which run_sweep gives; the dataset has {held}.")


def save_sweep_plots(dataset: xr.Dataset, files: Sequence[Path]) -> list[Path]:
    """Draw the sweep into each of the files."""
    figure = plot_sweep(dataset)
    return [save_figure(figure, file) for file in files]


def _room(shown: list[Panel]) -> float | None:
    """The height of the losses where the prior's would dwarf all others; None where all fit into one picture."""
    drawn = list(_looks(shown[0].cells))
    highest = {
        law: max((np.nanmax(panel.over_tasks(law), initial=0.0) for panel in shown), default=0.0)
        for law in drawn[:_COMPARED]
        if all(law in panel.cells for panel in shown)
    }
    prior = highest[drawn[0]]
    others = max((value for law, value in highest.items() if law != drawn[0]), default=0.0)
    return _OF_OTHERS * others if prior > 2 * _OF_OTHERS * others > 0 else None


def _looks(cells: xr.Dataset) -> dict[str, tuple[str, str, str | None]]:
    """The variables of a sweep that are drawn above, the prior's first, with their names and looks."""
    measures = measures_over(cells)
    if not measures.labelled:
        return LAWS
    primary, nothing = measures.generalisation.name, measures.ignorant.name
    looks = {law: look for law, look in _LAWS.items() if law not in ("zero", "wide")}
    looks["gd_at_eps"] = (f"GD, {measures.first_fit}", *_LAWS["gd_at_eps"][1:])
    looks[nothing] = (measures.ignorant.relative, *_LAWS["zero"][1:])
    looks["ensemble"] = ("G&C, by vote", COLOURS["posterior"], None)
    return {f"{law}_{primary}": look for law, look in looks.items()} | {
        "certificate": ("certificate", COLOURS["prior"], "v")
    }


_COMPARED = 5
"""How many of the laws, beside limits, decide how high the picture is."""


_OF_OTHERS = 2.5
"""How far above the other laws the picture may go on for the prior's sake."""


def _draw_panel(axes: np.ndarray[Any, np.dtype[Any]], panel: Panel) -> None:
    """One column of the figure."""
    mark_places(axes, panel)
    places, colour = panel.positions, COLOURS["posterior"]
    measure = measures_over(panel.cells).generalisation
    for variable, look in _looks(panel.cells).items():
        if variable in panel.cells:  # stores of older versions know no limit
            _draw_law(axes[0], panel, variable, *look)
    axes[0].set_title(panel.name)
    mean, error = (panel.over_tasks(f"posterior_{measure.name}{end}") for end in ("", "_mcse"))
    axes[1].plot(places, error / mean, ".", color=colour, markersize=3, alpha=0.6)
    axes[1].axhline(_FLAGGED, color=COLOURS["prior"], linewidth=0.7, linestyle=":")
    axes[1].yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))
    for volume, spread in zip(*(panel.over_tasks(f"log_volume{end}").T for end in ("", "_mcse")), strict=True):
        axes[2].errorbar(places, volume, spread, fmt=".", color=colour, markersize=3, alpha=0.6)
    axes[-1].set_xlabel(panel.axis.replace("_", " "))
    if len(axes) == len(ROWS):
        _draw_missed(axes[3], panel, measure.name)


def _descended(cells: xr.Dataset) -> bool:
    """Whether gradient descent was run for any cell."""
    fitted = descent_variable(cells).replace(measures_over(cells).generalisation.name, "converged")
    return {"gd_restarts", fitted} <= cells.keys() and bool(np.isfinite(cells["gd_restarts"]).any())


def _draw_missed(ax: Axes, panel: Panel, measure: str) -> None:
    """The share of the restarts of gradient descent that never fitted."""
    fitted = descent_variable(panel.cells).replace(measure, "converged")
    missed = 1 - panel.over_tasks(fitted) / panel.over_tasks("gd_restarts")
    ax.plot(panel.positions, np.ma.masked_invalid(missed).mean(axis=1), "^-", color=COLOURS["gd"], markersize=3)
    ax.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))
    ax.set_ylim(-0.05, 1.05)


def _draw_law(ax: Axes, panel: Panel, variable: str, label: str, colour: str, marker: str | None) -> None:
    """Median and quartiles over tasks, and each task's dot; a dashed line for what is there to compare with."""
    measure = measures_over(panel.cells).generalisation
    places, (low, middle, high) = panel.positions, measure.scaled(panel.band(variable))
    if np.isnan(middle).all():
        return
    if marker is None:
        ax.plot(places, middle, "--", color=colour, linewidth=1, label=label)
        return
    ax.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
    ax.plot(places, middle, f"{marker}-", color=colour, markersize=4, linewidth=1.3, label=label)
    ax.plot(places, measure.scaled(panel.over_tasks(variable)), ".", color=colour, markersize=2.5, alpha=0.45)


def mark_places(axes: Iterable[Axes], panel: Panel) -> None:
    """A mark at each place where there is room, on a logarithmic scale where the places grow by factors."""
    places = panel.positions
    wide = bool(len(places) > 2 and places.min() > 0 and places.max() / places.min() > 12)
    for ax in axes:
        if wide:
            ax.set_xscale("log", base=2)
            ax.minorticks_off()
        if len(places) <= _MOST_MARKS or isinstance(panel.places[0], str):
            ax.set_xticks(places, [str(place) for place in panel.places])
        ax.set_xlim(*_with_margins(places, wide=wide))


def _with_margins(places: np.ndarray, *, wide: bool) -> tuple[float, float]:
    """The ends of an axis with a little room on either side of the places."""
    ends = np.array([places.min(), places.max()])
    ends = np.log2(ends) if wide else ends
    room = 0.06 * (np.ptp(ends) or 1.0) * np.array([-1.0, 1.0])
    low, high = 2 ** (ends + room) if wide else ends + room
    return float(low), float(high)

"""The ε-curve: how generalisation and volume change as the fit is made tighter."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from bayesgc.analysis.equal_fit import AT_EPS, descent_curve
from bayesgc.analysis.numerals import NORMAL_95, rounded
from bayesgc.analysis.plots.look import COLOURS, NAMES, column, in_the_look, plain_numbers, say_absent, title_and_legend
from bayesgc.analysis.summary import Json, result_object
from bayesgc.intervals import Number, log_loss

_FAR = 30.0
"""A loss that many times below the curve would leave the curve itself no room."""


@in_the_look
def plot_curve(tree: xr.DataTree) -> Figure:
    """E[L_gen | L_train < ε] and the log volume of the fits against ε, with 95 % bands, and the curve of descent."""
    figure = column()
    draw_curve(figure, figure.add_gridspec(1, 1)[0], tree, result_object(tree))
    return figure


def draw_curve(figure: Figure, place: SubplotSpec, tree: xr.DataTree, result: Json) -> None:
    """The same in one place of a larger figure."""
    if "levels" not in tree.children:
        say_absent(figure.add_subplot(place), "this method visits no other ε")
        return
    levels = tree["levels"].to_dataset()
    finite = np.isfinite(levels["threshold"].values) & (levels["threshold"].values > 0)
    eps = levels["threshold"].values[finite]
    judged = bool(np.isfinite(levels["gen_loss"].values[finite]).any())
    grid = place.subgridspec(2 if judged else 1, 1, hspace=0.08)
    volume = figure.add_subplot(grid[-1])
    _band(volume, eps, levels["log_volume"].values[finite], levels["log_volume_mcse"].values[finite])
    volume.set_ylabel("log volume")
    volume.set_xlabel("threshold ε on the training loss")
    volume.set_xscale("log")
    plain_numbers(volume.xaxis)
    if judged:
        top = figure.add_subplot(grid[0], sharex=volume)
        _band(top, eps, levels["gen_loss"].values[finite], levels["gen_loss_mcse"].values[finite])
        _descent(top, tree, eps)
        _levels_to_compare(top, result, float(np.nanmin(levels["gen_loss"].values[finite])))
        _limit(top, levels)
        top.set_ylabel("E[$L_{gen}$ | $L_{train}$ < ε]")
        top.set_yscale("log")
        top.margins(y=0.08)
        plain_numbers(top.yaxis)
        top.tick_params(labelbottom=False)
        title_and_legend(top, curve_title(levels))
    else:
        volume.set_title("The tighter the fit,\nthe rarer it is")


def _band(axes: Axes, eps: np.ndarray, value: np.ndarray, error: np.ndarray) -> None:
    colour = COLOURS["posterior"]
    reach = NORMAL_95 * np.nan_to_num(error, nan=0.0, posinf=0.0)
    axes.fill_between(eps, value - reach, value + reach, color=colour, alpha=0.25, lw=0)
    axes.plot(eps, value, color=colour, marker="o", ms=2.4, label=NAMES["posterior"])


def _descent(axes: Axes, tree: xr.DataTree, eps: np.ndarray) -> None:
    """Median and quartiles over restarts of L_gen where gradient descent first was at or below each threshold."""
    curve = descent_curve(tree, float(eps.min()), float(eps.max()))
    if curve is None:
        return
    threshold, low, middle, high = curve
    axes.fill_between(threshold, low, high, color=COLOURS[AT_EPS], alpha=0.2, lw=0)
    axes.plot(threshold, middle, color=COLOURS[AT_EPS], lw=1.4, label="GD on its way")


def _levels_to_compare(axes: Axes, result: Json, lowest: float) -> None:
    """Horizontal lines at the prior's mean, the zero matrix and descent's end, in words where it is far below."""
    zero, prior, gd = result["baselines"]["zero"], result["prior"]["gen_loss"], result["gd"]
    lines = {
        "prior": (prior and prior["mean"], COLOURS["prior"], (0, (4, 2))),
        "zero": (zero and zero["gen_loss"], COLOURS["reference"], (0, (1, 1.2))),
        "GD, at its end": (gd and gd["gen_loss"] and gd["gen_loss"]["median"], COLOURS["gd"], (0, (4, 2))),
    }
    for name, (value, colour, dashes) in lines.items():
        if value and value < lowest / _FAR:
            axes.plot([], [], color=colour, lw=1, ls=dashes, label=f"{name}: {rounded(value, 2)}")
        elif value:
            axes.axhline(value, color=colour, lw=1, ls=dashes, zorder=1, label=name)


def _limit(axes: Axes, levels: xr.Dataset) -> None:
    """A line at the loss of exact fits, with its 95 % band, where the run found this limit of the curve."""
    exact = levels.isel(level=levels["threshold"].values == 0)
    for value, error in zip(exact["gen_loss"].values, exact["gen_loss_mcse"].values, strict=True):
        reach = NORMAL_95 * error
        axes.axhspan(value - reach, value + reach, color=COLOURS["posterior"], alpha=0.18, lw=0)
        axes.axhline(value, color=COLOURS["posterior"], lw=1, ls=(0, (1, 1.5)), zorder=1)
        axes.annotate(
            "ε → 0", (0, value), xycoords=("axes fraction", "data"), xytext=(2, -2), textcoords="offset points",
            ha="left", va="top", fontsize=6.2, color=COLOURS["posterior"],
        )  # fmt: skip


def curve_title(levels: xr.Dataset) -> str:
    """Whether the loss at the last threshold is clearly below that at the first, above it, the same, or neither."""
    words = {
        "lower": "The tighter the fit,\nthe better it generalises",
        "higher": "The tighter the fit,\nthe worse it generalises",
        "alike": "A tighter fit changes nothing",
        "undecided": "Whether a tighter fit helps\nis within error",
    }
    return words[curve_change(levels).judgement]


def curve_change(levels: xr.Dataset) -> Number:
    """The change of log E[L_gen] from the first threshold at which it is known to the last one."""
    known = np.flatnonzero(np.isfinite(levels["gen_loss"].values))[[0, -1]]
    values, errors = (levels[name].values[known] for name in ("gen_loss", "gen_loss_mcse"))
    first, last = (log_loss(float(value), float(error)) for value, error in zip(values, errors, strict=True))
    return last - first

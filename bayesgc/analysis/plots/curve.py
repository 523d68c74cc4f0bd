"""The ε-curve: how generalisation and volume change as the fit is made tighter.

Where fits are numbers of errors, the curve is over how many are allowed, at each of which the run has told both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import MaxNLocator

from bayesgc.analysis.asked import passed_by
from bayesgc.analysis.ends import end_name
from bayesgc.analysis.equal_fit import AT_EPS, compared, descent_curve
from bayesgc.analysis.measures import Measure, Measures, judged_by, measures_in, measures_of
from bayesgc.analysis.plots.canvas import Drawn, canvas, plot_of_result, unsuited
from bayesgc.analysis.plots.look import COLOURS, NAMES, plain_numbers, title_and_legend
from bayesgc.analysis.tree.summary import Json, result_object
from bayesgc.analysis.words.numerals import NORMAL_95, one_in_print, rounded
from bayesgc.intervals import Number, log_loss

_FAR = 30.0
"""A loss that many times below the curve would leave the curve itself no room."""


@plot_of_result
def plot_curve(tree: xr.DataTree, ax: Axes | None = None) -> Drawn:
    """Mean generalisation and the log volume of the fits against ε, with 95 % bands, and the curve of descent."""
    known_curve(tree)
    drawn = canvas(ax)
    draw_curve(drawn.figure, drawn.place, tree, result_object(tree))
    return drawn


def draw_curve(figure: Figure | SubFigure, place: SubplotSpec, tree: xr.DataTree, result: Json) -> None:
    """The same in one place of a larger figure."""
    levels, measures = known_curve(tree), measures_in(tree)
    shown = levels.isel(level=drawn_levels(levels, measures))
    eps, judged = shown["threshold"].values, bool(np.isfinite(shown["generalisation"].values).any())
    grid = place.subgridspec(2 if judged else 1, 1, hspace=0.08)
    volume = figure.add_subplot(grid[-1])
    _band(volume, eps, shown["log_volume"].values, shown["log_volume_mcse"].values)
    volume.set_ylabel("log P(fit)" if measures.counted else "log volume")
    volume.set_xlabel(threshold_axis(measures))
    if measures.counted:
        volume.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    else:
        volume.set_xscale("log")
        plain_numbers(volume.xaxis)
    if judged:
        top = figure.add_subplot(grid[0], sharex=volume)
        _draw_generalisation(top, tree, result, levels, shown)
        top.tick_params(labelbottom=False)
        title_and_legend(top, curve_title(tree))
    else:
        volume.set_title(rarity_title(tree))


def _draw_generalisation(top: Axes, tree: xr.DataTree, result: Json, levels: xr.Dataset, shown: xr.Dataset) -> None:
    """The upper half: the mean of those that fit so well, beside gradient descent and what there is to compare with."""
    measure, eps = measures_in(tree).generalisation, shown["threshold"].values
    found, error = (
        np.asarray(measure.scaled(shown[name].values)) for name in ("generalisation", "generalisation_mcse")
    )
    _band(top, eps, found, error)
    _descent(top, tree)
    _levels_to_compare(top, result, float(np.nanmin(found)))
    if not measures_in(tree).counted:
        _limit(top, levels, measure)
    top.set_ylabel(measure.axis if measure.percent else "E[$L_{gen}$ | $L_{train}$ < ε]")
    top.margins(y=0.08)
    if measure.percent:
        top.set_ylim(bottom=0)
    else:
        top.set_yscale("log")
        plain_numbers(top.yaxis)


def threshold_axis(measures: Measures) -> str:
    """What the thresholds are called on an axis."""
    return "training errors allowed" if measures.counted else "threshold ε on the training loss"


def curve_of(tree: xr.DataTree) -> xr.Dataset | None:
    """``threshold``, ``log_volume`` and ``generalisation`` with their errors along ``level``, from loose to tight."""
    measures = measures_in(tree)
    group, dim = ("curve", "reading") if measures.counted else ("levels", "level")
    if group not in tree.children:
        return None
    name = measures.generalisation.name
    found = tree[group].to_dataset().rename({name: "generalisation", f"{name}_mcse": "generalisation_mcse"})
    return found.rename({dim: "level"} if dim != "level" else {})


def known_curve(tree: xr.DataTree) -> xr.Dataset:
    """The same, which has to be there."""
    levels = curve_of(tree)
    if levels is None:
        raise unsuited("plot_curve", "a method that tells of several thresholds, or of several numbers of errors", tree)
    return levels


def drawn_levels(levels: xr.Dataset, measures: Measures) -> np.ndarray:
    """Which thresholds have a place on the axis: all numbers of errors, and losses above zero."""
    threshold = levels["threshold"].values
    return np.isfinite(threshold) & (measures.counted | (threshold > 0))


def _band(axes: Axes, eps: np.ndarray, value: np.ndarray, error: np.ndarray) -> None:
    colour = COLOURS["posterior"]
    reach = NORMAL_95 * np.nan_to_num(error, nan=0.0, posinf=0.0)
    axes.fill_between(eps, value - reach, value + reach, color=colour, alpha=0.25, lw=0)
    axes.plot(eps, value, color=colour, marker="o", ms=2.4, label=NAMES["posterior"])


def descent_beside(tree: xr.DataTree) -> Float[np.ndarray, "4 level"] | None:
    """The curve of gradient descent over the thresholds that are drawn; None where none of it is known there."""
    levels, measures = curve_of(tree), measures_in(tree)
    if levels is None:
        return None
    eps = levels["threshold"].values[drawn_levels(levels, measures)]
    return descent_curve(tree, float(eps.min()), float(eps.max())) if eps.size else None


def _descent(axes: Axes, tree: xr.DataTree) -> None:
    """Median and quartiles over restarts of L_gen where gradient descent first was at or below each threshold."""
    curve = descent_beside(tree)
    if curve is None:
        return
    threshold, low, middle, high = curve
    axes.fill_between(threshold, low, high, color=COLOURS[AT_EPS], alpha=0.2, lw=0)
    axes.plot(threshold, middle, color=COLOURS[AT_EPS], lw=1.4, label="GD on its way")


def _levels_to_compare(axes: Axes, result: Json, lowest: float) -> None:
    """Horizontal lines at the prior's mean, who knows nothing and descent's end, in words where it is far below."""
    measures, prior, gd = measures_of(result), judged_by(result, "prior"), result["gd"]
    measure, ended = measures.generalisation, gd and gd[measures.generalisation.name]
    lines: dict[str, tuple[Any, str, Any]] = {
        "prior": (prior and prior["mean"], COLOURS["prior"], (0, (4, 2))),
        measures.ignorant.name: (measures.known_nothing(result), COLOURS["reference"], (0, (1, 1.2))),
        f"GD, {end_name(gd or {})}": (ended and ended["median"], COLOURS["gd"], (0, (4, 2))),
    }
    if measures.counted:
        del lines["prior"]  # at its loose end the curve is there
    if measures.counted and (first := compared(result)) is not None:
        passed = first[measure.name]
        lines[f"GD, {measures.first_fit}"] = (passed and passed["median"], COLOURS[AT_EPS], "-")
    for name, (found, colour, dashes) in lines.items():
        value = measure.scaled(found)
        if value and value < lowest / _FAR and not measure.percent:
            axes.plot([], [], color=colour, lw=1, ls=dashes, label=f"{name}: {rounded(value, 2)}")
        elif value or (measure.percent and value is not None):
            axes.axhline(value, color=colour, lw=1, ls=dashes, zorder=1, label=name)


def _limit(axes: Axes, levels: xr.Dataset, measure: Measure) -> None:
    """A line at the loss of exact fits, with its 95 % band, where the run found this limit of the curve."""
    exact = levels.isel(level=levels["threshold"].values == 0)
    ends = (measure.scaled(exact[name].values) for name in ("generalisation", "generalisation_mcse"))
    for value, error in zip(*ends, strict=True):
        reach = NORMAL_95 * error
        axes.axhspan(value - reach, value + reach, color=COLOURS["posterior"], alpha=0.18, lw=0)
        axes.axhline(value, color=COLOURS["posterior"], lw=1, ls=(0, (1, 1.5)), zorder=1)
        axes.annotate(
            "ε → 0", (0, value), xycoords=("axes fraction", "data"), xytext=(2, -2), textcoords="offset points",
            ha="left", va="top", fontsize=6.2, color=COLOURS["posterior"],
        )  # fmt: skip


def curve_title(tree: xr.DataTree) -> str:
    """Whether the loss at the last threshold is clearly below that at the first, above it, the same, or neither."""
    if (why := without_law(tree)) is not None:
        return why
    words = _OF_ERRORS if measures_in(tree).counted else _OF_LOSSES
    return words[curve_change(tree).judgement]


def without_law(tree: xr.DataTree) -> str | None:
    """Why the curve says nothing of tight and loose fits, as a title; None where it does."""
    levels, measures = known_curve(tree), measures_in(tree)
    if passed_by(result_object(tree)) is not None:
        return f"A fit asks for next to nothing\nat {measures.event(float(tree.attrs['eps']))}"
    known = np.isfinite(levels["generalisation"].values)
    if not measures.counted:
        known &= np.isfinite(levels["threshold"].values)  # the prior is no fit
    return "Too few thresholds to tell\nwhat a tighter fit does" if known.sum() < LEAST_THRESHOLDS else None


def rarity_title(tree: xr.DataTree) -> str:
    """How rare the tightest fits are of which it is known, and whether the run came no further."""
    levels, measures = known_curve(tree), measures_in(tree)
    drawn = drawn_levels(levels, measures) & np.isfinite(levels["log_volume"].values)
    if not drawn.any():
        return "How rare a fit is"
    threshold, volume = (levels[name].values[drawn] for name in ("threshold", "log_volume"))
    tightest = int(threshold.argmin())
    seen = f"one prior draw in {one_in_print(float(volume[tightest]))} fits"
    last, asked = (measures.event(float(eps)) for eps in (rounded(threshold[tightest]), tree.attrs["eps"]))
    return f"At {last}\n{seen}" if "posterior" in tree.children else f"{asked} was not reached;\nat {last}\n{seen}"


LEAST_THRESHOLDS = 3
"""With fewer of them, what becomes of tighter fits is a guess."""

_OF_LOSSES = {
    "lower": "The tighter the fit,\nthe better it generalises",
    "higher": "The tighter the fit,\nthe worse it generalises",
    "alike": "A tighter fit changes nothing",
    "undecided": "Whether a tighter fit helps\nis within error",
}

_OF_ERRORS = {
    "lower": "The fewer training errors,\nthe better it generalises",
    "higher": "The fewer training errors,\nthe worse it generalises",
    "alike": "Fewer training errors change nothing",
    "undecided": "Whether fewer training errors help\nis within error",
}


def curve_change(tree: xr.DataTree) -> Number:
    """The change of the log of mean generalisation from the first threshold at which it is known to the last one."""
    levels = curve_of(tree)
    if levels is None:
        raise ValueError("a result without a curve has no change along it")
    known = np.flatnonzero(np.isfinite(levels["generalisation"].values))[[0, -1]]
    values, errors = (levels[name].values[known] for name in ("generalisation", "generalisation_mcse"))
    first, last = (log_loss(float(value), float(error)) for value, error in zip(values, errors, strict=True))
    return last - first

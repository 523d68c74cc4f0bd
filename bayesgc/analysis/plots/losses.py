"""Prior, posterior and gradient descent in one picture: how well do weights generalise that fit?"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from bayesgc.analysis.equal_fit import AT_EPS, compared
from bayesgc.analysis.groups import fitted, has, values
from bayesgc.analysis.numerals import NORMAL_95
from bayesgc.analysis.plots.cells import draw_cells
from bayesgc.analysis.plots.look import (
    COLOURS,
    FLOOR,
    NAMES,
    column,
    in_the_look,
    positive,
    title_and_legend,
    with_outcome,
)
from bayesgc.analysis.summary import Json, result_object
from bayesgc.analysis.verdict import Standing, against_prior, descent_against_posterior, nothing_drawn

REFERENCE_NAMES = {
    "zero": "zero",
    "least_squares": "least squares",
    "nuclear_norm": "min. nuclear norm",
    "chance": "chance",
}
EXACT = 1e-9
"""A mode's fit is exact to about this, and drawn at it."""


@in_the_look
def plot_losses(tree: xr.DataTree) -> Figure:
    """L_gen under prior and posterior, each restart of gradient descent at ε and at its end, and reference points.

    Where the truth is unknown: the intervals of the missing cells, or the training loss.
    """
    figure = column()
    draw_losses(figure, figure.add_gridspec(1, 1)[0], tree, result_object(tree))
    return figure


def draw_losses(figure: Figure, place: SubplotSpec, tree: xr.DataTree, result: Json) -> None:
    """The same in one place of a larger figure."""
    if result["unobserved"] and result["posterior"]["gen_loss"] is None:
        draw_cells(figure.add_subplot(place), tree, result["unobserved"])
        return
    loss = "gen_loss" if has(tree, "prior", "gen_loss") else "train_loss"
    marks = reference_marks(result["baselines"], loss)
    grid = place.subgridspec(2, 1, height_ratios=[4.0, 1.0 + 0.42 * len(marks)], hspace=0.03)
    density = figure.add_subplot(grid[0])
    strip = figure.add_subplot(grid[1], sharex=density)
    for law in ("prior", "posterior"):
        if law in tree.children:
            _histogram(density, law, positive(values(tree, law, loss)))
            _mean(density, law, result[law][loss])
    _at_eps(strip, tree, loss)
    _restarts(strip, tree, loss)
    _mode(strip, result["map"], loss)
    _loss_axes(density, strip, len(marks), loss)
    _references(density, strip, marks)
    handles = [each.get_legend_handles_labels() for each in (density, strip)]
    both = handles[0][0] + handles[1][0], handles[0][1] + handles[1][1]
    title_and_legend(density, with_outcome(losses_title(result), result), both)


def _histogram(axes: Axes, law: str, losses: np.ndarray) -> None:
    """The density over log₁₀ of the loss, as a step histogram of about √N bins."""
    logs = np.log10(losses)
    heights, edges = np.histogram(logs, bins=int(np.clip(np.sqrt(logs.size), 8, 45)), density=True)
    axes.stairs(heights, 10**edges, fill=True, alpha=0.28, color=COLOURS[law], lw=0)
    axes.stairs(heights, 10**edges, color=COLOURS[law], lw=1.2, label=NAMES[law])


def _mean(axes: Axes, law: str, summary: Json | None) -> None:
    """A mark at the law's mean, on the axis, with its 95 % error."""
    if summary is None or not summary["mean"]:
        return
    error = None if summary["mcse"] is None else min(NORMAL_95 * summary["mcse"], 0.99 * summary["mean"])
    axes.errorbar(
        summary["mean"], 0, xerr=error, fmt="^", ms=5.5, color=COLOURS[law], mec="white", mew=0.6, capsize=2,
        elinewidth=1, clip_on=False, zorder=5,
    )  # fmt: skip


def _heights(count: int) -> np.ndarray:
    """Spread by the golden ratio, so that equal losses stay apart and no random stream is touched."""
    return np.asarray(0.15 + 0.7 * (np.arange(count) * 0.618034 % 1.0))


def _at_eps(axes: Axes, tree: xr.DataTree, loss: str) -> None:
    """One point a restart where it first passed ε, and a bar at the median: what the posterior compares with."""
    if AT_EPS not in tree.children or not fitted(tree, AT_EPS).any():
        return
    places = np.maximum(values(tree, AT_EPS, loss).astype(np.float64), FLOOR)
    good, colour = fitted(tree, AT_EPS), COLOURS[AT_EPS]
    axes.scatter(places[good], _heights(places.size)[good], s=11, color=colour, lw=0.7, alpha=0.8, label=NAMES[AT_EPS])
    axes.plot([np.median(places[good])] * 2, [0.0, 1.0], color=colour, lw=1.8)


def _restarts(axes: Axes, tree: xr.DataTree, loss: str) -> None:
    """One small cross a restart at its end, a hollow point where it did not fit; at ε = 0 a bar at the median."""
    if "gd" not in tree.children:
        return
    reached = np.nan_to_num(values(tree, "gd", loss).astype(np.float64), nan=np.inf, posinf=np.inf)
    places, good, finite = np.maximum(reached, FLOOR), fitted(tree, "gd"), np.isfinite(reached)
    heights = _heights(places.size)
    for name, chosen, marker in ((NAMES["gd"], good & finite, "x"), ("did not fit", ~good & finite, "$\u25cb$")):
        if chosen.any():
            axes.scatter(
                places[chosen], heights[chosen], s=11, c=COLOURS["gd"], marker=marker, lw=0.7, alpha=0.8, label=name
            )
    if good.any() and not float(tree.attrs["eps"]):
        axes.plot([np.median(places[good])] * 2, [0.0, 1.0], color=COLOURS["gd"], lw=1.8)


def _mode(axes: Axes, mode: Json | None, loss: str) -> None:
    """A star at the most probable weights that fit exactly."""
    # What rounding leaves of a loss must not stretch the axis.
    value = mode["best"][loss] if mode is not None and mode["best"] is not None else None
    if value is not None:
        name = NAMES["map"] if value > EXACT else f"{NAMES['map']} (≈ 0)"
        axes.plot(max(value, EXACT), 0.5, "*", ms=9, color=COLOURS["map"], mec="white", label=name)


def reference_marks(baselines: Json, loss: str) -> list[tuple[float, str]]:
    """(loss, name) of the reference points; those within a few percent of one another share one entry."""
    known = {name: point[loss] for name, point in baselines.items() if point and point[loss] and point[loss] > FLOOR}
    groups: list[tuple[float, list[str]]] = []
    for name, value in sorted(known.items(), key=lambda item: item[1]):
        if groups and value < 1.04 * groups[-1][0]:
            groups[-1][1].append(name)
        else:
            groups.append((value, [name]))
    # In the order of the names, since rounding decides that of equal losses.
    return [
        (value, " = ".join(text for key, text in REFERENCE_NAMES.items() if key in names)) for value, names in groups
    ]


def _references(density: Axes, strip: Axes, marks: list[tuple[float, str]]) -> None:
    """A line through the densities down to a labelled mark, each on a row of its own, written where there is room."""
    low, high = density.get_xlim()
    for row, (value, name) in enumerate(marks):
        height = -0.5 * (row + 1)
        density.axvline(value, color=COLOURS["reference"], lw=0.7, ls=(0, (4, 3)), zorder=1)
        strip.plot([value, value], [height, 1.3], color=COLOURS["reference"], lw=0.7, ls=(0, (4, 3)), zorder=1)
        strip.plot(value, height, "D", ms=3, color=COLOURS["reference"])
        side = -1 if value**2 > low * high else 1
        strip.annotate(
            name, (value, height), xytext=(5 * side, 0), textcoords="offset points", va="center", fontsize=6.5,
            ha="right" if side < 0 else "left",
        )  # fmt: skip


def _loss_axes(density: Axes, strip: Axes, rows: int, loss: str) -> None:
    density.set_xscale("log")
    for axes in (density, strip):
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    density.set_ylabel("density of log$_{10}$ loss")
    density.set_ylim(0, density.get_ylim()[1])
    density.tick_params(which="both", labelbottom=False, length=0)
    density.spines["bottom"].set_color("#BBBBBB")
    strip.set_ylim(-0.5 * rows - 0.35, 1.3)
    name = "generalisation loss $L_{gen}$" if loss == "gen_loss" else "training loss $L_{train}$"
    strip.set_xlabel(f"{name} (▲: mean)")


def losses_title(result: Json) -> str:
    """What the picture shows, in a few words."""
    if result["posterior"] is None:
        return "Nothing was drawn" if nothing_drawn(result) else f"No draw fitted to ε = {result['eps']:g}"
    if result["posterior"]["gen_loss"] is None:
        return "How well the draws fit"
    title = {
        Standing.LOWER: "Weights that fit generalise better than the prior",
        Standing.EQUAL: "Weights that fit generalise no better than the prior",
        Standing.HIGHER: "Weights that fit generalise worse than the prior",
    }[against_prior(result)]
    if compared(result) is None:
        return title
    descent = {Standing.LOWER: "better", Standing.EQUAL: "about as well", Standing.HIGHER: "worse"}
    fit = " at the same fit" if result["eps"] else ""
    return f"{title},\nand gradient descent does {descent[descent_against_posterior(result)]}{fit}"

"""Prior, posterior and gradient descent in one picture: how well do weights generalise that fit?"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import SubplotSpec

from bayesgc.analysis.asked import passed_by
from bayesgc.analysis.equal_fit import AT_EPS, compared, compared_group
from bayesgc.analysis.judgements import (
    against_prior,
    descent_against_posterior,
    descent_among_draws,
    descent_is_typical,
)
from bayesgc.analysis.measures import Measure, exact, judged_by, measures_in, measures_of
from bayesgc.analysis.plots.canvas import Drawn, canvas, plot_of_result
from bayesgc.analysis.plots.cells import draw_cells
from bayesgc.analysis.plots.look import (
    COLOURS,
    FLOOR,
    NAMES,
    names_in,
    positive,
    title_and_legend,
    with_outcome,
)
from bayesgc.analysis.tree.groups import fitted, has, values
from bayesgc.analysis.tree.summary import Json, result_object
from bayesgc.analysis.words.numerals import NORMAL_95
from bayesgc.analysis.words.verdict import nothing_drawn
from bayesgc.intervals import Standing

REFERENCE_NAMES = {
    "zero": "zero",
    "least_squares": "least squares",
    "nuclear_norm": "min. nuclear norm",
    "chance": "chance",
    "majority": "most common label",
    "mean": "mean label",
    "nearest_neighbour": "nearest neighbour",
    "logistic": "logistic regression",
    "ridge": "ridge regression",
}
EXACT = 1e-9
"""A mode's fit is exact to about this, and drawn at it."""


@plot_of_result
def plot_losses(tree: xr.DataTree, ax: Axes | None = None) -> Drawn:
    """Generalisation under prior and posterior, of each restart at its first fit and at its end, and reference points.

    Where it is not known: the intervals of the missing cells, or the measure of fit.
    """
    drawn = canvas(ax)
    draw_losses(drawn.figure, drawn.place, tree, result_object(tree))
    return drawn


def draw_losses(figure: Figure | SubFigure, place: SubplotSpec, tree: xr.DataTree, result: Json) -> None:
    """The same in one place of a larger figure."""
    if result["unobserved"] and judged_by(result, "posterior") is None:
        draw_cells(figure.add_subplot(place), tree, result["unobserved"])
        return
    loss = shown_measure(tree)
    marks = reference_marks(result["baselines"], loss)
    grid = place.subgridspec(2, 1, height_ratios=[4.0, 1.0 + 0.42 * len(marks)], hspace=0.03)
    density = figure.add_subplot(grid[0])
    strip = figure.add_subplot(grid[1], sharex=density)
    for law in ("prior", "posterior"):
        if law in tree.children:
            _histogram(density, law, *density_of(tree, law, loss))
            _mean(density, law, result[law][loss.name], loss)
    _at_eps(strip, tree, loss)
    _restarts(strip, tree, loss)
    _mode(strip, result["map"], loss)
    _vote(strip, result, loss)
    _loss_axes(density, strip, len(marks), loss)
    _references(density, strip, marks)
    handles = [each.get_legend_handles_labels() for each in (density, strip)]
    both = handles[0][0] + handles[1][0], handles[0][1] + handles[1][1]
    title_and_legend(density, with_outcome(losses_title(result), result), both)


def shown_measure(tree: xr.DataTree) -> Measure:
    """That of generalisation, or of fit where the former is not known."""
    measures = measures_in(tree)
    return measures.generalisation if has(tree, "prior", measures.generalisation.name) else measures.fit


def density_of(tree: xr.DataTree, law: str, measure: Measure) -> tuple[np.ndarray, np.ndarray]:
    """Heights and edges of a histogram in the unit that people read.

    Of a loss the density over its log₁₀, in about √N bins; of what is counted, over the numbers themselves, in bins
    that each hold as many whole numbers.
    """
    if not measure.whole:
        logs = np.log10(positive(values(tree, law, measure.name)))
        heights, edges = np.histogram(logs, bins=int(np.clip(np.sqrt(logs.size), 8, 45)), density=True)
        return heights, 10**edges
    found = values(tree, law, measure.name).ravel().astype(np.float64)
    most = int(tree.attrs["held_out"]) if measure.percent else int(tree["observed_data"].sizes["example"])
    counts = np.rint(found[np.isfinite(found)] * (most if measure.percent else 1))
    step = -(-most // _BINS)
    edges = np.arange(0, most + step + 1, step) - 0.5
    heights, _ = np.histogram(counts, bins=edges, density=True)
    scale = 100 / most if measure.percent else 1.0
    return heights / scale, edges * scale


_BINS = 50
"""At most so many bins of what is counted."""


def _histogram(axes: Axes, law: str, heights: np.ndarray, edges: np.ndarray) -> None:
    axes.stairs(heights, edges, fill=True, alpha=0.28, color=COLOURS[law], lw=0)
    axes.stairs(heights, edges, color=COLOURS[law], lw=1.2, label=NAMES[law])


def _mean(axes: Axes, law: str, summary: Json | None, measure: Measure) -> None:
    """A mark at the law's mean, on the axis, with its 95 % error."""
    if summary is None or (not summary["mean"] and not measure.whole):
        return
    mean, found = measure.scaled(summary["mean"]), measure.scaled(summary["mcse"])
    error = None if found is None else min(NORMAL_95 * found, 0.99 * mean)
    axes.errorbar(
        mean, 0, xerr=error, fmt="^", ms=5.5, color=COLOURS[law], mec="white", mew=0.6, capsize=2,
        elinewidth=1, clip_on=False, zorder=5,
    )  # fmt: skip


def _heights(count: int) -> np.ndarray:
    """Spread by the golden ratio, so that equal losses stay apart and no random stream is touched."""
    return np.asarray(0.15 + 0.7 * (np.arange(count) * 0.618034 % 1.0))


def _places(found: np.ndarray, measure: Measure) -> np.ndarray:
    """Where values are drawn: none below what a logarithmic axis shows."""
    scaled = np.asarray(measure.scaled(found.astype(np.float64)))
    return scaled if measure.whole else np.maximum(scaled, FLOOR)


def _at_eps(axes: Axes, tree: xr.DataTree, loss: Measure) -> None:
    """One point a restart where it first passed ε, and a bar at the median: what the posterior compares with."""
    if AT_EPS not in tree.children or not fitted(tree, AT_EPS).any():
        return
    places = _places(values(tree, AT_EPS, loss.name), loss)
    good, colour, name = fitted(tree, AT_EPS), COLOURS[AT_EPS], names_in(tree)[AT_EPS]
    axes.scatter(places[good], _heights(places.size)[good], s=11, color=colour, lw=0.7, alpha=0.8, label=name)
    axes.plot([np.median(places[good])] * 2, [0.0, 1.0], color=colour, lw=1.8)


def _restarts(axes: Axes, tree: xr.DataTree, loss: Measure) -> None:
    """One small cross a restart at its end, a hollow point where it did not fit; of exact fits a bar at the median."""
    if "gd" not in tree.children:
        return
    reached = np.nan_to_num(values(tree, "gd", loss.name).astype(np.float64), nan=np.inf, posinf=np.inf)
    places, good, finite = _places(reached, loss), fitted(tree, "gd"), np.isfinite(reached)
    heights = _heights(places.size)
    ended = names_in(tree)["gd"]
    for name, chosen, marker in ((ended, good & finite, "x"), ("did not fit", ~good & finite, "$\u25cb$")):
        if chosen.any():
            axes.scatter(
                places[chosen], heights[chosen], s=11, c=COLOURS["gd"], marker=marker, lw=0.7, alpha=0.8, label=name
            )
    if good.any() and compared_group(tree) == "gd":
        axes.plot([np.median(places[good])] * 2, [0.0, 1.0], color=COLOURS["gd"], lw=1.8)


def _vote(axes: Axes, result: Json, loss: Measure) -> None:
    """A mark at the vote of the draws that fit."""
    vote = result["ensemble"]
    if vote is not None and loss.name in vote:
        axes.plot(
            loss.scaled(vote[loss.name]), 0.5, "P", ms=7, color=COLOURS["posterior"], mec="white", mew=0.6,
            label="G&C, by vote", clip_on=False, zorder=5,
        )  # fmt: skip


def _mode(axes: Axes, mode: Json | None, loss: Measure) -> None:
    """A star at the most probable weights that fit exactly."""
    # What rounding leaves of a loss must not stretch the axis.
    value = mode["best"][loss.name] if mode is not None and mode["best"] is not None else None
    if value is not None:
        name = NAMES["map"] if value > EXACT else f"{NAMES['map']} (≈ 0)"
        axes.plot(max(value, EXACT), 0.5, "*", ms=9, color=COLOURS["map"], mec="white", label=name)


def reference_marks(baselines: Json, measure: Measure) -> list[tuple[float, str]]:
    """(place, name) of the reference points; those within a few percent of one another share one entry."""
    known = {name: measure.scaled(point[measure.name]) for name, point in baselines.items() if point}
    least = -1.0 if measure.whole else FLOOR
    known = {name: value for name, value in known.items() if value is not None and value > least}
    groups: list[tuple[float, list[str]]] = []
    for name, value in sorted(known.items(), key=lambda item: item[1]):
        if groups and (value < 1.04 * groups[-1][0] or value == groups[-1][0]):
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
        middle = (low + high) / 2 if density.get_xscale() == "linear" else np.sqrt(low * high)
        side = -1 if value > middle else 1
        strip.annotate(
            name, (value, height), xytext=(5 * side, 0), textcoords="offset points", va="center", fontsize=6.5,
            ha="right" if side < 0 else "left",
        )  # fmt: skip


def _loss_axes(density: Axes, strip: Axes, rows: int, loss: Measure) -> None:
    density.set_xscale("linear" if loss.whole else "log")
    for axes in (density, strip):
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    density.set_ylabel("density" if loss.whole else "density of log$_{10}$ loss")
    density.set_ylim(0, density.get_ylim()[1])
    density.tick_params(which="both", labelbottom=False, length=0)
    density.spines["bottom"].set_color("#BBBBBB")
    strip.set_ylim(-0.5 * rows - 0.35, 1.3)
    strip.set_xlabel(f"{loss.axis} (▲: mean)")


def losses_title(result: Json) -> str:
    """What the picture shows, in a few words."""
    if result["posterior"] is None:
        return "Nothing was drawn" if nothing_drawn(result) else measures_of(result).missed(result["eps"])
    if judged_by(result, "posterior") is None:
        return "How well the draws fit"
    title = {
        Standing.LOWER: "Weights that fit generalise better than the prior",
        Standing.EQUAL: "Weights that fit generalise no better than the prior",
        Standing.HIGHER: "Weights that fit generalise worse than the prior",
    }[against_prior(result)]
    if passed := passed_by(result):
        return f"{title};\n{passed} fits too"
    if compared(result) is None:
        return title
    descent = {Standing.LOWER: "does better", Standing.EQUAL: "does about as well", Standing.HIGHER: "does worse"}
    does = descent[standing := descent_against_posterior(result)]
    if standing is Standing.EQUAL and (among := descent_among_draws(result)) is not Standing.EQUAL:
        does = f"{descent[among]} than most draws"
    elif standing is Standing.EQUAL and not descent_is_typical(result):
        does = "is not told apart"
    fit = "" if exact(result) else " at its first fit" if measures_of(result).counted else " at about the same fit"
    return f"{title};\ngradient descent {does}{fit}"

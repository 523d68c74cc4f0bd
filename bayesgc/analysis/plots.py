"""Figures of a result, in the project's look: colour-blind safe (Okabe & Ito 2008), legible at a column's width.

Every function takes the DataTree of a result and returns a matplotlib ``Figure``; nothing is shown and no global
setting is left changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from bayesgc.analysis.numerals import quartiles, rounded
from bayesgc.analysis.summary import Json, result_object
from bayesgc.analysis.verdict import Standing, against_prior, descent_against_posterior
from bayesgc.validate import InputError

COLOURS = {"prior": "#8A8A8A", "posterior": "#0072B2", "gd": "#D55E00", "map": "#009E73", "reference": "#222222"}
NAMES = {"prior": "prior", "posterior": "G&C posterior", "gd": "gradient descent", "map": "MAP"}
REFERENCE_NAMES = {
    "zero": "zero",
    "least_squares": "least squares",
    "nuclear_norm": "min. nuclear norm",
    "chance": "chance",
}
LOOK = {
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
FLOOR = 1e-16
"""Losses below this are drawn at it: the axis is logarithmic."""
EXACT = 1e-9
"""The same for the mode, whose fit is exact to about this."""
CELLS_SHOWN = 16
NAME_LENGTH = 22

Plot = Callable[[xr.DataTree], Figure]


def _in_the_look(draw: Plot) -> Plot:
    @wraps(draw)
    def drawn(tree: xr.DataTree) -> Figure:
        with mpl.rc_context(LOOK):
            return draw(tree)

    return drawn


@_in_the_look
def plot_losses(tree: xr.DataTree) -> Figure:
    """L_gen under the prior and the posterior, each restart of gradient descent, and the reference points.

    Where the truth is unknown: the intervals of the missing cells, or the training loss.
    """
    figure = Figure(figsize=(3.5, 3.2), layout="constrained")
    _losses(figure, figure.add_gridspec(1, 1)[0], tree, result_object(tree))
    return figure


@_in_the_look
def plot_curve(tree: xr.DataTree) -> Figure:
    """E[L_gen | L_train < ε] and the log volume of the fits against ε, with 95 % bands."""
    figure = Figure(figsize=(3.5, 3.2), layout="constrained")
    _curve(figure, figure.add_gridspec(1, 1)[0], tree, result_object(tree))
    return figure


@_in_the_look
def plot_result(tree: xr.DataTree) -> Figure:
    """Losses on the left, the ε-curve on the right."""
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    result = result_object(tree)
    if "levels" not in tree.children:
        _losses(figure, figure.add_gridspec(1, 1)[0], tree, result)
        return figure
    grid = figure.add_gridspec(1, 2, width_ratios=[1.15, 1.0])
    _losses(figure, grid[0], tree, result)
    _curve(figure, grid[1], tree, result)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write ``figure`` to ``path``, in the format that its ending names."""
    target = Path(path)
    formats = figure.canvas.get_supported_filetypes()
    if target.suffix.lstrip(".").lower() not in formats:
        raise InputError(f"The plot file is {str(target)!r}; its ending must be one of {', '.join(sorted(formats))}.")
    try:
        with mpl.rc_context(LOOK):
            figure.savefig(target)
    except OSError as error:
        raise InputError(f"Cannot write {target}: {error.strerror or error}; give a writable folder.") from error
    return target


def _losses(figure: Figure, place: SubplotSpec, tree: xr.DataTree, result: Json) -> None:
    if result["unobserved"] and result["posterior"]["gen_loss"] is None:
        _cell_intervals(figure.add_subplot(place), tree, result["unobserved"])
        return
    loss = "gen_loss" if "gen_loss" in tree["prior"].data_vars else "train_loss"
    marks = _reference_marks(result["baselines"], loss)
    grid = place.subgridspec(2, 1, height_ratios=[4.0, 1.0 + 0.42 * len(marks)], hspace=0.03)
    density = figure.add_subplot(grid[0])
    strip = figure.add_subplot(grid[1], sharex=density)
    for law in ("prior", "posterior"):
        if law in tree.children:
            _histogram(density, law, _positive(_values(tree, law, loss)))
            _mean(density, law, result[law][loss])
    _restarts(strip, tree, loss)
    _mode(strip, result["map"], loss)
    _loss_axes(density, strip, len(marks), loss)
    _references(density, strip, marks)
    _legend(density, strip)
    title = _losses_title(result)
    density.set_title(title if result["outcome"] == "converged" else f"{title} ({result['outcome']})", pad=15)


def _values(tree: xr.DataTree, group: str, name: str) -> np.ndarray:
    values: np.ndarray = tree[group].to_dataset()[name].values
    return values


def _positive(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(-1).astype(np.float64)
    return np.maximum(flat[np.isfinite(flat)], FLOOR)


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
    error = None if summary["mcse"] is None else min(1.96 * summary["mcse"], 0.99 * summary["mean"])
    axes.errorbar(
        summary["mean"], 0, xerr=error, fmt="^", ms=5.5, color=COLOURS[law], mec="white", mew=0.6, capsize=2,
        elinewidth=1, clip_on=False, zorder=5,
    )  # fmt: skip


def _restarts(axes: Axes, tree: xr.DataTree, loss: str) -> None:
    """One point a restart, hollow where it did not fit, and a bar at the median of those that did."""
    if "gd" not in tree.children:
        return
    values = np.maximum(np.nan_to_num(_values(tree, "gd", loss).astype(np.float64), nan=np.inf, posinf=np.inf), FLOOR)
    fitted, finite = _values(tree, "gd", "converged").astype(bool), np.isfinite(values)
    # Heights spread by the golden ratio, so that equal losses stay apart and no random stream is touched.
    heights = 0.15 + 0.7 * (np.arange(values.size) * 0.618034 % 1.0)
    kinds = {NAMES["gd"]: fitted & finite, "did not fit": ~fitted & finite}
    for (name, chosen), fill in zip(kinds.items(), (COLOURS["gd"], "none"), strict=True):
        if chosen.any():
            axes.scatter(
                values[chosen], heights[chosen], s=11, fc=fill, ec=COLOURS["gd"], lw=0.7, alpha=0.8, label=name
            )
    if fitted.any():
        axes.plot([np.median(values[fitted])] * 2, [0.0, 1.0], color=COLOURS["gd"], lw=1.8)


def _mode(axes: Axes, mode: Json | None, loss: str) -> None:
    """A star at the most probable weights that fit exactly."""
    # What rounding leaves of a loss must not stretch the axis.
    value = mode["best"][loss] if mode is not None and mode["best"] is not None else None
    if value is not None:
        name = NAMES["map"] if value > EXACT else f"{NAMES['map']} (< {EXACT:g})"
        axes.plot(max(value, EXACT), 0.5, "*", ms=9, color=COLOURS["map"], mec="white", label=name)


def _reference_marks(baselines: Json, loss: str) -> list[tuple[float, str]]:
    """(loss, name) of the reference points; those within a few percent of one another share one entry."""
    marks: list[tuple[float, str]] = []
    for value, name in sorted((point[loss], name) for name, point in baselines.items() if point and point[loss]):
        if marks and value < 1.04 * marks[-1][0]:
            marks[-1] = (marks[-1][0], f"{marks[-1][1]} = {REFERENCE_NAMES[name]}")
        elif value > FLOOR:
            marks.append((value, REFERENCE_NAMES[name]))
    return marks


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
    strip.set_xlabel("generalisation loss $L_{gen}$" if loss == "gen_loss" else "training loss $L_{train}$")


def _legend(density: Axes, strip: Axes) -> None:
    """One line between title and densities."""
    above, below = density.get_legend_handles_labels(), strip.get_legend_handles_labels()
    density.legend(
        above[0] + below[0], above[1] + below[1], loc="lower left", bbox_to_anchor=(0, 1), ncols=4,
        borderaxespad=0, borderpad=0.2, handlelength=1.1, handletextpad=0.4, columnspacing=1.0,
    )  # fmt: skip


def _losses_title(result: Json) -> str:
    if result["posterior"] is None:
        return f"No draw fitted to ε = {result['eps']:g}"
    if result["posterior"]["gen_loss"] is None:
        return "How well the draws fit"
    title = {
        Standing.LOWER: "Weights that fit generalise better than the prior",
        Standing.EQUAL: "Weights that fit generalise no better than the prior",
        Standing.HIGHER: "Weights that fit generalise worse than the prior",
    }[against_prior(result)]
    if result["gd"] is None or not result["gd"]["converged"]:
        return title
    descent = {Standing.LOWER: "better", Standing.EQUAL: "about as well", Standing.HIGHER: "worse"}
    return f"{title},\nand gradient descent does {descent[descent_against_posterior(result)]}"


def _cell_intervals(axes: Axes, tree: xr.DataTree, cells: list[Json]) -> None:
    """Mean and 90 % interval of the first missing cells, before and after the fit.

    Columns may have units of their own, so the axis is in standard deviations and the numbers beside it in the units.
    """
    constants = tree["constant_data"].to_dataset()
    shape = tree["prior"]["end_to_end"].shape[2:]
    missing = np.setdiff1d(np.arange(np.prod(shape)), constants["cells"].values)[:CELLS_SHOWN]
    scaled = "scale" in constants
    center, scale = (
        (constants[name].values.reshape(-1)[missing] for name in ("center", "scale")) if scaled else (0.0, 1.0)
    )
    heights = np.arange(len(missing))[::-1]
    for law, width in (("prior", 7.0), ("posterior", 3.0)):
        draws = _values(tree, law, "end_to_end").reshape(-1, np.prod(shape))[:, missing]
        low, high = (np.quantile(draws, [0.05, 0.95], axis=0) - center) / scale
        axes.hlines(
            heights, low, high, color=COLOURS[law], lw=width, alpha=0.25 if law == "prior" else 0.9, label=NAMES[law]
        )
        if law == "posterior":
            axes.plot((draws.mean(0) - center) / scale, heights, "o", ms=4.5, color=COLOURS[law], mec="white", mew=0.6)
    for height, cell in zip(heights, cells, strict=False):
        text = f"{rounded(cell['mean'])} {quartiles(cell['q05'], cell['q95'])}"
        axes.annotate(text, (1.01, height), xycoords=("axes fraction", "data"), va="center", fontsize=6.5)
    axes.set_yticks(heights, [_cell_name(cell) for cell in cells[:CELLS_SHOWN]])
    axes.set_ylim(-0.7, len(missing) - 0.3)
    axes.set_xlabel("value, in standard deviations of its column" if scaled else "value")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0, handlelength=1.4)
    axes.set_title(_cells_title(len(missing), len(cells)), pad=15)


def _cell_name(cell: Json) -> str:
    statistics = {"mean", "sd", "q05", "q50", "q95"}
    name = " · ".join(str(part) for key, part in cell.items() if key not in statistics)
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def _cells_title(shown: int, count: int) -> str:
    which = "the missing cells" if shown == count else f"the first {shown} of {count} missing cells"
    return f"What weights that fit say of {which}\n(mean and 90 % interval)"


def _curve(figure: Figure, place: SubplotSpec, tree: xr.DataTree, result: Json) -> None:
    if "levels" not in tree.children:
        axes = figure.add_subplot(place)
        axes.text(0.5, 0.5, "this method visits no other ε", transform=axes.transAxes, ha="center", va="center")
        axes.set_axis_off()
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
    top = volume
    if judged:
        top = figure.add_subplot(grid[0], sharex=volume)
        _band(top, eps, levels["gen_loss"].values[finite], levels["gen_loss_mcse"].values[finite])
        _levels_to_compare(top, result)
        top.set_ylabel("E[$L_{gen}$ | $L_{train}$ < ε]")
        top.set_yscale("log")
        top.margins(y=0.14)
        top.tick_params(labelbottom=False)
    top.set_title(_curve_title(levels) if judged else "The tighter the fit,\nthe rarer it is")


def _band(axes: Axes, eps: np.ndarray, value: np.ndarray, error: np.ndarray) -> None:
    colour = COLOURS["posterior"]
    reach = 1.96 * np.nan_to_num(error, nan=0.0, posinf=0.0)
    axes.fill_between(eps, value - reach, value + reach, color=colour, alpha=0.25, lw=0)
    axes.plot(eps, value, color=colour, marker="o", ms=2.4, label=NAMES["posterior"])


def _levels_to_compare(axes: Axes, result: Json) -> None:
    """Horizontal lines at the prior's mean and at descent's median, each with its name at the right end."""
    zero = result["baselines"]["zero"]
    lines = {
        NAMES["prior"]: (result["prior"]["gen_loss"] and result["prior"]["gen_loss"]["mean"], COLOURS["prior"]),
        "zero": (zero and zero["gen_loss"], COLOURS["reference"]),
        NAMES["gd"]: (
            result["gd"] and result["gd"]["gen_loss"] and result["gd"]["gen_loss"]["median"],
            COLOURS["gd"],
        ),
    }
    for name, (value, colour) in lines.items():
        if value:
            axes.axhline(value, color=colour, lw=1, ls=(0, (4, 2)), zorder=1)
            axes.annotate(
                name, (1, value), xycoords=("axes fraction", "data"), xytext=(-2, 1.5), textcoords="offset points",
                ha="right", va="bottom", fontsize=6.2, color=colour,
            )  # fmt: skip


def _curve_title(levels: xr.Dataset) -> str:
    """Whether the loss at the last threshold is clearly below that at the first, above it, or neither."""
    value, error = levels["gen_loss"].values, np.nan_to_num(levels["gen_loss_mcse"].values, nan=np.inf, posinf=np.inf)
    known = np.flatnonzero(np.isfinite(value))
    first, last = known[0], known[-1]
    change, reach = value[last] - value[first], 1.96 * np.hypot(error[first], error[last])
    if abs(change) <= reach:
        return "A tighter fit changes nothing"
    return f"The tighter the fit,\nthe {'better' if change < 0 else 'worse'} it generalises"

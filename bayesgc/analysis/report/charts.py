"""The pictures of a result that can be zoomed and hovered, made with Bokeh from the numbers of the printed ones."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LogAxis, LogTicker
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from bayesgc.analysis.equal_fit import AT_EPS, descent_curve, group_of
from bayesgc.analysis.groups import fitted, has, values
from bayesgc.analysis.numerals import NORMAL_95, rounded
from bayesgc.analysis.plots.cells import cell_name, cell_units
from bayesgc.analysis.plots.joint import joint_points
from bayesgc.analysis.plots.look import COLOURS, FLOOR, NAMES, positive
from bayesgc.analysis.plots.losses import EXACT, reference_marks
from bayesgc.analysis.plots.spectrum import spectrum_band
from bayesgc.analysis.spectra import LAWS
from bayesgc.analysis.summary import Json

HEIGHT = 330
CELLS = 40
_IN_A_ROW = 3
"""Entries of a legend in one row, which a phone has room for."""


def empty_chart(**options: Any) -> Any:
    """An empty chart in the report's look: zoom by wheel or box, reset, save; the wheel acts when it is chosen."""
    defaults: dict[str, Any] = {
        "height": HEIGHT,
        "sizing_mode": "stretch_width",
        "tools": "pan,box_zoom,wheel_zoom,zoom_in,zoom_out,reset,save",
        "toolbar_location": "above",
        "output_backend": "canvas",
    }
    plot = figure(**(defaults | options))
    for axis in plot.axis:
        if isinstance(axis, LogAxis):
            axis.ticker = LogTicker(mantissas=[1, 2, 5], desired_num_ticks=5, num_minor_ticks=0)
    plot.toolbar.logo = None
    plot.toolbar.active_drag = None
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_alpha = 0.4
    plot.outline_line_color = None
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.minor_tick_line_color = None
    return plot


def add_legend(plot: Any) -> None:
    """A legend above the axes whose entries hide and show what they name."""
    if not plot.legend:
        return
    legend = plot.legend[0]
    legend.orientation, legend.click_policy, legend.border_line_color = "horizontal", "hide", None
    legend.ncols = _IN_A_ROW
    legend.label_text_font_size, legend.spacing, legend.padding = "11px", 8, 2
    legend.background_fill_alpha = 0
    plot.add_layout(legend, "above")


def hover(plot: Any, renderer: Any, tips: list[tuple[str, str]]) -> None:
    """Show ``tips`` over what ``renderer`` drew, numbers by ``printf``; Bokeh escapes what comes from files."""
    numbers: Any = {field: "printf" for _, text in tips for field in re.findall(r"(@\w+){%", text)}
    plot.add_tools(HoverTool(renderers=[renderer], tooltips=tips, formatters=numbers, visible=False))


def losses_chart(tree: xr.DataTree, result: Json) -> Any:
    """Densities of the loss under prior and posterior, the restarts below them, and the reference points."""
    loss = "gen_loss" if has(tree, "prior", "gen_loss") else "train_loss"
    plot = empty_chart(x_axis_type="log", x_axis_label=_axis(loss), y_axis_label="density of log₁₀ loss")
    top = max(_histogram(plot, tree, law, loss) for law in ("prior", "posterior") if law in tree.children)
    for group in (AT_EPS, "gd", "map"):
        if group in tree.children:
            _restarts(plot, tree, group, loss, top)
    for value, name in reference_marks(result["baselines"], loss):
        plot.add_layout(Span(location=value, dimension="height", line_dash="dashed", line_color=COLOURS["reference"]))
        data = ColumnDataSource({"x": [value], "y": [1.04 * top], "name": [name], "loss": [rounded(value)]})
        mark = plot.scatter("x", "y", source=data, marker="inverted_triangle", size=9, color=COLOURS["reference"])
        hover(plot, mark, [("reference", "@name"), ("loss", "@loss")])
    plot.yaxis.major_label_text_font_size, plot.yaxis.major_tick_line_color = "0px", None
    add_legend(plot)
    return plot


def _axis(loss: str) -> str:
    return {"gen_loss": "generalisation loss L_gen", "train_loss": "training loss L_train"}[loss]


def _histogram(plot: Any, tree: xr.DataTree, law: str, loss: str) -> float:
    logs = np.log10(positive(values(tree, law, loss)))
    heights, edges = np.histogram(logs, bins=int(np.clip(np.sqrt(logs.size), 8, 45)), density=True)
    share = 100 * heights * np.diff(edges)
    data = ColumnDataSource({"left": 10 ** edges[:-1], "right": 10 ** edges[1:], "top": heights, "share": share})
    bars = plot.quad(
        left="left", right="right", top="top", bottom=0, source=data, fill_alpha=0.35, line_alpha=0.7,
        color=COLOURS[law], legend_label=NAMES[law],
    )  # fmt: skip
    hover(plot, bars, [("law", NAMES[law]), ("loss", "@left{%.3g} to @right{%.3g}"), ("draws", "@share{%.1f} %")])
    return float(heights.max())


def _restarts(plot: Any, tree: xr.DataTree, group: str, loss: str, top: float) -> None:
    found, good = values(tree, group, loss).astype(np.float64), fitted(tree, group)
    # Those that fitted first, of which the legend takes its sign.
    known = np.argsort(~good, kind="stable")
    known = known[np.isfinite(found[known])]
    height = -top * (0.05 + 0.1 * (np.arange(found.size) * 0.618034 % 1.0))
    data = ColumnDataSource({
        "x": np.maximum(found[known], EXACT if group == "map" else FLOOR), "y": height[known],
        "restart": known + 1,
        "loss": found[known], "fill": np.where(good[known], 0.8, 0.0), "fitted": np.where(good[known], "yes", "no"),
    })  # fmt: skip
    points = plot.scatter(
        "x", "y", source=data, size=11 if group == "map" else 7, marker=_MARKS[group],
        fill_alpha="fill", color=COLOURS[group], legend_label=NAMES[group],
    )  # fmt: skip
    hover(plot, points, [("restart", "@restart"), ("loss", "@loss{%.3g}"), ("fitted", "@fitted")])


_MARKS = {AT_EPS: "circle", "gd": "diamond", "map": "star"}


def _descent(plot: Any, tree: xr.DataTree, eps: np.ndarray) -> None:
    """The curve of gradient descent: median and quartiles over restarts."""
    curve = descent_curve(tree, float(eps.min()), float(eps.max()))
    if curve is None:
        return
    data = ColumnDataSource(dict(zip(("eps", "low", "middle", "high"), curve, strict=True)))
    plot.varea("eps", "low", "high", source=data, color=COLOURS[AT_EPS], alpha=0.2)
    line = plot.line("eps", "middle", source=data, color=COLOURS[AT_EPS], line_width=2)
    tips = [("gradient descent at", "@eps{%.3g}"), ("median L_gen", "@middle{%.3g}")]
    hover(plot, line, [*tips, ("quartiles", "@low{%.3g} to @high{%.3g}")])


def curve_chart(tree: xr.DataTree) -> Any:
    """E[L_gen | L_train < ε] and the log volume against ε, with 95 % bands; dotted, its limit; the curve of descent."""
    levels = tree["levels"].to_dataset()
    limit = levels["gen_loss"].values[levels["threshold"].values == 0]
    known = np.isfinite(levels["threshold"].values) & (levels["threshold"].values > 0)
    levels = levels.isel(level=known)
    names = {"gen_loss": "E[L_gen | L_train < ε]", "log_volume": "log volume"}
    shown = {name: label for name, label in names.items() if np.isfinite(levels[name].values).any()}
    plots: list[Any] = []
    for name, label in shown.items():
        options = {"x_range": plots[0].x_range} if plots else {}
        scale = "log" if name == "gen_loss" else "linear"
        plot = empty_chart(
            height=HEIGHT // len(shown) + 20, x_axis_type="log", y_axis_type=scale, y_axis_label=label, **options
        )
        _band(plot, levels, name)
        if name == "gen_loss":
            _descent(plot, tree, levels["threshold"].values)
        if name == "gen_loss" and limit.size and np.isfinite(limit).all():
            plot.add_layout(Span(location=float(limit[0]), dimension="width", line_dash="dotted", line_width=2))
        plots.append(plot)
    return _over_thresholds(plots, levels["threshold"].values)


def _over_thresholds(plots: list[Any], eps: np.ndarray) -> Any:
    """Charts under one another over the same thresholds, with one toolbar for all."""
    plots[-1].xaxis.axis_label = "threshold ε on the training loss"
    low, high = float(eps.min()), float(eps.max())
    if high / low < _WIDE:  # where a logarithmic ticker marks one end alone
        powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)))
        marks = np.outer(powers, (1, 2, 5) if high / low > 10 else (1, 2, 3, 5, 7)).ravel()
        for plot in plots:
            plot.xaxis.ticker = FixedTicker(ticks=marks.tolist())
    return gridplot([[plot] for plot in plots], sizing_mode="stretch_width", toolbar_options={"logo": None})


_WIDE = 100


def _band(plot: Any, levels: xr.Dataset, name: str) -> None:
    found = levels[name].values.astype(np.float64)
    error = np.nan_to_num(levels[f"{name}_mcse"].values, nan=0.0, posinf=0.0)
    reach = NORMAL_95 * error
    low = np.maximum(found - reach, FLOOR) if name == "gen_loss" else found - reach
    eps = levels["threshold"].values
    data = ColumnDataSource({"eps": eps, "found": found, "error": error, "low": low, "high": found + reach})
    plot.varea("eps", "low", "high", source=data, color=COLOURS["posterior"], alpha=0.2)
    plot.line("eps", "found", source=data, color=COLOURS["posterior"], line_width=2)
    points = plot.scatter("eps", "found", source=data, color=COLOURS["posterior"], size=6)
    hover(plot, points, [("ε", "@eps{%.3g}"), (name.replace("_", " "), "@found{%.3g}"), ("error", "@error{%.3g}")])


def joint_chart(tree: xr.DataTree) -> Any:
    """Each draw and each restart by training and held-out loss."""
    plot = empty_chart(
        x_axis_type="log", y_axis_type="log", x_axis_label="training loss L_train", y_axis_label=_axis("gen_loss")
    )
    for law in ("prior", "posterior", AT_EPS, "gd", "map"):
        if law not in tree.children:
            continue
        train, gen = joint_points(tree, law)
        single = law in _MARKS
        points = plot.scatter(
            "x", "y", source=ColumnDataSource({"x": train, "y": gen}), size=8 if single else 3,
            color=COLOURS[law], alpha=0.9 if single else 0.4, legend_label=NAMES[law],
        )  # fmt: skip
        hover(plot, points, [("law", NAMES[law]), ("L_train", "@x{%.3g}"), ("L_gen", "@y{%.3g}")])
    if float(tree.attrs["eps"]) > 0:
        plot.add_layout(Span(location=float(tree.attrs["eps"]), dimension="height", line_dash="dashed"))
    add_legend(plot)
    return plot


def spectrum_chart(tree: xr.DataTree) -> Any:
    """Medians and quartiles of the singular values relative to the largest."""
    plot = empty_chart(y_axis_type="log", x_axis_label="singular value, by rank", y_axis_label="share of the largest")
    for law in LAWS:
        band = spectrum_band(tree, law)
        if band is None:
            continue
        low, middle, high = band
        name = NAMES[group_of(tree, law)]
        data = ColumnDataSource({"i": np.arange(1, len(middle) + 1), "low": low, "middle": middle, "high": high})
        plot.segment("i", "low", "i", "high", source=data, color=COLOURS[law], legend_label=name)
        dash = "dotted" if law == "truth" else "solid"
        plot.line("i", "middle", source=data, color=COLOURS[law], line_width=2, line_dash=dash, legend_label=name)
        points = plot.scatter("i", "middle", source=data, color=COLOURS[law], size=7, legend_label=name)
        tips = [("law", name), ("σ_i/σ_1", "@middle{%.3g}"), ("quartiles", "@low{%.3g} to @high{%.3g}")]
        hover(plot, points, tips)
    plot.xaxis.ticker = list(range(1, 1 + min(tree["prior"]["end_to_end"].shape[2:])))
    add_legend(plot)
    return plot


def levels_chart(tree: xr.DataTree) -> Any:
    """Accepted moves and ancestors on each level."""
    levels = tree["levels"].to_dataset()
    levels = levels.isel(level=np.isfinite(levels["threshold"].values + levels["acceptance"].values))
    data = ColumnDataSource({name: levels[name].values for name in ("threshold", "acceptance", "ancestors")})
    plots: list[Any] = []
    for name, label in (("acceptance", "accepted moves"), ("ancestors", "ancestors of an island")):
        options = {"x_range": plots[0].x_range} if plots else {}
        plot = empty_chart(height=HEIGHT // 2 + 20, x_axis_type="log", y_axis_label=label, **options)
        plot.line("threshold", name, source=data, color=COLOURS["posterior"], line_width=2)
        points = plot.scatter("threshold", name, source=data, color=COLOURS["posterior"], size=6)
        hover(plot, points, [("ε", "@threshold{%.3g}"), (label, f"@{name}{{%.3g}}")])
        plots.append(plot)
    return _over_thresholds(plots, levels["threshold"].values)


def cells_chart(tree: xr.DataTree, cells: list[Json]) -> Any:
    """Mean and 90 % interval of the missing cells, drawn in standard deviations of their columns, told in the units."""
    shown = cells[:CELLS]
    center, scale, unit = cell_units(tree, len(shown))
    data = ColumnDataSource({"name": [cell_name(cell) for cell in shown], "height": -np.arange(len(shown))} | {
        key: [cell[key] for cell in shown] for key in ("mean", "q05", "q95")
    } | {f"{key}_drawn": (np.array([cell[key] for cell in shown]) - center) / scale for key in ("mean", "q05", "q95")}
    )  # fmt: skip
    plot = empty_chart(height=max(HEIGHT, 90 + 20 * len(shown)), x_axis_label=unit)
    plot.yaxis.ticker = FixedTicker(ticks=[-place for place in range(len(shown))])
    plot.yaxis.major_label_overrides = {-place: cell_name(cell) for place, cell in enumerate(shown)}
    plot.segment(
        "q05_drawn", "height", "q95_drawn", "height", source=data, color=COLOURS["posterior"], line_width=3,
        line_alpha=0.5,
    )  # fmt: skip
    points = plot.scatter("mean_drawn", "height", source=data, color=COLOURS["posterior"], size=8)
    hover(plot, points, [("cell", "@name"), ("mean", "@mean{%.5g}"), ("90 %", "@q05{%.5g} to @q95{%.5g}")])
    return plot

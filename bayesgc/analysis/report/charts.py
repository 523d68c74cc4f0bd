"""The pictures of a result that can be zoomed and hovered, made with Bokeh from the numbers of the printed ones."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LogAxis, LogTicker
from bokeh.plotting import figure

from bayesgc.analysis.equal_fit import AT_EPS, group_of
from bayesgc.analysis.measures import Measure, Measures, measures_in
from bayesgc.analysis.plots.cells import cell_name, cell_units
from bayesgc.analysis.plots.curve import descent_beside, drawn_levels, known_curve, threshold_axis
from bayesgc.analysis.plots.joint import joint_points
from bayesgc.analysis.plots.levels import levels_axis
from bayesgc.analysis.plots.look import COLOURS, FLOOR, NAMES, names_in
from bayesgc.analysis.plots.losses import EXACT, density_of, reference_marks, shown_measure
from bayesgc.analysis.plots.spectrum import spectrum_band
from bayesgc.analysis.spectra import LAWS
from bayesgc.analysis.tree.groups import fitted, values
from bayesgc.analysis.tree.summary import Json
from bayesgc.analysis.words.numerals import NORMAL_95, rounded

HEIGHT = 330
CELLS = 40
FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif'
"""That of the page, which its canvases do not inherit."""
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
    plot.axis.axis_label_text_font = plot.axis.major_label_text_font = FONT
    plot.axis.minor_tick_line_color = None
    return plot


def add_legend(plot: Any) -> None:
    """A legend above the axes whose entries hide and show what they name."""
    if not plot.legend:
        return
    legend = plot.legend[0]
    legend.orientation, legend.click_policy, legend.border_line_color = "horizontal", "hide", None
    legend.ncols = _IN_A_ROW
    legend.label_text_font_size, legend.spacing, legend.padding = "10px", 5, 2
    legend.background_fill_alpha, legend.label_text_font = 0, FONT
    plot.add_layout(legend, "above")


def hover(plot: Any, drawn: Any, tips: list[tuple[str, str]]) -> None:
    """Show ``tips`` over what is ``drawn``, which may be a list, numbers by ``printf``.

    Bokeh escapes what comes from files.
    """
    numbers: Any = {field: "printf" for _, text in tips for field in re.findall(r"(@\w+){%", text)}
    plot.add_tools(
        HoverTool(
            renderers=drawn if isinstance(drawn, list) else [drawn], tooltips=tips, formatters=numbers, visible=False
        )
    )


def reference_line(plot: Any, place: float, name: str, *, upright: bool, dash: str = "dashed") -> None:
    """A line across the chart that is named in the legend and where one points at it."""
    data = ColumnDataSource({"place": [place], "name": [name], "told": [rounded(place)]})
    line = _across(plot, "place", data, name, upright=upright, dash=dash)
    hover(plot, line, [("reference", "@name"), ("at", "@told")])


def _across(plot: Any, field: str, data: ColumnDataSource, legend: str, *, upright: bool, dash: str = "dashed") -> Any:
    """Lines across the chart at what a field of the data holds."""
    draw, along = (plot.vspan, "x") if upright else (plot.hspan, "y")
    look = {"line_dash": dash, "line_color": COLOURS["reference"], "line_width": 1.5}
    return draw(**{along: field}, source=data, legend_label=legend, **look)


def losses_chart(tree: xr.DataTree, result: Json) -> Any:
    """Densities of the loss under prior and posterior, the restarts below them, and the reference points."""
    loss = shown_measure(tree)
    scale, label = ("linear", "density") if loss.whole else ("log", "density of log₁₀ loss")
    plot = empty_chart(x_axis_type=scale, x_axis_label=loss.plain_axis, y_axis_label=label)
    top = max(_histogram(plot, tree, law, loss) for law in ("prior", "posterior") if law in tree.children)
    for group in (AT_EPS, "gd", "map"):
        if group in tree.children:
            _restarts(plot, tree, group, loss, top)
    for value, name in reference_marks(result["baselines"], loss):
        data = ColumnDataSource({"x": [value], "y": [1.04 * top], "name": [name], "loss": [rounded(value)]})
        mark = plot.scatter("x", "y", source=data, marker="inverted_triangle", size=9, color=COLOURS["reference"])
        line = _across(plot, "x", data, "reference points", upright=True)
        hover(plot, [mark, line], [("reference", "@name"), ("loss", "@loss")])
    plot.yaxis.major_label_text_font_size, plot.yaxis.major_tick_line_color = "0px", None
    add_legend(plot)
    return plot


def _histogram(plot: Any, tree: xr.DataTree, law: str, loss: Measure) -> float:
    heights, edges = density_of(tree, law, loss)
    share = 100 * heights * np.diff(edges if loss.whole else np.log10(edges))
    data = ColumnDataSource({"left": edges[:-1], "right": edges[1:], "top": heights, "share": share})
    bars = plot.quad(
        left="left", right="right", top="top", bottom=0, source=data, fill_alpha=0.35, line_alpha=0.7,
        color=COLOURS[law], legend_label=NAMES[law],
    )  # fmt: skip
    hover(plot, bars, [("law", NAMES[law]), ("loss", "@left{%.3g} to @right{%.3g}"), ("draws", "@share{%.1f} %")])
    return float(heights.max())


def _restarts(plot: Any, tree: xr.DataTree, group: str, loss: Measure, top: float) -> None:
    found, good = np.asarray(loss.scaled(values(tree, group, loss.name).astype(np.float64))), fitted(tree, group)
    name, least = names_in(tree)[group], 0.0 if loss.whole else EXACT if group == "map" else FLOOR
    # Those that fitted first, of which the legend takes its sign.
    known = np.argsort(~good, kind="stable")
    known = known[np.isfinite(found[known])]
    height = -top * (0.05 + 0.1 * (np.arange(found.size) * 0.618034 % 1.0))
    data = ColumnDataSource({
        "x": np.maximum(found[known], least), "y": height[known],
        "restart": known + 1,
        "loss": found[known], "fill": np.where(good[known], 0.8, 0.0), "fitted": np.where(good[known], "yes", "no"),
    })  # fmt: skip
    points = plot.scatter(
        "x", "y", source=data, size=11 if group == "map" else 7, marker=_MARKS[group],
        fill_alpha="fill", color=COLOURS[group], legend_label=name,
    )  # fmt: skip
    hover(plot, points, [("restart", "@restart"), ("loss", "@loss{%.3g}"), ("fitted", "@fitted")])


_MARKS = {AT_EPS: "circle", "gd": "diamond", "map": "star"}


def _descent(plot: Any, tree: xr.DataTree) -> None:
    """The curve of gradient descent: median and quartiles over restarts."""
    curve = descent_beside(tree)
    if curve is None:
        return
    data = ColumnDataSource(dict(zip(("eps", "low", "middle", "high"), curve, strict=True)))
    plot.varea("eps", "low", "high", source=data, color=COLOURS[AT_EPS], alpha=0.2)
    name = "GD at each threshold"
    line = plot.line("eps", "middle", source=data, color=COLOURS[AT_EPS], line_width=2, legend_label=name)
    tips = [("gradient descent at", "@eps{%.3g}"), ("median L_gen", "@middle{%.3g}")]
    hover(plot, line, [*tips, ("quartiles", "@low{%.3g} to @high{%.3g}")])


def curve_chart(tree: xr.DataTree) -> Any:
    """Mean generalisation and log volume against ε, with 95 % bands; dotted, its limit; the curve of descent."""
    found, measures = known_curve(tree), measures_in(tree)
    measure, percent = measures.generalisation, measures.generalisation.percent
    scaled = {name: measure.scaled(found[name]) for name in ("generalisation", "generalisation_mcse")}
    levels = found.assign(scaled)
    limit = levels["generalisation"].values[(levels["threshold"].values == 0) & (not measures.counted)]
    levels = levels.isel(level=drawn_levels(levels, measures))
    names = {"generalisation": measure.axis if percent else "E[L_gen | L_train < ε]", "log_volume": "log volume"}
    shown = {name: label for name, label in names.items() if np.isfinite(levels[name].values).any()}
    plots: list[Any] = []
    for name, label in shown.items():
        options = {"x_range": plots[0].x_range} if plots else {}
        scale, along = "log" if name in scaled and not percent else "linear", "linear" if measures.counted else "log"
        plot = empty_chart(
            height=HEIGHT // len(shown) + 20, x_axis_type=along, y_axis_type=scale, y_axis_label=label, **options
        )
        _band(plot, levels, name, measures)
        if name in scaled:
            _descent(plot, tree)
        if name in scaled and limit.size and np.isfinite(limit).all():
            reference_line(plot, float(limit[0]), "limit at ε = 0", upright=False, dash="dotted")
        if name in scaled:
            add_legend(plot)
        plots.append(plot)
    return _over_thresholds(plots, levels["threshold"].values, threshold_axis(measures), linear=measures.counted)


def _over_thresholds(plots: list[Any], eps: np.ndarray, label: str, *, linear: bool) -> Any:
    """Charts under one another over the same thresholds, with one toolbar for all."""
    plots[-1].xaxis.axis_label = label
    low, high = float(eps.min()), float(eps.max())
    if not linear and high / low < _WIDE:  # where a logarithmic ticker marks one end alone
        powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)))
        marks = np.outer(powers, (1, 2, 5) if high / low > 10 else (1, 2, 3, 5, 7)).ravel()
        for plot in plots:
            plot.xaxis.ticker = FixedTicker(ticks=marks.tolist())
    return gridplot([[plot] for plot in plots], sizing_mode="stretch_width", toolbar_options={"logo": None})


_WIDE = 100


def _band(plot: Any, levels: xr.Dataset, name: str, measures: Measures) -> None:
    found = levels[name].values.astype(np.float64)
    error = np.nan_to_num(levels[f"{name}_mcse"].values, nan=0.0, posinf=0.0)
    reach = NORMAL_95 * error
    logarithmic = name == "generalisation" and not measures.generalisation.percent
    low = np.maximum(found - reach, FLOOR) if logarithmic else found - reach
    eps = levels["threshold"].values
    data = ColumnDataSource({"eps": eps, "found": found, "error": error, "low": low, "high": found + reach})
    plot.varea("eps", "low", "high", source=data, color=COLOURS["posterior"], alpha=0.2)
    named = {"legend_label": NAMES["posterior"]} if name == "generalisation" else {}
    plot.line("eps", "found", source=data, color=COLOURS["posterior"], line_width=2, **named)
    points = plot.scatter("eps", "found", source=data, color=COLOURS["posterior"], size=6)
    place = "errors allowed" if measures.counted else "ε"
    what = measures.generalisation.tip if name == "generalisation" else name.replace("_", " ")
    hover(plot, points, [(place, "@eps{%.3g}"), (what, "@found{%.3g}"), ("error", "@error{%.3g}")])


def joint_chart(tree: xr.DataTree) -> Any:
    """Each draw and each restart by training and held-out loss."""
    measures, names = measures_in(tree), names_in(tree)
    fit, gen_of = measures.fit, measures.generalisation
    along, up = ("linear" if each.whole else "log" for each in (fit, gen_of))
    plot = empty_chart(x_axis_type=along, y_axis_type=up, x_axis_label=fit.plain_axis, y_axis_label=gen_of.plain_axis)
    for law in ("prior", "posterior", AT_EPS, "gd", "map"):
        if law not in tree.children:
            continue
        train, gen, count = joint_points(tree, law)
        single = law in _MARKS
        points = plot.scatter(
            "x", "y", source=ColumnDataSource({"x": train, "y": gen, "count": count}), size=8 if single else 3,
            color=COLOURS[law], alpha=0.9 if single else 0.4, legend_label=names[law],
            marker=_MARKS.get(law, "circle"),
        )  # fmt: skip
        tips = [("law", names[law]), (fit.symbol, "@x{%.3g}"), (gen_of.symbol, "@y{%.3g}")]
        hover(plot, points, [*tips, *([("restarts here", "@count")] if single else [])])
    if not measures.exact(eps := float(tree.attrs["eps"])):
        place = eps + 0.5 if measures.counted else eps
        reference_line(plot, place, f"a fit: {measures.formula(eps)}", upright=True)
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
        along = "linear" if measures_in(tree).counted else "log"
        plot = empty_chart(height=HEIGHT // 2 + 20, x_axis_type=along, y_axis_label=label, **options)
        plot.line("threshold", name, source=data, color=COLOURS["posterior"], line_width=2)
        points = plot.scatter("threshold", name, source=data, color=COLOURS["posterior"], size=6)
        hover(plot, points, [("ε", "@threshold{%.3g}"), (label, f"@{name}{{%.3g}}")])
        plots.append(plot)
    linear = measures_in(tree).counted
    return _over_thresholds(plots, levels["threshold"].values, levels_axis(tree), linear=linear)


def cells_chart(tree: xr.DataTree, cells: list[Json]) -> Any:
    """Mean and 90 % interval of the missing cells, drawn in standard deviations of their columns, told in the units."""
    shown = cells[:CELLS]
    center, scale, unit = cell_units(tree, len(shown))
    data = ColumnDataSource({"name": [cell_name(cell) for cell in shown], "height": -np.arange(len(shown))} | {
        key: [cell[key] for cell in shown] for key in ("mean", "q05", "q95")
    } | {f"{key}_drawn": (np.array([cell[key] for cell in shown]) - center) / scale for key in ("mean", "q05", "q95")}
    )  # fmt: skip
    plot = empty_chart(height=max(HEIGHT, 90 + 20 * len(shown)), x_axis_label=unit or "the table's units")
    plot.yaxis.ticker = FixedTicker(ticks=[-place for place in range(len(shown))])
    plot.yaxis.major_label_overrides = {-place: cell_name(cell) for place, cell in enumerate(shown)}
    plot.segment(
        "q05_drawn", "height", "q95_drawn", "height", source=data, color=COLOURS["posterior"], line_width=3,
        line_alpha=0.5,
    )  # fmt: skip
    points = plot.scatter("mean_drawn", "height", source=data, color=COLOURS["posterior"], size=8)
    hover(plot, points, [("cell", "@name"), ("mean", "@mean{%.5g}"), ("90 %", "@q05{%.5g} to @q95{%.5g}")])
    return plot

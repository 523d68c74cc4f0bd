"""The page about a sweep."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from bokeh.models import ColumnDataSource, DataRange1d
from matplotlib.figure import Figure

from bayesgc import __version__
from bayesgc.analysis.claims.decisions import Claim
from bayesgc.analysis.equal_fit import descent_variable
from bayesgc.analysis.measures import measures_over
from bayesgc.analysis.plots.canvas import axes_on, handed_over
from bayesgc.analysis.plots.look import COLOURS, NAMES, in_the_look, title_and_legend
from bayesgc.analysis.plots.sweep import mark_places
from bayesgc.analysis.report import charts
from bayesgc.analysis.report.claims import claims_of, claims_section, verdicts
from bayesgc.analysis.report.page import Page, Picture, Section, Table
from bayesgc.analysis.report.stills import data_uri
from bayesgc.analysis.report.trends import answer, change, factor, headline, laws
from bayesgc.analysis.tree.panels import Panel
from bayesgc.analysis.tree.stores import Store, load_store
from bayesgc.analysis.words.numerals import duration, quartiles, rounded, with_error

_BAND = 0.18
_MOST_PICTURES = 24


def sweep_page(folder: Path) -> Page:
    """What the sweep says, its curves, every cell with its outcome, and how to run it on."""
    store = load_store(folder)
    outcomes = Counter(str(each) or "not run" for each in store.strings("outcome").ravel())
    claims = claims_of(store)
    return Page(
        title=store.title,
        question=str(store.cells.attrs.get("question") or store.sweep.get("question") or _question(store)),
        answer=" ".join(filter(None, (verdicts(claims), answer(store)))),
        facts=_facts(store, outcomes),
        warning=_warning(store, outcomes),
        sections=tuple(_sections(store, claims)),
        made_by=f"bayesgc {__version__}",
        losses=not measures_over(store.cells).classes,
    )


def _question(store: Store) -> str:
    return (
        f"How does the generalisation of weights that merely fit change with {store.panels[0].axis.replace('_', ' ')}?"
    )


def _facts(store: Store, outcomes: Counter[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    axes = "; ".join(f"{name}: {', '.join(map(str, store.cells[name].values.tolist()))}" for name in store.axes)
    cells = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    facts = [("Axes", axes), ("Cells", f"{sum(outcomes.values())}: {cells}")]
    if "seconds" in store.cells:
        total = float(np.nansum(store.cells["seconds"].values))
        facts.append(("Computing time", duration(total)))
    return tuple((name, (line,)) for name, line in facts)


def _warning(store: Store, outcomes: Counter[str]) -> str:
    waiting = outcomes["not run"]
    short = outcomes.total() - outcomes["converged"] - waiting
    flagged = int((store.strings("flag") != "").sum())
    parts = [f"{waiting} of {outcomes.total()} cells have not run"] if waiting else []
    parts += [f"{short} of {outcomes.total()} cells did not converge"] if short else []
    parts += [f"{flagged} {'is' if flagged == 1 else 'are'} flagged"] if flagged else []
    return f"{', '.join(parts)}; the table of cells says which." if parts else ""


def _sections(store: Store, claims: list[Claim]) -> Iterator[Section]:
    found = store.panels
    if claimed := claims_section(claims):
        yield claimed
    pictures = tuple(_picture(f"sweep-{place}", panel) for place, panel in enumerate(found[:_MOST_PICTURES]))
    yield Section("curves", "Curves", pictures=pictures)
    yield Section("summary", "Summary over tasks", tables=(_changes(found), *(_summary(panel).told for panel in found)))
    yield Section("cells", "Every cell", tables=(_cells(store).told,))
    if notes := store.sweep.get("notes"):
        yield Section("notes", "What to know", tuple(map(str, notes)))
    yield _again(store)


def _names(cells: xr.Dataset) -> dict[str, str]:
    """What the laws of a sweep are called."""
    return NAMES | {"gd_at_eps": f"GD, {measures_over(cells).first_fit}"}


def _descents(cells: xr.Dataset) -> dict[str, str]:
    """The variables of gradient descent at its first fit and at its end, and what they are called."""
    primary, names = measures_over(cells).generalisation.name, _names(cells)
    return {f"{law}_{primary}": names[law] for law in ("gd_at_eps", "gd")}


def _picture(key: str, panel: Panel) -> Picture:
    title, measures = _picture_title(panel), measures_over(panel.cells)
    words = "Median and quartiles over tasks" + ("" if measures.labelled else " of each task's E[L_gen]")
    if descent_variable(panel.cells) in laws(panel.cells).values():
        where = measures.first_fit if measures.labelled else "where they first passed ε"
        words += f"; gradient descent's are medians over restarts, {where}"
    words += "."
    return Picture(key, f"{title}.", words, f"{title}. {words}", data_uri(_still(panel)), _chart(panel))


def _picture_title(panel: Panel) -> str:
    gap = change(panel)
    if gap is None:
        return f"{panel.name}: too few cells to tell"
    return f"{panel.name}: {headline(gap, panel.axis.replace('_', ' '))}"


@in_the_look
def _still(panel: Panel) -> Figure:
    axes = axes_on(None)
    places = panel.positions
    measures = measures_over(panel.cells)
    measure = measures.generalisation
    for law, variable in laws(panel.cells).items():
        low, middle, high = measure.scaled(panel.band(variable))
        axes.fill_between(places, low, high, color=COLOURS[law], alpha=_BAND, lw=0)
        axes.plot(places, middle, color=COLOURS[law], marker="o", ms=3, label=_names(panel.cells)[law])
    _zero(
        panel,
        lambda zero: axes.plot(places, zero, "--", color=COLOURS["reference"], lw=1, label=measures.ignorant.name),
    )
    axes.set(xlabel=panel.axis.replace("_", " "), ylabel=measure.axis)
    axes.set_ylim(bottom=0)
    mark_places([axes], panel)
    title_and_legend(axes, "")  # the caption has the title
    return handed_over(axes, None)


def _zero(panel: Panel, draw: Callable[[np.ndarray], Any]) -> None:
    """Draw what a reference point that knows nothing has, where the sweep has it."""
    measures = measures_over(panel.cells)
    name = f"{measures.ignorant.name}_{measures.generalisation.name}"
    if name in panel.cells and np.isfinite(zero := panel.band(name)[1]).any():
        draw(measures.generalisation.scaled(zero))


def _chart(panel: Panel) -> object:
    names, measures = [str(place) for place in panel.places], measures_over(panel.cells)
    measure, called = measures.generalisation, _names(panel.cells)
    plot = charts.empty_chart(
        y_range=DataRange1d(start=0.0), x_range=names, x_axis_label=panel.axis.replace("_", " "),
        y_axis_label=measure.plain_axis,
    )  # fmt: skip
    for law, variable in laws(panel.cells).items():
        low, middle, high = measure.scaled(panel.band(variable))
        known = np.isfinite(middle)
        count = np.isfinite(panel.over_tasks(variable)).sum(axis=1)
        parts = {"place": np.array(names)[known], "low": low[known], "middle": middle[known], "high": high[known]}
        data = ColumnDataSource(parts | {"tasks": count[known]})
        plot.varea("place", "low", "high", source=data, color=COLOURS[law], alpha=_BAND, legend_label=called[law])
        plot.line("place", "middle", source=data, color=COLOURS[law], line_width=2, legend_label=called[law])
        points = plot.scatter("place", "middle", source=data, color=COLOURS[law], size=7, legend_label=called[law])
        tips = [("law", called[law]), (panel.axis, "@place"), ("median", "@middle{%.3g}")]
        charts.hover(plot, points, [*tips, ("quartiles", "@low{%.3g} to @high{%.3g}"), ("tasks", "@tasks")])
    _zero(panel, lambda zero: _reference(plot, panel, names, zero))
    charts.add_legend(plot)
    return plot


def _reference(plot: Any, panel: Panel, names: list[str], zero: np.ndarray) -> None:
    """The dashed line of a reference point that knows nothing, named where one points at it."""
    name, data = measures_over(panel.cells).ignorant.name, ColumnDataSource({"place": names, "found": zero})
    line = plot.line("place", "found", source=data, color=COLOURS["reference"], line_dash="dashed", legend_label=name)
    charts.hover(plot, line, [("reference", name), (panel.axis, "@place"), ("median", "@found{%.3g}")])


def _changes(found: list[Panel]) -> Table:
    rows: list[tuple[str, ...]] = []
    measure = measures_over(found[0].cells).generalisation
    for panel in found:
        gap = change(panel)
        if gap is None:
            rows.append((panel.name, "-", "-", "-"))
        else:
            rows.append(
                (
                    panel.name,
                    measure.estimate(gap.difference, gap.mcse, bare=True),
                    factor(gap),
                    str(gap.tasks),
                )
            )
    caption = (
        f"{measure.mean} at the last value minus that at the first, and {measure.symbol} over it, paired over tasks; "
        "± and 95 % from the spread over tasks."
    )
    return Table(caption, ("Panel", f"Δ{measure.mean_heading}", "factor", "tasks"), rows)


def _summary(panel: Panel) -> Table:
    """Medians and quartiles over tasks along the swept axis."""
    shown, measure = laws(panel.cells), measures_over(panel.cells).generalisation
    bands = {law: panel.band(variable) for law, variable in shown.items()}
    volume = panel.band("log_volume") if "log_volume" in panel.cells else None
    rows: list[tuple[str, ...]] = []
    for place, name in enumerate(panel.places):
        losses = (_spread(measure.scaled(band[:, place])) for band in bands.values())
        rows.append((str(name), *losses, "-" if volume is None else rounded(volume[1, place])))
    caption = f"{panel.name}: median [quartiles] over tasks of {measure.mean_heading}, and the median log volume."
    return Table(
        caption, (panel.axis.replace("_", " "), *map(_names(panel.cells).__getitem__, shown), "log volume"), rows
    )


def _spread(band: np.ndarray) -> str:
    return "-" if not np.isfinite(band[1]) else f"{rounded(float(band[1]))} {quartiles(float(band[0]), float(band[2]))}"


def _cells(store: Store) -> Table:
    """One row a cell, with its outcome and what is to be read with care."""
    table = {name: store.strings(name) for name in ("outcome", "flag", "failure", "method")}
    descents, measure = _descents(store.cells), measures_over(store.cells).generalisation
    primary, given = measure.name, f"{measure.heading} | fit" if measure.percent else "E[L_gen | fit]"
    numbers = {name: store.cells[name].transpose(*store.axes).values for name in store.cells.data_vars
               if store.cells[name].dtype.kind == "f" and set(store.cells[name].dims) == set(store.axes)}  # fmt: skip
    numbers = {name: measure.scaled(found) if primary in str(name) else found for name, found in numbers.items()}
    rows: list[tuple[str, ...]] = []
    marks: dict[int, str] = {}
    for index in product(*(range(store.cells.sizes[name]) for name in store.axes)):
        labels = [str(store.cells[name].values[place]) for name, place in zip(store.axes, index, strict=True)]
        outcome, note = str(table["outcome"][index]) or "not run", str(table["failure"][index] or table["flag"][index])
        if outcome != "converged" or note:
            marks[len(rows)] = "caution"
        pairs = ((f"posterior_{primary}", f"posterior_{primary}_mcse"), ("log_volume", "log_volume_mcse"))
        found = [_number(numbers, *pair, index) for pair in pairs]
        gd = [_number(numbers, name, None, index) for name in descents]
        rows.append((*labels, found[0], *gd, found[1], str(table["method"][index]), outcome, note or "-"))
    axes = (name.replace("_", " ") for name in store.axes)
    headings = (
        *axes,
        given,
        *descents.values(),
        "log volume",
        "method",
        "outcome",
        "note",
    )
    first = len(store.axes)
    return Table("Every cell of the sweep; ± one standard error.", headings, rows, marks, first, first + 3)


def _number(numbers: dict[object, np.ndarray], name: str, error: str | None, index: tuple[int, ...]) -> str:
    if name not in numbers or not np.isfinite(numbers[name][index]):
        return "-"
    value = float(numbers[name][index])
    if error is None or error not in numbers:
        return rounded(value)
    found = float(numbers[error][index])
    return with_error(value, found if np.isfinite(found) else None)


def _again(store: Store) -> Section:
    words = (
        "The command that made the folder (bayesgc sweep, reproduce or study, with the same file or name), given the "
        f"same folder {store.folder.name} again, runs what is missing and leaves the rest as it is."
    )
    plan = json.dumps(store.sweep, indent=2)
    return Section("again", "Run it again", (words,), folded=(("The sweep's plan", plan),))

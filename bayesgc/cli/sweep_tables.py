"""What ``bayesgc sweep`` prints: the cells to come with their time, and the medians of those that are there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rich.console import Console
from rich.markup import escape

from bayesgc.analysis.certificate import guesses, vacuous
from bayesgc.analysis.equal_fit import descent_variable
from bayesgc.analysis.measures import measures_over
from bayesgc.analysis.tree.panels import REPLICATES, axes_of
from bayesgc.analysis.words.fitted import FittedTable
from bayesgc.analysis.words.numerals import decimals, duration
from bayesgc.experiments.cell import Cell
from bayesgc.experiments.dataset import BETWEEN_FLAGS
from bayesgc.experiments.sweep import Sweep


def print_forecast(console: Console, cells: list[Cell], seconds: dict[str, float], result: dict[str, Any]) -> None:
    """The cells with their estimated seconds, and what they come to."""
    names = [*cells[0].place]
    table = FittedTable((*names, "seconds"), labels=len(names), title=result["title"])
    for cell in cells:
        table.add_row(*map(str, cell.place.values()), decimals(seconds[cell.key], 1))
    console.print(table)
    console.print(
        f"{len(cells)} cells and their gradient descents: about {duration(result['core_seconds'])} on one core, "
        f"{duration(result['seconds'])} on {result['workers']}. An estimate, good to a factor of two."
    )


def print_summary(console: Console, sweep: Sweep, dataset: xr.Dataset, result: dict[str, Any], *, judged: bool) -> None:
    """Medians over tasks, what went wrong, what to know, where everything is; ``judged`` by itself, or as a part."""
    console.print(f"[bold]{escape(sweep.title)}[/bold]  {escape(sweep.question)}", highlight=False)
    for table in _tables(dataset):
        console.print(table)
    console.print("Medians over tasks; (k/n): over k of the n tasks, the others have no number.", highlight=False)
    if "certificate" in dataset:
        console.print("bound: a certificate; v: vacuous, as guessing does as well.")
    counts = f"{result['done']} of {result['cells']} cells done"
    console.print(f"{counts}, {len(result['failed'])} failed, {len(result['flagged'])} flagged.", highlight=False)
    for kind in ("failed", "flagged"):
        for reason, count in _counted(result[kind]).items():
            console.print(f"  {kind}: {escape(reason)} ({count} {'cell' if count == 1 else 'cells'})", highlight=False)
    if result["shared_draws"]:
        console.print("Cells with the same law of the weights share their draws: their errors are not independent.")
    for note in sweep.notes:
        console.print(f"[dim]• {escape(note)}[/dim]", highlight=False)
    print_place(console, Path(result["store"]), result["files"], judged=judged)


def print_place(console: Console, folder: Path, files: Iterable[str], *, judged: bool) -> None:
    """Which files are in a folder, and what judges it, where that is not left to a folder above."""
    names = ", ".join(Path(file).name for file in files)
    claims = f" `bayesgc claims {folder}` judges it." if judged else ""
    console.print(f"In {folder}: {names}.{claims}", highlight=False, markup=False)


def _tables(dataset: xr.Dataset) -> list[FittedTable]:
    """Medians over tasks along the axes, a table a panel."""
    panels = [str(name) for name in dataset["panel"].values] if "panel" in dataset.dims else [None]
    return [_table(dataset if panel is None else dataset.sel(panel=panel), panel) for panel in panels]


def _table(dataset: xr.Dataset, panel: str | None) -> FittedTable:
    title = panel
    axes = [name for name in axes_of(dataset) if name not in REPLICATES]
    measures = measures_over(dataset)
    others = beside(dataset)
    volume = "log P" if measures.labelled else "log P(fit)"  # where there are more columns
    headings = (*axes, "prior", "G&C", "quartiles", *others, volume, "± MC")
    title = f"{title or ''} {measures.generalisation.heading}".strip() if measures.generalisation.percent else panel
    table = FittedTable(headings, labels=len(axes), aligned="right", title=title)
    stacked = dataset.stack(row=axes) if axes else dataset.expand_dims("row")
    for i in range(stacked.sizes["row"]):
        cell = stacked.isel(row=i)
        place = [str(cell[name].values) for name in axes]
        table.add_row(*place, *_medians(cell, others.values()))
    return table


def beside(dataset: xr.Dataset) -> dict[str, str]:
    """What stands beside Guess & Check, by its heading: of networks the end of descent too, and certificates."""
    measures, descent = measures_over(dataset), descent_variable(dataset)
    primary = measures.generalisation.name
    at_fit, end = "GD 1st fit" if measures.counted else "GD at ε", f"gd_{primary}"
    columns = {"GD end" if descent == end else at_fit: descent}
    if measures.labelled:
        columns |= {"GD end": end, "bound": "certificate"}
        columns = {name: variable for name, variable in columns.items() if _there(dataset, variable)}
    return columns | {measures.ignorant.name: f"{measures.ignorant.name}_{primary}"}


def _there(dataset: xr.Dataset, variable: str) -> bool:
    return variable in dataset and bool(np.isfinite(dataset[variable]).any())


def _medians(cell: xr.Dataset, others: Iterable[str]) -> list[str]:
    measure = measures_over(cell).generalisation
    places = 1 if measure.percent else 4

    def median(name: str, digits: int = places) -> str:
        values = _known(cell[name] if name == "log_volume" else measure.scaled(cell[name]))
        fewer = f" ({values.size}/{tasks})" if values.size < tasks else ""
        return f"{decimals(float(np.median(values)), digits)}{fewer}" if values.size else "-"

    losses = cell[f"posterior_{measure.name}"]
    tasks = cell.sizes.get("task_seed", 1)
    known, errors = _known(measure.scaled(losses)), _known(cell[f"posterior_{measure.name}_mcse"] / losses)
    low, high = np.quantile(known, [0.25, 0.75]) if known.size else (0.0, 0.0)
    return [
        median(f"prior_{measure.name}"),
        median(f"posterior_{measure.name}"),
        f"{decimals(float(low), places)}–{decimals(float(high), places)}" if known.size else "-",
        *(f"{median(name)}{VACUOUS if _is_vacuous(cell, name) else ''}" for name in others),
        median("log_volume", 1),
        f"{decimals(100 * float(np.median(errors)), 1)}%" if errors.size else "-",
    ]


VACUOUS = " v"
"""Behind a certificate that says nothing."""


def _is_vacuous(cell: xr.Dataset, name: str) -> bool:
    """Whether a column holds certificates whose median is no better than guessing."""
    if name != "certificate":
        return False
    bounds, chances = _known(cell[name]), _known(guesses(cell))
    return bool(bounds.size and chances.size) and vacuous(float(np.median(bounds)), float(np.median(chances)))


def _known(values: xr.DataArray) -> np.ndarray:
    """The values that are there, flat; runs of one task with several seeds count once, by their mean."""
    values = values.mean("seed") if {*REPLICATES} <= {*values.dims} else values
    found: np.ndarray = values.values[~np.isnan(values.values)]
    return found


def _counted(entries: list[dict[str, Any]]) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for entry in entries:
        for reason in entry["reason"].split(BETWEEN_FLAGS):
            reasons[reason] = reasons.get(reason, 0) + 1
    return reasons

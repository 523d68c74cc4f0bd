"""A result as text: what ran, a table of laws side by side, and what it means.

Made from the result object alone, so that ``infer``, ``show`` and Python's ``print`` say the same.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import xarray as xr
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bayesgc.analysis.tree.summary import cell_labels, result_object
from bayesgc.analysis.words.fitted import FittedTable
from bayesgc.analysis.words.legend import legend_line
from bayesgc.analysis.words.sentences import FACTS
from bayesgc.analysis.words.tables import as_text
from bayesgc.analysis.words.wording import (
    CELLS_SHOWN,
    absent_lines,
    cell_numbers,
    cut_lines,
    headings,
    law_rows,
    summary_lines,
)

Json = dict[str, Any]

IN_PYTHON = "bayesgc.predict(result) has them all"
STYLES = {"law": "", "posterior": "bold", "reference": "dim"}


def rendered(result: Json, *, saved: str | None = None, rest: str = IN_PYTHON) -> RenderableType:
    """The whole report of one result; ``rest`` says where the missing cells are that it has no room for."""
    parts: list[RenderableType] = [_heading(result), Text(), _laws(result)]
    parts += [Text(line, style="dim") for line in (legend_line(result), *absent_lines(result))]
    if result["unobserved"]:
        parts += [Text(), _cells(result["unobserved"], result["unobserved_intervals"]["meaning"], rest)]
    if lines := [*map(Text, chain.from_iterable(lines(result) for lines in FACTS.values()))]:
        parts += [Text(), *lines]
    parts += [Text(), Text(result["verdict"], style="bold")]
    if result["outcome"] != "converged":
        parts.append(Text(result["message"], style="yellow"))
    parts += [Text(line, style="yellow") for line in cut_lines(result)]
    if saved is not None:
        parts.append(Text(f"Saved in {saved}", style="dim"))
    return Group(*parts)


def result_text(tree: xr.DataTree) -> str:
    """The same of a tree as plain text, and the names of its groups."""
    groups = Text(f"DataTree with the groups {', '.join(tree.children)}", style="dim")
    return as_text(Group(rendered(result_object(tree)), Text(), groups))


def _heading(result: Json) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", overflow="fold")
    grid.add_column(overflow="fold")
    for name, line in summary_lines(result).items():
        grid.add_row(name, escape(line))
    return grid


def _laws(result: Json) -> FittedTable:
    """One row a law or reference point; the columns of generalisation only where it is known."""
    table = FittedTable(("", *headings(result)))
    rows = list(law_rows(result))
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        ends = following is not None and following.kind == "reference" != row.kind
        table.add_row(row.name, *row.cells, style=STYLES[row.kind], end_section=ends)
    return table


def _cells(cells: list[Json], meaning: str, rest: str) -> Group:
    """The first missing cells with their 90 % intervals, and what these are intervals of."""
    names = list(cell_labels(cells[0]))
    table = FittedTable((*names, "mean", "5 %", "95 %"), labels=len(names))
    for cell in cells[:CELLS_SHOWN]:
        table.add_row(*cell_labels(cell).values(), *cell_numbers(cell))
    more = len(cells) - CELLS_SHOWN
    caption = f"Missing cells, in the table's units, with 90 % intervals {meaning}"
    parts: list[RenderableType] = [Text(caption, style="dim"), table]
    if more > 0:
        parts.append(Padding(Text(f"… and {more} more ({rest})", style="dim"), (0, 0)))
    return Group(*parts)

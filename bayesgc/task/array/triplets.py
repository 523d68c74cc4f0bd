"""Long tables, of which each line holds one cell: the name of its row, that of its column, and its value.

Faults are reported without the file's name, which :func:`bayesgc.task.files.load` adds.
"""

from __future__ import annotations

import numpy as np

from bayesgc.task.array.array import ArrayTask
from bayesgc.task.array.doubts import unlike_scales
from bayesgc.task.array.heading import Triplets
from bayesgc.task.array.sheets import Line, Reading, Sheet, check_names, check_widths, place_of
from bayesgc.task.array.standard import Description, check_size, completion_of
from bayesgc.validate import InputError

_GAPS = "leave out the lines of the cells to predict, or their values"


def triplets_task(
    sheet: Sheet, description: Description, reading: Reading, triplets: Triplets, *, standardize: bool = True
) -> ArrayTask:
    """The task of predicting the cells that a long table does not hold, or holds without a value.

    Rows and columns stand in the order in which they first come. All values are of one kind, so that one centre and
    scale serves them all.

    Raises:
        InputError: with the line and the column, and what is allowed there; for a cell that is there twice, and for
            more rows and columns than a dense array can have.
    """
    lines = sheet.lines
    for name in ("index", "header", "columns", "drop"):
        if name in reading.given and (name, reading.header) != ("header", True):
            raise InputError(f"`{name}` is for a table with a column for each quantity, not for one cell a line.")
    check_widths(lines, "the header")
    check_names(lines[0].cells, first=1)
    places = [place_of(name, lines[0].cells) for name in (triplets.rows, triplets.cols, triplets.values)]
    if len(lines) == 1:
        raise InputError("has a header and no rows; a table needs at least one row.")
    cells = _cells(lines[1:], places, triplets)
    labels = [list(dict.fromkeys(cell[axis] for cell in cells)) for axis in (0, 1)]
    check_size(len(labels[0]), len(labels[1]))
    values = np.full([len(each) for each in labels], np.nan)
    index = [{label: i for i, label in enumerate(each)} for each in labels]
    for (row, col), line in cells.items():
        values[index[0][row], index[1][col]] = _value(line, places[2], triplets.values, sheet)
    facts: Description = {"rows": triplets.rows, "cols": triplets.cols, "values": triplets.values}
    coords = {"row": labels[0], "col": labels[1]}
    facts = description | facts | unlike_scales(values, triplets.cols)
    return completion_of(values, facts, standardize=standardize, alike=True, coords=coords, gaps=_GAPS)


def _cells(lines: list[Line], places: list[int], triplets: Triplets) -> dict[tuple[str, str], Line]:
    """The line of each cell, which must be there once."""
    found: dict[tuple[str, str], Line] = {}
    for line in lines:
        row, col = (line.cells[place] for place in places[:2])
        for name, label in ((triplets.rows, row), (triplets.cols, col)):
            if not label:
                raise InputError(f"line {line.number}, column {name!r} is empty; it must name the cell's {name}.")
        before = found.setdefault((row, col), line)
        if before is not line:
            raise InputError(
                f"lines {before.number} and {line.number} both hold the cell of {triplets.rows} {row!r} and "
                f"{triplets.cols} {col!r}; each must be there once."
            )
    return found


def _value(line: Line, place: int, name: str, sheet: Sheet) -> float:
    try:
        return sheet.notation.number(line.cells[place])
    except ValueError as error:
        raise InputError(
            f"line {line.number}, column {name!r} holds {line.cells[place]!r}; it must be a finite number, or empty or "
            "NA where unobserved."
        ) from error

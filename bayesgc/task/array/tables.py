"""Tables with missing cells: the observed cells are the measurements, the others are to be predicted.

Faults are reported without the file's name, which :func:`bayesgc.task.files.load` adds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bayesgc.task.array.array import ArrayTask
from bayesgc.task.array.cells import Notation
from bayesgc.task.array.doubts import doubtful_columns, empty_rows, stand_ins
from bayesgc.task.array.sheets import Line, Reading, Sheet, called, check_names, check_widths, listed, place_of
from bayesgc.task.array.standard import Description, completion_of
from bayesgc.validate import InputError

FOUND = "signs_found"
"""The name in a task's description of the signs that nobody asked for."""
_OF_TEXT = 0.5
"""The share of a column's cells from which on it is a column of text, and no slip."""


def table_task(sheet: Sheet, description: Description, reading: Reading, *, standardize: bool = True) -> ArrayTask:
    """The task of predicting the unobserved cells of a table.

    Args:
        sheet: the table as text. A cell that is empty, NA, NaN, n/a, null, None, #N/A, ? or - is unobserved, or what
            ``reading.missing`` names; each column needs an observed cell, and the table an unobserved one.
        description: where it is from.
        reading: how it is to be read. By default the first column holds the labels of the rows where it is all text;
            one that mixes text and numbers, or holds numbers with separators such as 1,234, is refused. Where a label
            is empty or there twice, its line is added to it. The first line holds the names of the columns, distinct
            and not empty; it must be text throughout, and one with numbers is refused. Without names, columns are
            numbered from 0. Columns that have neither a name nor a cell are left out.
        standardize: take the targets of :func:`bayesgc.task.array.standard.standardization`; ``units`` leads back.

    Raises:
        InputError: with the line, the column and what is allowed there.
    """
    if sheet.indexed > 1:
        raise InputError(f"has an index of {sheet.indexed} levels; a table has one label a row: reset the index first.")
    sheet = chosen_columns(sheet, reading)
    lines, notation = sheet.lines, sheet.notation
    header = True if sheet.named or reading.columns or reading.drop else reading.header
    asked = sheet.labelled if reading.index is None else reading.index
    labelled = _has_labels(lines if header is False else lines[1:], notation) if asked is None else asked
    named = _has_names(lines[0], int(labelled), notation) if header is None else header
    rows = lines[1:] if named else lines
    if not rows:
        raise InputError("has a header and no rows; a table needs at least one row.")
    data = lines[0].cells[int(labelled) :]
    columns = data if named else [str(place) for place in range(len(data))]
    check_names(columns, first=2 if labelled else 1)
    values = _numbers(rows, int(labelled), columns if named else [], notation)
    _check_columns(values, columns, named=named)
    labels = {"row": _labels(rows)} if labelled else {}
    facts: Description = {"index": labelled, "header": named}
    facts |= _signs(sheet, reading) | ({"heading": sheet.heading} if labelled and named and sheet.heading else {})
    facts |= _repeated(rows, labelled) | empty_rows(values, labels.get("row"), [line.number for line in rows])
    facts |= doubtful_columns(values, columns) if named else {}
    facts |= stand_ins(values)
    coords = labels | ({"col": columns} if named else {})
    return completion_of(values, description | facts, standardize=standardize, coords=coords)


def _signs(sheet: Sheet, reading: Reading) -> Description:
    """The signs that were found between cells and before decimals, where they are not the usual ones, and which."""
    signs: Description = {"decimal": sheet.notation.decimal} if sheet.notation.decimal != "." else {}
    unusual = sheet.separator if reading.separator is None and sheet.separator != "," else None
    signs |= {} if unusual is None else {"separator": called(unusual)}
    found = [name for name in sorted(signs, reverse=True) if getattr(reading, name) is None]
    return signs | ({FOUND: ", ".join(found)} if found else {})


def chosen_columns(sheet: Sheet, reading: Reading, *, labels: bool = True) -> Sheet:
    """The table with the columns that are asked for; a first column of ``labels`` stays unless it is dropped.

    Raises:
        InputError: for a name that no column has, and for names where there are none.
    """
    check_widths(sheet.lines, "the first line" if reading.header is False else "the header")
    sheet = _without_empty_columns(sheet)
    if not reading.columns and not reading.drop:
        return sheet
    if reading.header is False:
        raise InputError("`columns` and `drop` go by names, and `header=False` says that there are none; put a first "
                         "line of names in, or leave these out.")  # fmt: skip
    names = sheet.lines[0].cells
    for name in (*reading.columns, *reading.drop):
        place_of(name, names)
    kept = [place for place, name in enumerate(names) if name not in reading.drop]
    if reading.columns:
        taken = [place for place in kept if names[place] in reading.columns]
        labels = labels and kept[0] not in taken and _holds_labels(sheet, kept[0], reading)
        kept = [*kept[:1], *taken] if labels else taken
    return sheet.taking(kept)


def _holds_labels(sheet: Sheet, place: int, reading: Reading) -> bool:
    """Whether a column that was not asked for holds the labels of the rows."""
    asked = sheet.labelled if reading.index is None else reading.index
    cells = [line.cells[place] for line in sheet.lines[1:]]
    unobserved, is_text = sheet.notation.is_unobserved, sheet.notation.is_text
    return asked if asked is not None else any(map(is_text, cells)) and all(is_text(c) or unobserved(c) for c in cells)


def _without_empty_columns(sheet: Sheet) -> Sheet:
    """Without columns that have neither a name nor a cell, as spreadsheets leave them at the end."""
    width = len(sheet.lines[0].cells)
    kept = [place for place in range(width) if any(line.cells[place] for line in sheet.lines)]
    return sheet if len(kept) in (0, width) else sheet.taking(kept)


def _has_labels(lines: list[Line], notation: Notation) -> bool:
    """Whether the first column holds labels; what may be labels or a slip is refused, so nobody guesses."""
    texts = [line for line in lines if notation.is_text(line.cells[0])]
    numbers = [
        line for line in lines if not notation.is_text(line.cells[0]) and not notation.is_unobserved(line.cells[0])
    ]
    if dressed := next((line for line in texts if notation.is_dressed(line.cells[0])), None):
        raise InputError(
            f"line {dressed.number}, column 1 holds {dressed.cells[0]!r}, a number with separators or a unit; write it "
            f"plainly, as {notation.example}, or say with `index` that the first column holds labels."
        )
    if texts and numbers:
        raise InputError(
            f"line {texts[0].number}, column 1 holds {texts[0].cells[0]!r}, which is not a number, though that column "
            "holds numbers too; fix the cell, or say with `index` that the first column holds labels."
        )
    return bool(texts)


def _has_names(line: Line, skip: int, notation: Notation) -> bool:
    """Whether the first line holds names: it does where no cell could be data, and else it is asked for."""
    for place, cell in enumerate(line.cells[skip:], start=skip + 1):
        if cell and (not notation.is_text(cell) or notation.is_dressed(cell)):
            raise InputError(
                f"line {line.number}, column {place} holds {cell!r}, so that line may hold data or names; say with "
                "`header` that it names the columns, or with `header=False` that it holds data."
            )
    return True


def _labels(lines: list[Line]) -> list[str]:
    """The labels of the rows, told apart by their lines where they are empty or alike."""
    counts = Counter(line.cells[0] for line in lines)
    alone = {label for label, count in counts.items() if label and count == 1}
    return [
        line.cells[0] if line.cells[0] in alone else f"{line.cells[0]} (line {line.number})".lstrip() for line in lines
    ]


def _repeated(lines: list[Line], labelled: bool) -> Description:
    """The labels that several rows have, to be said in the output."""
    counts = Counter(line.cells[0] for line in lines) if labelled else Counter[str]()
    labels = [label for label, count in counts.items() if label and count > 1]
    return {"repeated_labels": listed(labels)} if labels else {}


def _numbers(rows: list[Line], skip: int, names: Sequence[str], notation: Notation) -> Float[np.ndarray, "rows cols"]:
    """The cells after the first ``skip`` of each line, NaN where unobserved; ``names`` may be missing."""
    texts: dict[int, list[Line]] = {}
    values = np.full((len(rows), len(rows[0].cells) - skip), np.nan)
    for row, line in enumerate(rows):
        for place, cell in enumerate(line.cells[skip:]):
            try:
                values[row, place] = notation.number(cell)
            except ValueError:
                texts.setdefault(place, []).append(line)
    if texts:
        raise InputError(_not_numbers(texts, values, skip, names, notation))
    return values


def _not_numbers(
    texts: dict[int, list[Line]],
    values: Float[np.ndarray, "rows cols"],
    skip: int,
    names: Sequence[str],
    notation: Notation,
) -> str:
    """What to do about cells that are no numbers: leave out columns of text, and mend slips."""
    whole = [
        names[place]
        for place, lines in texts.items()
        if names and _is_column_of_text(len(lines), int(np.isfinite(values[:, place]).sum()))
        if not any(notation.is_dressed(line.cells[skip + place]) for line in lines)
    ]
    place, lines = next(iter(texts.items()))
    cell = lines[0].cells[skip + place]
    column = f"column {names[place]!r}" if names else f"column {skip + place + 1}"
    plainly = f" (written plainly, as {notation.example})" if notation.is_dressed(cell) else ""
    said = (
        f"line {lines[0].number}, {column} holds {cell!r}; it must be a finite number{plainly}, or empty or NA where "
        "unobserved"
    )
    if not whole:
        return f"{said}; or say with `missing` that it marks a missing value."
    which = "column" if len(whole) == 1 else "columns"
    # What can be copied as it is: neither the shell nor the list of names divides it.
    plain = all(name.isprintable() and not set(name) & set(" ,\"'`") for name in whole)
    leave = f"`drop={','.join(whole)}`" if plain else "`drop`"
    leave += ", a name with a comma in double quotation marks" if any("," in name for name in whole) else ""
    return f"{said}. Leave the {which} of text out ({', '.join(map(repr, whole))}) with {leave}."


def _is_column_of_text(texts: int, numbers: int) -> bool:
    return texts > 1 and texts >= _OF_TEXT * (texts + numbers)


def _check_columns(values: Float[np.ndarray, "rows cols"], columns: list[str], *, named: bool) -> None:
    """Refuse columns without an observed cell, unless there is none at all."""
    unobserved = np.isnan(values)
    empty = [columns[place] for place in np.flatnonzero(unobserved.all(axis=0))]
    if not empty or unobserved.all():
        return
    which = f"column {empty[0]!r} has" if len(empty) == 1 else f"columns {', '.join(map(repr, empty))} have"
    leave = f"leave {'it' if len(empty) == 1 else 'them'} out{' with `drop`' if named else ''}"
    raise InputError(f"{which} no observed cell; every column needs at least one: {leave}.")

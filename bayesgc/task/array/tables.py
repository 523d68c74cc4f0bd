"""Tables with missing cells, read from text: the observed cells are the measurements, the others are to be predicted.

Faults are reported without the file's name, which :func:`bayesgc.task.files.load` adds.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bayesgc.task.array.array import ArrayTask, Units
from bayesgc.task.array.measurements import ObservedCells
from bayesgc.validate import InputError

# As cells are compared in lower case, NA, NaN and N/A are among them.
_UNOBSERVED = frozenset({"", "na", "nan", "n/a"})
# 1,234 and 1.234,5 and 0,5 and 12 % and $3: numbers to a reader, text to a computer.
_DRESSED = re.compile(r"[+-]?[$€£¥]?\s?(\d{1,3}([.,'’_\s]\d{3})+([.,]\d+)?|\d+([.,]\d+)?)(\s?[%‰$€£¥])?")
_REPEATED_SHOWN = 3
Description = dict[str, int | float | str]


@dataclass(frozen=True)
class Line:
    """One line of the file: its number, from 1, and its cells as text."""

    number: int
    cells: list[str]


def read_table(
    file: Path, *, standardize: bool = True, index: bool | None = None, header: bool | None = None
) -> ArrayTask:
    """The task of predicting the unobserved cells of a table in comma-separated text.

    Args:
        file: the table. Blank lines are skipped; in a table of one column they are empty cells, but for those at the
            ends of the file. A cell that is empty, NA, NaN or n/a is unobserved; each column needs an observed cell,
            and the table an unobserved one.
        standardize: take the targets of :func:`standardization`; ``units`` leads back.
        index: whether the first column holds the labels of the rows. By default it does where it is all text; one
            that mixes text and numbers, or holds numbers with separators such as 1,234, is refused. Where a label is
            empty or there twice, its line is added to it.
        header: whether the first line holds the names of the columns, distinct and not empty. By default it must be
            text throughout; a first line with numbers is refused. Without names, columns are numbered from 0.

    Raises:
        InputError: with the line, the column and what is allowed there.
    """
    lines = read_lines(file)
    check_widths(lines, "the first line" if header is False else "the header")
    labelled = _has_labels(lines if header is False else lines[1:]) if index is None else index
    named = _has_names(lines[0], skip=int(labelled)) if header is None else header
    rows = lines[1:] if named else lines
    if not rows:
        raise InputError("has a header and no rows; a table needs at least one row.")
    data = lines[0].cells[int(labelled) :]
    columns = data if named else [str(place) for place in range(len(data))]
    check_names(columns, first=2 if labelled else 1)
    values = np.array([_numbers(line, skip=int(labelled)) for line in rows])
    _check_observed(values, columns)
    labels = {"row": _labels(rows)} if labelled else {}
    description: Description = {"file": file.name, "standardize": standardize, "index": labelled, "header": named}
    return _task(values, labels | ({"col": columns} if named else {}), description | _repeated(rows, labelled))


def _task(values: Float[np.ndarray, "rows cols"], coords: dict[str, list[str]], description: Description) -> ArrayTask:
    units = standardization(values) if description["standardize"] else None
    observed = np.flatnonzero(~np.isnan(values))
    targets = (values if units is None else units.from_units(values)).ravel()[observed]
    if units is not None and not targets.any():
        raise InputError("every column is constant, so nothing is left to fit once it is centred; do not standardize.")
    measurements = ObservedCells(values.shape, observed)
    return ArrayTask("data", values.shape, measurements, targets, description=description, coords=coords, units=units)


def standardization(values: Float[np.ndarray, "rows cols"]) -> Units:
    """Each column centred on its observed mean and scaled so that its observed variance is 1/rows; NaN is unobserved.

    1/rows is the variance of an entry of the end-to-end matrix under the Gaussian prior with fan-out scaling, at
    every depth and width of a linear net: only then does the prior expect data of the size that it is given.
    A constant column has no spread to scale by; its standard deviation is taken to be 1.
    """
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    with np.errstate(over="ignore"):
        span = high - low
    if not np.isfinite(span).all():
        raise InputError("the spread of a column is too large for double precision; divide its values.")
    # Moments of the unit interval, which neither overflow nor underflow, and are exact for a constant column.
    relative = (values - low) / np.where(span > 0, span, 1.0)
    deviation = np.where(span > 0, span * np.nanstd(relative, axis=0), 1.0)
    return Units(center=low + span * np.nanmean(relative, axis=0), scale=deviation * math.sqrt(len(values)))


def read_lines(file: Path) -> list[Line]:
    """The lines of comma-separated text, but for blank ones.

    Raises:
        InputError: for what is no such text, or holds none.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:  # Spreadsheets put a byte order mark in front.
            reader = csv.reader(stream, strict=True, skipinitialspace=True)
            lines = [Line(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except UnicodeDecodeError as error:
        raise InputError("is not text in UTF-8; save the table as comma-separated UTF-8.") from error
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} is not comma-separated text: {error}.") from error
    lines = _without_blanks(lines)
    if not lines:
        raise InputError("is empty; a table needs a header and at least one row.")
    return lines


def _without_blanks(lines: list[Line]) -> list[Line]:
    """The lines but for blank ones; in one column a blank line is an empty cell, unless it begins or ends the file."""
    if max((len(line.cells) for line in lines), default=0) > 1:
        return [line for line in lines if line.cells not in ([], [""])]
    filled = [place for place, line in enumerate(lines) if line.cells]
    return [Line(line.number, line.cells or [""]) for line in lines[filled[0] : filled[-1] + 1]] if filled else []


def check_widths(lines: list[Line], model: str) -> None:
    """Refuse lines that have more or fewer cells than the first one, which ``model`` names."""
    for line in lines:
        if len(line.cells) != len(lines[0].cells):
            found, expected = len(line.cells), len(lines[0].cells)
            raise InputError(f"line {line.number} has {found} cells; it must have {expected}, as {model} has.")


def _has_labels(lines: list[Line]) -> bool:
    """Whether the first column holds labels; what may be labels or a slip is refused, so nobody guesses."""
    texts = [line for line in lines if is_text(line.cells[0])]
    numbers = [line for line in lines if not is_text(line.cells[0]) and not is_unobserved(line.cells[0])]
    if dressed := next((line for line in texts if is_dressed(line.cells[0])), None):
        raise InputError(
            f"line {dressed.number}, column 1 holds {dressed.cells[0]!r}, a number with separators or a unit; write it "
            "plainly, as 1234.5, or say with `index` that the first column holds labels."
        )
    if texts and numbers:
        raise InputError(
            f"line {texts[0].number}, column 1 holds {texts[0].cells[0]!r}, which is not a number, though that column "
            "holds numbers too; fix the cell, or say with `index` that the first column holds labels."
        )
    return bool(texts)


def _has_names(line: Line, skip: int) -> bool:
    """Whether the first line holds names: it does where no cell could be data, and else it is asked for."""
    for place, cell in enumerate(line.cells[skip:], start=skip + 1):
        if cell and (not is_text(cell) or is_dressed(cell)):
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
    more = len(labels) - _REPEATED_SHOWN
    shown = ", ".join(labels[:_REPEATED_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return {"repeated_labels": shown} if labels else {}


def check_names(columns: list[str], first: int) -> None:
    """Names of the data columns, of which the leftmost is column ``first`` of the file, from 1."""
    if not columns:
        raise InputError("has no column of numbers; a table needs at least one beside its labels.")
    seen: set[str] = set()
    for place, name in enumerate(columns, start=first):
        if not name:
            hint = "; if it holds the labels of the rows, say so with `index`" if place == 1 else ""
            raise InputError(f"column {place} has no name; the first line must name every column{hint}.")
        if name in seen:
            raise InputError(f"two columns are named {name!r}; the first line must give each its own name.")
        seen.add(name)


def _numbers(line: Line, skip: int) -> list[float]:
    """The cells of one line after the first ``skip``, NaN where unobserved."""
    numbers = []
    for place, cell in enumerate(line.cells[skip:], start=skip + 1):
        try:
            numbers.append(_number(cell))
        except ValueError as error:
            plainly = " (written plainly, as 1234.5)" if is_dressed(cell) else ""
            raise InputError(
                f"line {line.number}, column {place} holds {cell!r}; "
                f"it must be a finite number{plainly}, or empty or NA where unobserved."
            ) from error
    return numbers


def _check_observed(values: Float[np.ndarray, "rows cols"], columns: list[str]) -> None:
    unobserved = np.isnan(values)
    if unobserved.all():
        raise InputError("no cell is observed; a table needs some cells to learn from.")
    for column in np.flatnonzero(unobserved.all(axis=0)):
        raise InputError(f"column {columns[column]!r} has no observed cell; every column needs at least one.")
    if not unobserved.any():
        raise InputError("no cell is empty, so nothing is left to predict; leave the cells to predict empty or NA.")


def _number(cell: str) -> float:
    """The number in a cell, NaN where it is unobserved; ValueError where it is neither."""
    if is_unobserved(cell):
        return math.nan
    number = float(cell)
    if not math.isfinite(number) or "_" in cell:  # Python reads 1_000 as a thousand; in a table it is a slip.
        raise ValueError(cell)
    return number


def is_unobserved(cell: str) -> bool:
    """Whether a cell stands for a missing value."""
    return cell.lower() in _UNOBSERVED


def is_text(cell: str) -> bool:
    """Whether a cell is neither a finite number nor missing."""
    try:
        _number(cell)
    except ValueError:
        return True
    return False


def is_dressed(cell: str) -> bool:
    """Whether text is a number written with separators, a decimal comma, a currency or a percent sign."""
    return is_text(cell) and _DRESSED.fullmatch(cell) is not None

"""Tables with missing cells, read from text: the observed cells are the measurements, the others are to be predicted.

Faults are reported without the file's name, which :func:`bayesgc.task.files.load` adds.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bayesgc.task.measurements import ObservedCells
from bayesgc.task.task import Task, Units
from bayesgc.validate import InputError

# As cells are compared in lower case, NA, NaN and N/A are among them.
_UNOBSERVED = frozenset({"", "na", "nan", "n/a"})


@dataclass(frozen=True)
class _Line:
    """One line of the file: its number, from 1, and its cells as text."""

    number: int
    cells: list[str]


def read_table(file: Path, *, standardize: bool = True, index: bool | None = None) -> Task:
    """The task of predicting the unobserved cells of a table in comma-separated text.

    The first line holds the names of the columns, distinct and not empty; blank lines are skipped. A cell that is
    empty, NA, NaN or n/a is unobserved; each column needs an observed cell, and the table an unobserved one. A first
    column without numbers holds the labels of the rows; one that mixes text and numbers is refused unless ``index``
    says what it is: True takes the first column for labels whatever it holds (and its name may then be empty), False
    for data. With ``standardize`` the targets are those of :func:`standardization`, and ``units`` leads back.
    """
    header, *lines = _lines(file)
    if not lines:
        raise InputError("has a header and no rows; a table needs at least one row.")
    _check_widths(header, lines)
    labelled = _has_labels(lines) if index is None else index
    columns = header.cells[1:] if labelled else header.cells
    _check_names(columns, first=2 if labelled else 1)
    values = np.array([_numbers(line, skip=int(labelled)) for line in lines])
    _check_observed(values, columns)
    units = standardization(values) if standardize else None
    observed = np.flatnonzero(~np.isnan(values))
    targets = (values if units is None else units.from_units(values)).ravel()[observed]
    if units is not None and not targets.any():
        raise InputError("every column is constant, so nothing is left to fit once it is centred; do not standardize.")
    coords = {"row": [line.cells[0] for line in lines]} if labelled else {}
    return Task(
        "data",
        values.shape,
        ObservedCells(values.shape, observed),
        targets,
        description={"file": file.name, "standardize": standardize, "index": labelled},
        coords=coords | {"col": columns},
        units=units,
    )


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


def _lines(file: Path) -> list[_Line]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:  # Spreadsheets put a byte order mark in front.
            reader = csv.reader(stream, strict=True, skipinitialspace=True)
            lines = [_Line(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except UnicodeDecodeError as error:
        raise InputError("is not text in UTF-8; save the table as comma-separated UTF-8.") from error
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} is not comma-separated text: {error}.") from error
    lines = [line for line in lines if line.cells not in ([], [""])]
    if not lines:
        raise InputError("is empty; a table needs a header and at least one row.")
    return lines


def _check_widths(header: _Line, lines: list[_Line]) -> None:
    for line in lines:
        if len(line.cells) != len(header.cells):
            found, expected = len(line.cells), len(header.cells)
            raise InputError(f"line {line.number} has {found} cells; it must have {expected}, as the header has.")


def _has_labels(lines: list[_Line]) -> bool:
    """Whether the first column holds labels; text and numbers mixed may be labels or a slip, so nobody guesses."""
    texts = [line for line in lines if _is_text(line.cells[0])]
    numbers = [line for line in lines if not _is_text(line.cells[0]) and not _is_unobserved(line.cells[0])]
    if texts and numbers:
        raise InputError(
            f"line {texts[0].number}, column 1 holds {texts[0].cells[0]!r}, which is not a number, though that column "
            "holds numbers too; mend the cell, or say with index (--index) that the first column holds labels."
        )
    return bool(texts)


def _check_names(columns: list[str], first: int) -> None:
    """Names of the data columns, of which the leftmost is column ``first`` of the file, from 1."""
    if not columns:
        raise InputError("has no column of numbers; a table needs at least one beside its labels.")
    seen: set[str] = set()
    for place, name in enumerate(columns, start=first):
        if not name:
            hint = "; if it holds the labels of the rows, say so with index (--index)" if place == 1 else ""
            raise InputError(f"column {place} has no name; the first line must name every column{hint}.")
        if name in seen:
            raise InputError(f"two columns are named {name!r}; the first line must give each its own name.")
        seen.add(name)


def _numbers(line: _Line, skip: int) -> list[float]:
    """The cells of one line after the first ``skip``, NaN where unobserved."""
    numbers = []
    for place, cell in enumerate(line.cells[skip:], start=skip + 1):
        try:
            numbers.append(_number(cell))
        except ValueError as error:
            raise InputError(
                f"line {line.number}, column {place} holds {cell!r}; "
                "it must be a finite number, or empty or NA where unobserved."
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
    if _is_unobserved(cell):
        return math.nan
    number = float(cell)
    if not math.isfinite(number) or "_" in cell:  # Python reads 1_000 as a thousand; in a table it is a slip.
        raise ValueError(cell)
    return number


def _is_unobserved(cell: str) -> bool:
    return cell.lower() in _UNOBSERVED


def _is_text(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return True
    return False

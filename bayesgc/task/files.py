"""Tasks from files and from what Python holds: measurements, tables and arrays with missing cells, labelled examples.

Whatever is wrong with a file is one :class:`InputError` of one line: the file, the fault, and what is allowed.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from bayesgc.task.array.archives import ARCHIVE_FAULTS, ARCHIVES, measurements_task, read_netcdf
from bayesgc.task.array.doubts import unlike_scales
from bayesgc.task.array.heading import Triplets
from bayesgc.task.array.holes import holes_task, masked_task, read_market, sparse_task
from bayesgc.task.array.sheets import TABLES, Reading, Sheet, frame_sheet, names_in, read_sheet
from bayesgc.task.array.tables import chosen_columns, table_task
from bayesgc.task.array.triplets import triplets_task
from bayesgc.task.labelled.choice import Choice
from bayesgc.task.labelled.columns import examples_in
from bayesgc.task.labelled.examples import labelled_task, task_of
from bayesgc.task.task import Task
from bayesgc.validate import InputError, check_opens

_MARKET = ".mtx"
Description = dict[str, int | float | str]


@dataclass(frozen=True)
class _Asked:
    """What is asked of a file beside what it holds: how a table is read, and of labelled examples which."""

    target: str | None
    choice: Choice
    seeded: bool
    fit: str | None
    standardize: bool | None
    reading: Reading
    triplets: Triplets | None

    def refuse(self, but: str) -> None:
        """Refuse all that is of labelled examples, for a file that holds an array."""
        given = {"target": self.target is not None, "seed": self.seeded, "fit": self.fit is not None}
        for name in (*(name for name, there in given.items() if there), *self.choice.given):
            raise InputError(f"`{name}` is for labelled examples, and this {but}; leave it out.")

    def refuse_reading(self) -> None:
        """Refuse all that is of tables."""
        for name in (*self.reading.given, *(("rows",) if self.triplets else ())):
            raise InputError(f"`{name}` is for a table, as .csv or .xlsx, and this is an array; leave it out.")

    @property
    def standard(self) -> bool:
        """Whether cells are to be standardised, which they are unless told not to."""
        return self.standardize is not False


def load(
    source: str | os.PathLike[str] | Any,
    *,
    target: str | None = None,
    train: int | None = None,
    test: int | float | str | None = None,
    classes: Sequence[str | int] | str | None = None,
    balanced: bool = False,
    seed: int | None = None,
    fit: str | None = None,
    standardize: bool | None = None,
    index: bool | None = None,
    header: bool | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    missing: str | float | Sequence[Any] | None = None,
    columns: str | Sequence[str] | None = None,
    drop: str | Sequence[str] | None = None,
    rows: str | None = None,
    cols: str | None = None,
    values: str | None = None,
) -> Task:
    """The task in a file, a DataFrame or an array; suffix and content say what kind of task it is.

    ``.csv``, ``.tsv``, ``.xlsx``, ``.parquet`` and a DataFrame hold a table with cells to be predicted, see
    :func:`bayesgc.task.array.tables.table_task`; with ``rows``, ``cols`` and ``values`` a long one with one cell a
    line, see :func:`bayesgc.task.array.triplets.triplets_task`; with a ``target``, labelled examples, see
    :func:`bayesgc.task.labelled.columns.examples_in`.

    ``.npy``, and ``.npz`` or ``.nc`` (netCDF) with ``values``, hold an array of two axes or more in which NaN, or a
    ``mask`` that is true there, marks the cells to be predicted, and maybe ``truth``; a NumPy array or masked array is
    the same in Python. ``.mtx`` (MatrixMarket) and sparse matrices of SciPy's hold the observed cells alone.

    ``.npz`` and ``.nc`` may hold ``A`` (n, *shape) with at least two axes in ``shape``, ``y`` (n) and, where the
    truth is known, ``truth`` (*shape), in place of these; or labelled examples: ``X`` (n, *features), ``y`` (n) and
    maybe ``X_test`` and ``y_test``.

    Args:
        source: the file, or what was read from one.
        target: the column of a table that holds the labels.
        train: training examples to choose at random; None for all that are not tested on.
        test: test examples, or a share of them as 0.2 or ``"20%"``: of the file's own test set where it has one. None
            for all that are left, at most 800; of a table, a fifth where ``train`` is None too. Examples of an .npz or
            .nc without a test set all train, where neither is given.
        classes: names of the classes to keep, two or more; None for all.
        balanced: as many training examples of each class, which is then no independent sample.
        seed: of these choices; None for 0.
        fit: what a fit of examples is.
        standardize: centre and scale the cells to be fitted, unless told not to; or the features of examples
            by the training inputs, where told to.
        index: whether the first column of a table of cells holds labels of rows; the index of a DataFrame does,
            unless it counts the rows. Of labelled examples it is left out.
        header: whether its first line holds the names of the columns.
        separator: what stands between the cells of text: one sign, or ``"tab"``; None for what divides all lines alike.
        decimal: the sign before decimals, ``"."`` or ``","``; None for what the cells of a table agree on, which is no
            comma where commas separate them.
        missing: markers of missing values beside the usual ones: a number, a list, or a text with commas.
        columns: the columns of a table to take, by name, in a list or a text with commas; None for all. In a text a
            name with a comma stands in double quotation marks.
        drop: columns to leave out.
        rows: of a long table, the column with the name of the row of each value.
        cols: the same for its column.
        values: the column with the values.

    Raises:
        InputError: for a source that cannot be read or used, in one line with the file, the fault and what is allowed.
    """
    reading = Reading(index, header, separator, decimal, names_in(missing), names_in(columns), names_in(drop))
    choice = Choice(train, test, classes, balanced, seed or 0)
    target = None if target is None else str(target).strip()  # as the names in a table are
    asked = _Asked(target, choice, seed is not None, fit, standardize, reading, Triplets.asked(rows, cols, values))
    if not isinstance(source, str | os.PathLike):
        return _task_of_object(source, asked)
    file = Path(source)
    check_opens(file)
    try:
        return _read(file, asked)
    except InputError as fault:
        raise InputError(f"{file}: {fault}") from fault
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error


def holds_examples(file: Path) -> bool:
    """Whether a file of arrays holds labelled examples, by the names in it; False where it cannot be read."""
    suffix = file.suffix.lower()
    try:
        if suffix == ".npz":
            with zipfile.ZipFile(file) as archive:
                return "X.npy" in archive.namelist() and "A.npy" not in archive.namelist()
        return suffix == ".nc" and {"X", "A"} & read_netcdf(file).keys() == {"X"}
    except (*ARCHIVE_FAULTS, InputError):
        return False


def _task_of_object(source: object, asked: _Asked) -> Task:
    """The task in what Python holds."""
    if isinstance(source, pd.DataFrame):
        return _table_task(frame_sheet(source, asked.reading), {"source": "a DataFrame"}, asked)
    kinds = {"a masked array": np.ma.MaskedArray, "an array": np.ndarray}
    name = next((name for name, kind in kinds.items() if isinstance(source, kind)), None)
    if name is None and not scipy.sparse.issparse(source):
        raise InputError(
            f"load reads a file, and was given {type(source).__name__}: it takes a DataFrame, an array with NaN where "
            "cells are missing, a masked array or a sparse matrix too; write arrays A and y with numpy.savez."
        )
    description: Description = {"source": name or "a sparse matrix"}
    asked.refuse("is an array")
    asked.refuse_reading()
    if isinstance(source, np.ma.MaskedArray):
        return masked_task(source, description, standardize=asked.standard)
    if isinstance(source, np.ndarray):
        return holes_task(source, description, standardize=asked.standard)
    return sparse_task(source, description, standardize=asked.standard)


def _read(file: Path, asked: _Asked) -> Task:
    suffix, description = file.suffix.lower(), {"file": file.name}
    if suffix in TABLES:
        return _table_task(read_sheet(file, asked.reading), dict(description), asked)
    if suffix not in ARCHIVES and suffix != _MARKET:
        known = ", ".join([*ARCHIVES, *TABLES, _MARKET])
        raise InputError(f"the suffix is {suffix!r}; it must be one of {known}.")
    asked.refuse_reading()
    if asked.target is not None:
        raise InputError("target is a column of a table, as of a .csv; the labels of other files are their array y.")
    if suffix == _MARKET:
        asked.refuse("file holds an array")
        return read_market(file, dict(description), standardize=asked.standard)
    return _archive_task(ARCHIVES[suffix](file), file, asked)


def _archive_task(arrays: dict[str, Any], file: Path, asked: _Asked) -> Task:
    if "X" in arrays and not {"A", "values"} & arrays.keys():
        return _examples_task(arrays, file, asked)
    asked.refuse("file holds an array")
    if "values" in arrays and "A" not in arrays:
        parts = {name: arrays.get(name) for name in ("mask", "truth")}
        return holes_task(arrays["values"], {"file": file.name}, standardize=asked.standard, **parts)
    if asked.standardize is not None:
        raise InputError("`standardize` is for tables and labelled examples, and this file holds an array.")
    return measurements_task(arrays, file.name)


def _examples_task(arrays: dict[str, Any], file: Path, asked: _Asked) -> Task:
    chosen = bool(asked.choice.given)
    if asked.seeded and not chosen:
        raise InputError("`seed` chooses examples; say with `train`, `test` or `classes` that some are taken.")
    choice, standardize = asked.choice if chosen else None, bool(asked.standardize)
    return labelled_task(arrays, {"file": file.name}, asked.fit, choice=choice, standardize=standardize)


def _table_task(sheet: Sheet, description: Description, asked: _Asked) -> Task:
    """Labelled examples where there is a target, else the cells of a table."""
    reading = asked.reading
    description = description | reading.facts
    if asked.target is None:
        asked.refuse("is a table without a target, the column of labels")
        if asked.triplets is not None:
            return triplets_task(sheet, description, reading, asked.triplets, standardize=asked.standard)
        return table_task(sheet, description, reading, standardize=asked.standard)
    if asked.triplets is not None or reading.index is not None or reading.header is not None:
        raise InputError("`index`, `header`, `rows`, `cols` and `values` are for a table without a target.")
    sheet = sheet.without_index([asked.target, *reading.columns, *reading.drop])
    if reading.columns or reading.drop:
        sheet = chosen_columns(sheet, reading, labels=False)
    examples, columns = examples_in(sheet.lines, sheet.notation, asked.target)
    facts = description | columns | ({} if asked.standardize else unlike_scales(examples.inputs, "feature"))
    return task_of(examples, None, facts, asked.fit, choice=asked.choice, standardize=bool(asked.standardize))

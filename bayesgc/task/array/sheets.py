"""Tables as lines of text, whatever they come in: separated text, a spreadsheet, parquet, a DataFrame.

Pandas reads them all. What it fills in or adds up silently is asked of it as text, so that a fault can be told with its
line. Faults are reported without the file's name, which :func:`bayesgc.task.files.load` adds.
"""

from __future__ import annotations

import codecs
import csv
import importlib
import io
import itertools
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from bayesgc.task.array.cells import Notation, decimal_sign
from bayesgc.validate import InputError, nearest, one_of

SEPARATED = (".csv", ".tsv")
TABLES = (*SEPARATED, ".parquet", ".xlsx")
"""Suffixes of files that hold a table."""
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " "}
_GUESSED = ("\t", ";", "|", ",")
"""In this order where several divide all lines alike: with a comma before decimals, commas do so by chance."""
_LOOKED_AT = 100
_UNNAMED = "index"
"""What the index of a DataFrame is called that has no name."""
_READERS = {".parquet": ("pyarrow",), ".xlsx": ("openpyxl",)}


@dataclass(frozen=True)
class Line:
    """One line of the file: its number, from 1, and its cells as text."""

    number: int
    cells: list[str]


@dataclass(frozen=True)
class Sheet:
    """A table as text. ``named`` says that the first line holds names for certain, as it does in a DataFrame.

    The first ``indexed`` columns are the index of a DataFrame. ``separator`` stood between the cells of text.
    """

    lines: list[Line]
    notation: Notation = field(default_factory=Notation)
    named: bool = False
    indexed: int = 0
    separator: str | None = None

    @property
    def heading(self) -> str:
        """What the first line calls the first column; nothing where that is the index of a DataFrame without a name."""
        name = self.lines[0].cells[0]
        return "" if self.indexed and name == _UNNAMED else name

    @property
    def labelled(self) -> bool | None:
        """Whether the first column holds labels, where that is known."""
        return True if self.indexed else None

    def taking(self, places: Sequence[int]) -> Sheet:
        """The same with these columns alone, by their places in order from 0."""
        lines = [Line(line.number, [line.cells[place] for place in places]) for line in self.lines]
        return replace(self, lines=lines, indexed=sum(place < self.indexed for place in places))

    def without_index(self, wanted: Iterable[str]) -> Sheet:
        """The same without the index of a DataFrame, but for what is ``wanted`` of it by name."""
        if not self.indexed:
            return self
        names, kept = self.lines[0].cells, set(wanted)
        return self.taking([place for place, name in enumerate(names) if place >= self.indexed or name in kept])


@dataclass(frozen=True)
class Reading:
    """How a table is to be read; what is None or empty is left to what the table looks like.

    ``index`` and ``header`` say whether the first column and the first line hold labels and names; ``separator`` what
    stands between cells, and ``decimal`` before decimals; ``missing`` marks missing values beside the usual ways;
    ``columns`` and ``drop`` are names of columns to take or to leave out.
    """

    index: bool | None = None
    header: bool | None = None
    separator: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    @property
    def given(self) -> list[str]:
        """What is asked for."""
        return [name for name, value in vars(self).items() if value not in (None, ())]

    @property
    def facts(self) -> dict[str, int | float | str]:
        """What has to be asked for again to read the same; ``index`` and ``header`` are told by what was found."""
        parts = {name: _as_text(getattr(self, name)) for name in ("missing", "columns", "drop")}
        separator = None if self.separator is None else called(separator_named(self.separator))
        signs = {"separator": separator, "decimal": self.decimal}
        return {name: value for name, value in (parts | signs).items() if value}

    def notation(self, lines: list[Line], separator: str | None) -> Notation:
        """How numbers are written; next to commas between cells a decimal comma has to be asked for."""
        if self.decimal is not None:
            sign = one_of("decimal", self.decimal, (".", ","))
        else:
            sign = "." if separator in (",", None) else decimal_sign([cell for line in lines for cell in line.cells])
        return Notation(sign, frozenset(self.missing))


def names_in(names: object) -> tuple[str, ...]:
    """Names or markers from a list, or from a text with commas between them; a number alone is one of them.

    In a text a name that holds a comma stands in double quotation marks.
    """
    if names is None:
        return ()
    if isinstance(names, str):
        parts = _split_names(names)
    else:
        parts = [str(name) for name in names] if isinstance(names, Iterable) else [str(names)]
    return tuple(part.strip() for part in parts)


def _split_names(text: str) -> list[str]:
    try:
        return next(csv.reader([text], skipinitialspace=True)) or [""]
    except csv.Error:  # line ends, which no list of names on a command line has
        return text.split(",")


def _as_text(names: Sequence[str]) -> str:
    """What `names_in` reads the same names from."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()


def read_sheet(file: Path, reading: Reading) -> Sheet:
    """The lines of a file, but for blank ones.

    Raises:
        InputError: for what is no table, or holds none.
    """
    suffix = file.suffix.lower()
    if suffix not in SEPARATED:
        _check_no_separator(reading, f"a {suffix}")
        return frame_sheet(_read_frame(file, suffix), reading, named=suffix == ".parquet", kind=f"a {suffix}")
    text = _decoded(file)
    separator = _separator(text, suffix) if reading.separator is None else separator_named(reading.separator)
    lines = _without_blanks(_split(text, separator))
    if not lines:
        raise InputError("is empty; a table needs a header and at least one row.")
    return Sheet(lines, reading.notation(lines, separator), separator=separator)


def first_line(file: Path, reading: Reading) -> list[str]:
    """The cells of the first line of a file, of which as little is read as tells what separates them.

    Raises:
        InputError: for what is no table, or holds none.
    """
    suffix = file.suffix.lower()
    if suffix not in SEPARATED:
        frame = _read_frame(file, suffix, rows=_LOOKED_AT)
        return frame_sheet(frame, reading, named=suffix == ".parquet").lines[0].cells
    text = _decoded(file)
    separator = _separator(text, suffix) if reading.separator is None else separator_named(reading.separator)
    lines = _without_blanks(_split("\n".join(text.lstrip("\r\n").splitlines()[:_LOOKED_AT]), separator))
    if not lines:
        raise InputError("is empty; a table needs a header and at least one row.")
    return lines[0].cells


def _decoded(file: Path) -> str:
    """The text of a file in UTF-8; of another one it is said what it looks like, and what to do."""
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")  # Spreadsheets put a byte order mark in front.
    except UnicodeDecodeError as error:
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "UTF-16" if wide else "WINDOWS-1252"
        line = content.count(b"\n", 0, error.start)
        reads = content.split(b"\n")[line].decode("windows-1252", "replace").strip()[:_SHOWN]
        perhaps = f"perhaps in {encoding}, if line {line + 1} reads right so: {reads!r}"
        likely = f"probably in {encoding}" if wide else perhaps
        raise InputError(
            f"is not text in UTF-8, but {likely}. Save it as 'CSV UTF-8', or convert it: iconv -f {encoding} "
            f"-t UTF-8 {shlex.quote(str(file))} > utf8.csv."
        ) from error


_SHOWN = 30
"""Signs of a line in a message."""


def frame_sheet(frame: pd.DataFrame, reading: Reading, *, named: bool = True, kind: str = "a DataFrame") -> Sheet:
    """The same of a DataFrame, as if its names were line 1; an index that is more than a count holds the labels.

    Raises:
        InputError: for an empty one, and for what is asked of text and means nothing in a ``kind`` of this sort.
    """
    _check_no_separator(reading, kind)
    if named:
        _check_no_text_asked(frame, reading, kind)
    names = [str(name).strip() for name in frame.columns]
    indexed = 0
    if named and reading.index is not False and not isinstance(frame.index, pd.RangeIndex):
        indexed, names = frame.index.nlevels, [*_index_names(frame.index, names), *names]
        # Without names of its own, so that the index may have any.
        frame = frame.set_axis(range(frame.shape[1]), axis=1).reset_index(allow_duplicates=True)
    missing, sign = frame.isna().to_numpy(), reading.decimal or "."
    rows = [
        ["" if missing[i, j] else _written(cell, sign) for j, cell in enumerate(row)]
        for i, row in enumerate(frame.itertuples(index=False, name=None))
    ]
    head = [names] if named else []
    lines = [Line(i, cells) for i, cells in enumerate([*head, *rows], start=1) if named or any(cells)]
    if not lines or not names:
        raise InputError("is empty; a table needs a header and at least one row.")
    return Sheet(lines, reading.notation(lines, None), named, indexed)


def _check_no_separator(reading: Reading, kind: str) -> None:
    if reading.separator is not None:
        raise InputError(f"{kind} has no separator between its cells; leave `separator` out.")


def _check_no_text_asked(frame: pd.DataFrame, reading: Reading, kind: str) -> None:
    """Refuse what is of text for a frame whose columns have names, and whose cells are numbers."""
    if reading.header is False:
        raise InputError(f"{kind} has names of its columns and no first line; leave `header` out.")
    texts = (cell for row in frame.itertuples(index=False, name=None) for cell in row if isinstance(cell, str))
    if reading.decimal not in (None, ".") and next(texts, None) is None:
        raise InputError(f"`decimal` is for numbers written as text, and this is {kind} without text; leave it out.")


def _index_names(index: pd.Index, taken: Sequence[str]) -> list[str]:
    """Names for the levels of an index, which no column and no other level has."""
    found: list[str] = []
    for name in index.names:
        plain = _UNNAMED if name is None else str(name).strip()
        others = (f"{plain}_{i}" for i in itertools.count(2))
        found.append(next(each for each in itertools.chain([plain], others) if each not in {*taken, *found}))
    return found


def _written(cell: object, sign: str) -> str:
    """A cell as text, as one would write it by hand where decimals stand after that ``sign``."""
    text = str(cell).strip()
    return text.replace(".", sign) if isinstance(cell, Real | Decimal) else text


def _read_frame(file: Path, suffix: str, rows: int | None = None) -> pd.DataFrame:
    """The frame of a file; of a spreadsheet the first ``rows`` alone."""
    try:
        for needed in _READERS[suffix]:
            importlib.import_module(needed)
    except ModuleNotFoundError as error:
        raise InputError(
            f"a {suffix} is read by pandas and {error.name}, which is not installed: pip install 'bayesgc[data]' "
            "or save a .csv."
        ) from error
    try:
        if suffix == ".parquet":
            return pd.read_parquet(file, engine="pyarrow")
        return pd.read_excel(file, header=None, dtype=object, na_filter=False, nrows=rows, engine="openpyxl")
    except Exception as error:
        raise InputError(f"is empty, truncated or not {_KINDS[suffix]}.") from error


_KINDS = {".parquet": "a parquet file", ".xlsx": "a sheet of .xlsx"}


def _split(text: str, separator: str) -> list[Line]:
    """Every line of the text as cells; its width is its own."""
    widest = 1 + max((line.count(separator) for line in text.splitlines()), default=0)
    settings: dict[str, Any] = {"header": None, "names": range(widest), "index_col": False, "na_filter": False}
    settings |= {"dtype": object, "skip_blank_lines": False, "skipinitialspace": True}
    try:
        # Pandas' parser in Python alone tells cells that are not there from empty ones.
        frame = pd.read_csv(io.StringIO(text, newline=""), sep=separator, engine="python", **settings)
    except pd.errors.EmptyDataError:
        return []
    except pd.errors.ParserError as error:
        raise InputError(f"is not {called(separator)}-separated text: {error}.") from error
    rows = [[cell for cell in row if cell is not None] for row in frame.to_numpy(dtype=object).tolist()]
    # A cell in quotation marks may hold line ends.
    ends = itertools.accumulate((1 + sum(cell.count("\n") for cell in cells) for cells in rows), initial=1)
    return [Line(number, [cell.strip() for cell in cells]) for number, cells in zip(ends, rows, strict=False)]


def _separator(text: str, suffix: str) -> str:
    """What divides the first lines into the same number of cells each, and into more than one."""
    if suffix == ".tsv":
        return "\t"
    start = "\n".join([line for line in text.splitlines() if line.strip()][:_LOOKED_AT])
    for separator in _GUESSED:
        try:
            widths = {len(line.cells) for line in _split(start, separator)} - {0}
        except InputError:  # the last of these lines may end within quotation marks
            continue
        if len(widths) == 1 and widths != {1}:
            return separator
    head = start.partition("\n")[0]
    return max(reversed(_GUESSED), key=head.count)


def separator_named(separator: str) -> str:
    """The sign between cells that is asked for, by itself or by its name."""
    found = _SEPARATORS.get(separator, "\t" if separator == "\\t" else separator)
    if len(found) != 1 or found in '"\r\n':
        raise InputError(f"separator is {separator!r}; give one sign, or {', '.join(_SEPARATORS)}.")
    return found


def called(separator: str) -> str:
    """The name of a sign between cells that `separator_named` reads; without one, the sign itself."""
    return next((name for name, sign in _SEPARATORS.items() if sign == separator), separator)


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


def place_of(name: str, names: Sequence[str], advice: str = "") -> int:
    """The place of a column that is asked for, among the names in the first line of a table; ``advice`` may follow.

    Raises:
        InputError: where no column has this name.
    """
    if name not in names:
        near = nearest(name, names)
        meant = "" if near is None else f" Did you mean {near!r}?"
        raise InputError(f"has no column {name!r}; its first line names {listed(names, 20)}{advice}.{meant}")
    return list(names).index(name)


def listed(names: Sequence[str], most: int = 3) -> str:
    """``a, b and 2 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")

"""What looks wrong with a table though it can be read: it is said, so that the user decides."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float

from bayesgc.task.array.sheets import listed
from bayesgc.task.array.standard import Description
from bayesgc.validate import InputError

DOUBTFUL = "doubtful_columns"
"""The name in a task's description under which such columns are listed."""
UNLIKE = "unlike_scales"
"""The same for columns that share a scale though they differ by orders of magnitude."""
_UNLIKE = 100.0
_IDS = frozenset({"id", "ids", "index", "idx", "unnamed: 0"})
_COUNTS = frozenset({"no", "no.", "nr", "nr.", "number", "key", "row"})
_YEARS = frozenset({"year", "years", "yr", "date", "jahr", "année", "año"})
_YEAR_RANGE = (1500, 2200)
_FEWEST, _LONG = 3, 5
_A_YEAR, _AN_ID = "a year", "an id"


def doubtful_columns(
    values: Float[np.ndarray, "rows cols"], columns: Sequence[str], *, data: Collection[str] = (), first: bool = False
) -> Description:
    """The columns that look as if they name the rows and measure nothing, and what they look like.

    Args:
        values: the cells, NaN where unobserved.
        columns: the names of the columns.
        data: columns that are said to be data, of which nothing is doubted.
        first: whether the first of the columns is that of the table too, so that it could be its labels.

    Raises:
        InputError: for one that is an id beyond doubt, with the ways out.
    """
    found = []
    for place, (name, cells) in enumerate(zip(columns, values.T, strict=True)):
        if name in data or (what := _what_it_looks_like(name.lower(), cells)) is None:
            continue
        if (_is_id(name.lower()) and what == _AN_ID) or _counts(cells, _FEWEST if what == _AN_ID else _LONG):
            raise InputError(_id_refused(name, what, first=first and place == 0))
        found.append(f"{name} ({what}?)")
    return {DOUBTFUL: listed(found)} if found else {}


def _is_id(name: str) -> bool:
    """Whether a name says nothing else; a ``number`` or ``row`` may be one of something that was measured."""
    return name in _IDS or name.endswith(("_id", " id", "-id"))


def _counts(cells: Float[np.ndarray, " row"], fewest: int) -> bool:
    """Whether a column counts the rows from 0 or 1, for longer than chance would."""
    return len(cells) >= fewest and float(cells[0]) in (0.0, 1.0) and bool((np.diff(cells) == 1).all())


def _id_refused(name: str, what: str, *, first: bool) -> str:
    """What to do about a column that names the rows."""
    plain = name.isprintable() and not set(name) & set(" ,\"'`")
    leave = f"`drop={name}`" if plain else "`drop`"
    label = "; take it for the labels of the rows with `index`" if first else ""
    kept = "`index=False`" if first else "its name in `columns`"
    return (
        f"column {name!r} looks like {what}, which measures nothing and would be modelled with the other columns. "
        f"Leave it out with {leave}{label}; or, where it is data, say so with {kept}."
    )


def _what_it_looks_like(name: str, cells: Float[np.ndarray, " row"]) -> str | None:
    """An id or a year: whole numbers, each there once."""
    seen = cells[~np.isnan(cells)]
    if not len(seen) or (seen != np.round(seen)).any() or len(np.unique(seen)) < len(seen):
        return None
    steady = len(seen) >= _FEWEST and bool((np.diff(seen) == 1).all())
    years = bool(((seen >= _YEAR_RANGE[0]) & (seen <= _YEAR_RANGE[1])).all())
    if years and (name in _YEARS or steady):
        return _A_YEAR
    if len(seen) >= _FEWEST and (_is_id(name) or name in _COUNTS):
        return _AN_ID
    return "a count of the rows" if steady and len(seen) == len(cells) else None


def unlike_scales(values: Float[np.ndarray, "rows cols"], what: str) -> Description:
    """How many times as much the column that varies most does so as the one that varies least, where that is a lot."""
    own = [float(np.nanstd(cells)) for cells in values.T if (~np.isnan(cells)).sum() > 1]
    spreads = [each for each in own if each > 0]
    ratio = max(spreads) / min(spreads) if spreads else 1.0
    return (
        {UNLIKE: f"one {what} varies {float(f'{ratio:.2g}'):.0f} times as much as another"} if ratio > _UNLIKE else {}
    )


STAND_INS = "stand_ins"
"""The same for numbers that look as if they stood for missing cells."""
_NINES = tuple(float(f"{sign}{9:9>{digits}}") for sign in ("-", "") for digits in (2, 3, 4, 5))
_FAR = 5.0


def stand_ins(values: Float[np.ndarray, "rows cols"]) -> Description:
    """Numbers of nines alone, such as −999, that are there several times and far from all others."""
    seen = values[~np.isnan(values)]
    found = []
    for each in _NINES:
        others = seen[seen != each]
        far = others.size and abs(each) / _FAR > np.abs(others).max()
        if far and (seen == each).sum() > 1:
            found.append(f"{each:.0f}")
    return {STAND_INS: listed(found)} if found else {}


def empty_rows(
    values: Float[np.ndarray, "rows cols"], labels: Sequence[str] | None, lines: Sequence[int]
) -> Description:
    """The rows of which nothing is observed, by their label or line: all that is known of them is what columns say."""
    empty = np.flatnonzero(np.isnan(values).all(axis=1))
    names = [labels[i] if labels else f"line {lines[i]}" for i in empty.tolist()]
    return {"empty_rows": listed(names)} if names else {}

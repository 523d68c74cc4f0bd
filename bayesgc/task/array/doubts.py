"""What looks wrong with a table though it can be read: it is said, so that the user decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bayesgc.task.array.sheets import listed
from bayesgc.task.array.standard import Description

DOUBTFUL = "doubtful_columns"
"""The name in a task's description under which such columns are listed."""
UNLIKE = "unlike_scales"
"""The same for columns that share a scale though they differ by orders of magnitude."""
_UNLIKE = 100.0
_COUNTS = frozenset({"id", "ids", "index", "idx", "no", "no.", "nr", "nr.", "number", "key", "row", "unnamed: 0"})
_YEARS = frozenset({"year", "years", "yr", "date", "jahr", "année", "año"})
_YEAR_RANGE = (1500, 2200)
_FEWEST = 3


def doubtful_columns(values: Float[np.ndarray, "rows cols"], columns: Sequence[str]) -> Description:
    """The columns that look as if they name the rows and measure nothing, and what they look like."""
    found = [
        f"{name} ({what}?)"
        for name, cells in zip(columns, values.T, strict=True)
        if (what := _what_it_looks_like(name.lower(), cells)) is not None
    ]
    return {DOUBTFUL: listed(found)} if found else {}


def _what_it_looks_like(name: str, cells: Float[np.ndarray, " row"]) -> str | None:
    """An id or a year: whole numbers, each there once."""
    seen = cells[~np.isnan(cells)]
    if not len(seen) or (seen != np.round(seen)).any() or len(np.unique(seen)) < len(seen):
        return None
    steady = len(seen) >= _FEWEST and bool((np.diff(seen) == 1).all())
    years = bool(((seen >= _YEAR_RANGE[0]) & (seen <= _YEAR_RANGE[1])).all())
    if years and (name in _YEARS or steady):
        return "a year"
    if name in _COUNTS or name.endswith(("_id", " id", "-id")):
        return "an id"
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

"""Results of unlike kinds: which of them can be compared with each other, and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bayesgc.analysis.measures import measures_of
from bayesgc.analysis.words.numerals import count_word

Json = dict[str, Any]


def kinds(results: Sequence[Json]) -> dict[str, list[int]]:
    """The places of the results of each kind, by what the kind is in words; that of the first result first."""
    found: dict[str, list[int]] = {}
    for place, each in enumerate(results):
        found.setdefault(_kind(each), []).append(place)
    return found


def _kind(result: Json) -> str:
    """What was fitted, and by what it is judged: only losses of one measure have a difference or a ratio."""
    measures = measures_of(result)
    if (result["prior"] or {}).get(measures.generalisation.name) is not None:
        return f"{_FITTED[measures.labelled]} judged by their {measures.generalisation.words}"
    return f"{_FITTED[measures.labelled]} {_UNJUDGED[measures.labelled]}"


_FITTED = {False: "arrays", True: "labelled examples"}
_UNJUDGED = {False: "whose generalisation is not known", True: "without a test set"}


def unlike(found: Mapping[str, Sequence[int]], names: Sequence[str]) -> list[str]:
    """That results of several kinds stand in tables of their own, and why; nothing where all are of one kind."""
    if len(found) == 1:
        return []
    each = [f"{kind}: {', '.join(names[place] for place in places)}" for kind, places in found.items()]
    opening = f"Results of {count_word(len(found))} kinds, of which none is compared with one of another kind, since"
    return [
        f"{opening} they have no measure in common:",
        *(f"* {line}" for line in each),
        "How rare their fits are is told of each, but is of other data. For differences give results of one kind.",
    ]

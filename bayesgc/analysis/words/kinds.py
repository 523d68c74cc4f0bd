"""Which results can be compared with each other, why the others cannot, and what to know of those that can."""

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


_LONGEST = 30
"""Longer labels are too long for a sentence."""


def names_in_sentences(results: Sequence[Json], names: Sequence[str]) -> list[str]:
    """The labels, or where they are long the ``names`` that a key explains."""
    labels = [str(each["label"]) for each in results]
    return labels if max(map(len, labels)) <= _LONGEST else [f"result {name}" for name in names]


ALONE = "One result alone has nothing to be compared with; give two or more."


def other_tasks(differences: Sequence[Json]) -> list[str]:
    """That results on other tasks than the first's are not judged against it, and why."""
    found = [each for each in differences if not each["same_task"]]
    if not found:
        return []
    names = ", ".join(each["label"] for each in found)
    why = "Other data change the result by more than the errors of the runs tell"
    instead = "give results on one task, or two models on several tasks each"
    return [f"Not judged against {found[0]['against']}: {names}, on another task. {why}; {instead}."]


def about_their_fits(each: Json) -> str:
    """What a verdict about two does not say by itself: fits that ask for nothing, and fits that are unequal."""
    names = [each[side] for side in each["asks_nothing"]]
    said = [f"of {' and '.join(names)} a fit asks for next to nothing, so it explains nothing there"] if names else []
    said += [] if each["same_eps"] else ["their thresholds differ, so they do not fit equally well"]
    return f" But {', and '.join(said)}." if said else ""

"""What a sweep says: medians over tasks along the swept axis, and the change from one end to the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.claims.decisions import MEDIANS, ratio_of
from bayesgc.analysis.equal_fit import descent_variable
from bayesgc.analysis.measures import measures_over
from bayesgc.analysis.tree.panels import Panel
from bayesgc.analysis.tree.stores import Store
from bayesgc.analysis.words.numerals import count_word, rounded
from bayesgc.analysis.words.tables import BETTER, WITHIN, interval_words
from bayesgc.intervals import Ratio


def laws(cells: xr.Dataset) -> dict[str, str]:
    """The variable of each law's loss; of gradient descent, where it ran, that at equal fit if it is known."""
    descent, primary = descent_variable(cells), measures_over(cells).generalisation.name
    found = {"prior": f"prior_{primary}", "posterior": f"posterior_{primary}"}
    ran = descent in cells and np.isfinite(cells[descent]).any()
    return found | ({descent.removesuffix(f"_{primary}"): descent} if ran else {})


@dataclass(frozen=True)
class Change:
    """L_gen at ``last`` against that at ``first``, on each of the tasks that have run at both.

    ``difference`` is the mean over tasks of the change of E[L_gen], with the standard error of that mean; ``ratio``
    holds the factor of each task, by which it is judged, as in claims and comparisons.
    """

    difference: float
    mcse: float | None
    tasks: int
    first: Any
    last: Any
    ratio: Ratio

    @property
    def judgement(self) -> str:
        """What the factor over tasks says; of one task what the error of sampling does."""
        return _judgement(self.ratio)


def _judgement(ratio: Ratio) -> str:
    return ratio.of_these_tasks().judgement if ratio.factor.size == 1 else ratio.judgement


def change(panel: Panel) -> Change | None:
    """Between the first and the last value at which anything is known, paired over the tasks that both have."""
    table = panel.over_tasks(f"posterior_{measures_over(panel.cells).generalisation.name}")
    known = np.flatnonzero(np.isfinite(table).any(axis=1))
    if known.size < 2:
        return None
    gaps = table[known[-1]] - table[known[0]]
    gaps = gaps[np.isfinite(gaps)]
    if not gaps.size:
        return None
    mean = Ratio(gaps).over_tasks(plain=True)
    error = mean.error if gaps.size > 1 else None
    ratio = ratio_of(*(_cells(panel, int(known[end])) for end in (-1, 0)))
    first, last = (panel.places[known[end]] for end in (0, -1))
    return Change(mean.value, error, int(gaps.size), first, last, ratio)


def _cells(panel: Panel, place: int) -> xr.Dataset:
    """The cells at one place of the axis, one a task: runs of a task with several seeds count once, by their mean."""
    measures = measures_over(panel.cells)
    primary = measures.generalisation.name
    ends = ("", "_mcse", "_q50", "_q50_mcse", "_believable")
    wanted = (*(f"posterior_{primary}{end}" for end in ends), f"{measures.ignorant.name}_{primary}", "seed_used")
    tables = {name: panel.over_tasks(name)[place] for name in wanted if name in panel.cells}
    return xr.Dataset({name: ("task", values) for name, values in tables.items()}, attrs=panel.cells.attrs)


def answer(store: Store) -> str:
    """How generalisation changes along the axis, in each panel, between the ends that are known of it."""
    gaps = {panel.name: gap for panel in store.panels if (gap := change(panel)) is not None}
    if not gaps:
        return _why_nothing(store)
    symbol, axis = measures_over(store.cells).generalisation.symbol, store.panels[0].axis.replace("_", " ")
    tasks = {gap.tasks for gap in gaps.values()}
    found: dict[tuple[Any, Any], dict[str, list[str]]] = {}
    for panel, gap in gaps.items():
        name = symbol if len(store.panels) == 1 else panel
        over = "" if len(tasks) == 1 else f", {_over(gap.tasks)}"
        found.setdefault((gap.first, gap.last), {}).setdefault(direction(gap), []).append(f"{name} {factor(gap)}{over}")
    parts = []
    for (first, last), ways in found.items():
        clauses = "; ".join(f"{_told(words)} ({'; '.join(each)})" for words, each in ways.items())
        parts.append(f"From {axis} {first} to {last}, {clauses}.")
    numbers = f"The numbers are the factor by which {symbol} of a fit changes"
    numbers += f", {_over(*tasks)}." if len(tasks) == 1 else "."
    return " ".join(filter(None, [*parts, numbers, _worse_than_nothing(store)]))


def _worse_than_nothing(store: Store) -> str:
    """That fitting is of no use at all, where that is so at every place of every panel: a change hides it."""
    measures = measures_over(store.cells)
    if f"{measures.ignorant.name}_{measures.generalisation.name}" not in store.cells:
        return ""
    places = [_cells(panel, place) for panel in store.panels for place in range(len(panel.places))]
    against = [ratio_of(cells, cells, under="zero") for cells in places]
    known = [ratio for ratio in against if np.isfinite(ratio.factor).any()]
    if not known or any(_judgement(ratio) != "higher" for ratio in known):
        return ""
    return f"Everywhere weights that fit generalise worse than {measures.ignorant.phrase}."


def _told(words: str) -> str:
    """The `direction` as a clause."""
    if words.startswith("not known"):
        return f"whether weights that fit generalise better is {words}"
    return f"weights that fit generalise {words}"


def _over(tasks: int) -> str:
    return f"over {tasks} {'task' if tasks == 1 else 'tasks'}"


def factor(gap: Change) -> str:
    """The geometric mean over tasks, with its interval: ``× 0.23, 95 % 0.18 to 0.29``."""
    one = gap.ratio.factor.size == 1
    mean = gap.ratio.of_these_tasks() if one else gap.ratio.over_tasks()
    factors = mean.factors()
    ends = "" if factors is None else f", 95 % {interval_words(factors)}"
    medians = "median " if MEDIANS in gap.ratio.note else ""
    return f"{medians}× {rounded(math.exp(mean.value))}{ends}"


def _why_nothing(store: Store) -> str:
    done = store.strings("outcome") == "converged"
    if done.any() and not np.isfinite(store.cells[laws(store.cells)["posterior"]].values[done]).any():
        lacking = (
            "there is no test set"
            if measures_over(store.cells).labelled
            else "nothing is held out, or the truth is not known"
        )
        return f"How well the weights generalise is not known here: {lacking}."
    return "Too few cells have run to say anything yet."


def headline(gap: Change, axis: str) -> str:
    """The same as a title: ``better with depth``, ``two tasks cannot decide about depth``."""
    words = direction(gap).removeprefix("not known, as ")
    if gap.judgement in BETTER:
        return f"{words} with {axis}"
    named = words.replace("alike", f"alike whatever the {axis}").replace("decide", f"decide about {axis}")
    return named if named != words else f"{words} ({axis})"


def direction(gap: Change) -> str:
    """Better, worse or alike, or what keeps one from saying so."""
    judgement = gap.judgement
    if judgement in BETTER:
        return f"{BETTER[judgement]}{' on the one task' if gap.ratio.factor.size == 1 else ''}"
    if judgement == "alike":
        return f"alike, to within {WITHIN}"
    asked, there = gap.ratio.factor.size, gap.ratio.tasks
    if there < asked:
        return f"not known, as {asked - there} of {asked} tasks have no number"
    if asked == 1:
        return "not known, as the error on the one task cannot decide"
    very = gap.ratio.of_these_tasks().judgement
    these = f", though {BETTER[very]} on these very tasks" if very in BETTER else ""
    return f"not known, as {count_word(asked)} tasks cannot decide{these}"

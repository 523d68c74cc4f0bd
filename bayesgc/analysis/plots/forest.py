"""Many results under one another: posteriors over depth, width or whatever they differ in."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from textwrap import fill
from typing import Any, overload

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesgc.analysis.compare.compare import distinguishing_labels
from bayesgc.analysis.compare.contrast import factor_between, same_task
from bayesgc.analysis.equal_fit import compared_group
from bayesgc.analysis.measures import MEASURES, measures_in, measures_of
from bayesgc.analysis.plots.canvas import axes_on, check_result, handed_over, unsuited
from bayesgc.analysis.plots.look import (
    COLOURS,
    NAMES,
    in_the_look,
    inches,
    names_in,
    positive,
    title_and_legend,
)
from bayesgc.analysis.tree.groups import fitted, has, values
from bayesgc.analysis.tree.storage import load
from bayesgc.analysis.tree.summary import Json, result_object
from bayesgc.intervals import Number, Standing
from bayesgc.validate import InputError

LABELS = {
    **{name: measure.axis for name, measure in MEASURES.items()},
    "effective_rank": "effective rank",
    "nuclear_norm": "nuclear norm",
}
_SHORT = 14
_LINE = 20


@overload
def plot_forest(
    *results: xr.DataTree | str | os.PathLike[str],
    labels: Sequence[str] | None = None,
    quantity: str | None = None,
    ax: None = None,
) -> Figure: ...


@overload
def plot_forest(
    *results: xr.DataTree | str | os.PathLike[str],
    labels: Sequence[str] | None = None,
    quantity: str | None = None,
    ax: Axes,
) -> Axes: ...


@in_the_look
def plot_forest(
    *results: xr.DataTree | str | os.PathLike[str],
    labels: Sequence[str] | None = None,
    quantity: str | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """50 and 90 % intervals and the median of each result's prior and posterior, and the restarts at equal fit.

    Args:
        results: DataTrees or files, from top to bottom.
        labels: a name for each; by default what the results differ in.
        quantity: the measure of generalisation, which it is by default, ``effective_rank`` or ``nuclear_norm``.
        ax: axes to draw on, which are then returned, instead of a figure.

    Raises:
        InputError: without a result, or where none of them has what is drawn here.
    """
    trees = [each if isinstance(each, xr.DataTree) else load(each) for each in results]
    if not trees:
        raise InputError("plot_forest got no result; give at least one DataTree or file.")
    quantity = measures_in(trees[0]).generalisation.name if quantity is None else quantity
    for tree in trees:
        check_result("plot_forest", tree)
    if not any(has(tree, law, quantity) for tree in trees for law in ("prior", "posterior")):
        raise unsuited("plot_forest", f"draws whose {quantity!r} is known", trees[0])
    names = distinguishing_labels(trees) if labels is None else list(labels)
    marks = [_in_lines(name) for name in names]
    lines = max(mark.count("\n") + 1 for mark in marks)
    axes = axes_on(ax, 1.3 + max(0.4, 0.1 + 0.12 * lines) * len(trees))
    for row, tree in enumerate(trees):
        for law, offset in (("prior", 0.2), ("posterior", 0.0)):
            if has(tree, law, quantity):
                _interval(axes, _shown(values(tree, law, quantity), quantity), -row + offset, law, first=row == 0)
        descent = compared_group(tree)
        if has(tree, descent, quantity) and fitted(tree, descent).any():
            found = _shown(values(tree, descent, quantity)[fitted(tree, descent)], quantity)
            axes.plot(
                found, np.full(found.size, -row - 0.2), "|", ms=6, color=COLOURS["gd"],
                label=names_in(tree)[descent] if row == 0 else "_",
            )  # fmt: skip
    axes.set_yticks(-np.arange(len(trees)), marks)
    axes.set_ylim(-len(trees) + 0.5, 0.5)
    logarithmic = quantity in MEASURES and not MEASURES[quantity].whole
    axes.set(xscale="log" if logarithmic else "linear", xlabel=LABELS.get(quantity, quantity))
    widest = max(inches(line) for mark in marks for line in mark.splitlines())
    title_and_legend(axes, forest_title(trees, names, quantity), labels=0.2 + widest)
    return handed_over(axes, ax)


def _shown(found: np.ndarray, quantity: str) -> np.ndarray:
    """Draws in the unit that people read, above zero where the axis is logarithmic."""
    measure = MEASURES.get(quantity)
    if measure is None or not measure.whole:
        return positive(found)
    return np.asarray(measure.scaled(found[np.isfinite(found)].astype(np.float64)))


def _in_lines(name: str) -> str:
    """A label over several lines, whose parts stay whole."""
    return fill(name.replace(" ", "\xa0").replace(",\xa0", ", "), _LINE).replace("\xa0", " ")


def forest_title(trees: Sequence[xr.DataTree], names: Sequence[str], quantity: str) -> str:
    """From the first result to the last: lower, higher, alike or not decided, by the rule of all comparisons.

    What is drawn of different tasks is judged nowhere, as a task may be the harder one.
    """
    results = [result_object(tree) for tree in (trees[0], trees[-1])]
    found = [(each["posterior"] or {}).get(quantity) for each in results]
    if len(trees) < 2 or found[0] is None or found[1] is None:
        return "What draws of the prior and of the posterior have"
    if not same_task(trees[0], trees[-1]):
        return "What draws of the prior and of the posterior have\non tasks that differ, which are not compared"
    last, first = (f"at {name}" if len(name) <= _SHORT else place for name, place in _ends(names))
    judgement = _judgement(results, quantity)
    if judgement == "undecided":
        return f"The errors cannot decide\n{last} against {first}"
    if judgement == "alike":
        return f"Weights that fit generalise alike\n{last} and {first}"
    if quantity == measures_of(results[0]).generalisation.name:
        return f"Weights that fit generalise {'better' if judgement == 'lower' else 'worse'}\n{last} than {first}"
    return f"Weights that fit have a {judgement} {quantity.replace('_', ' ')}\n{last} than {first}"


def _judgement(results: Sequence[Json], quantity: str) -> str:
    """Of a measure of generalisation by the factor between two results, of other quantities by their difference."""
    first, last = (each["posterior"][quantity] for each in results)
    if quantity == measures_of(results[0]).generalisation.name:
        factor = factor_between(results[1], results[0])
        return "undecided" if factor is None else str(factor["standing"])
    numbers = [Number(each["mean"], math.inf if each["mcse"] is None else each["mcse"]) for each in (first, last)]
    words = {Standing.LOWER: "lower", Standing.HIGHER: "higher"}
    return words.get((numbers[1] - numbers[0]).standing, "undecided")


def _ends(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(names[-1], "at the bottom"), (names[0], "at the top")]


def _interval(axes: Axes, draws: np.ndarray, height: float, law: str, *, first: bool) -> None:
    low, quarter, middle, upper, high = np.quantile(draws, [0.05, 0.25, 0.5, 0.75, 0.95])
    options: dict[str, Any] = {"color": COLOURS[law]}
    axes.hlines(height, low, high, lw=1.0, **options)
    axes.hlines(height, quarter, upper, lw=3.0, label=NAMES[law] if first else "_", **options)
    axes.plot(middle, height, "o", ms=3.5, mec="white", mew=0.5, **options)

"""Claims about networks on labelled examples: width, depth, gradient descent beside Guess & Check, the certificate.

Each task is a draw of the training set. Differences of shares of wrong labels are in percentage points, since the error
of a network that was trained may well be zero, and a ratio to it is none.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesgc.analysis.decisions import MARGIN, Claim, Ratio, decide, ratio_of
from bayesgc.analysis.measures import Measures, measures_over
from bayesgc.analysis.panels import REPLICATES, main_axis, panels

_POINTS = "percentage points"
_CLOSE = 2.0
"""The factor to the truth within which a bound is close."""
_LAWS = {"gd_at_eps": ("at equal fit", "where it first fits"), "gd": ("at its end", "at its end")}


def network_claims(dataset: xr.Dataset, title: str) -> Iterator[Claim]:
    """The claims along the main axis of one sweep over several tasks, panel by panel."""
    axis = main_axis(dataset)
    if axis in REPLICATES or dataset.sizes[axis] < 2 or dataset.sizes.get("task_seed", 0) < 2:
        return
    for panel in panels(dataset, axis):
        where = ", ".join(filter(None, (title, panel.name)))
        yield from _along(panel.cells, axis, where)
        if measures_over(dataset).classes:
            yield from _against_descent(panel.cells, axis, where)
            yield from _certified(panel.cells, axis, where)


def _along(part: xr.Dataset, axis: str, where: str) -> Iterator[Claim]:
    """What the axis does from its first value to its last one."""
    kind = _size(part[axis].values.tolist()) if axis == "width" else None
    if kind is None:
        return
    first, last = part.isel({axis: 0}), part.isel({axis: -1})
    ends = f"at {axis} {last[axis].item()} over that at {first[axis].item()}"
    measure = measures_over(part).generalisation
    ratio, measured = ratio_of(last, first), f"{measure.average} of Guess & Check {ends}"
    yield decide(f"{kind} hurts", where, ratio, MARGIN, measured, above=True)
    if kind == "depth":
        yield decide("depth helps", where, ratio, 1 / MARGIN, measured)
    trained = _trained(part, axis)
    if measures_over(part).classes and trained.sizes[axis] > 1 and _any(trained, "gd"):
        first, last = trained.isel({axis: 0}), trained.isel({axis: -1})
        change = Ratio(_descent(last, "gd") - _descent(first, "gd"))
        name = f"{kind} helps gradient descent"
        ends = f"at {axis} {last[axis].item()} less that at {first[axis].item()}"
        measured = f"of the median test error of gradient descent at its end {ends}"
        yield decide(name, where, change, 0.0, measured, plain=True, unit=_POINTS)


def _size(widths: list[object]) -> str | None:
    """What grows along hidden widths such as ``20,10`` and ``40,20``: the width, or the depth; None for neither."""
    layers = [str(each).count(",") for each in widths]
    if len(set(layers)) == 1:
        return "width"
    return "depth" if layers == sorted(set(layers)) else None


def _against_descent(part: xr.Dataset, axis: str, where: str) -> Iterator[Claim]:
    """At the ends of the axis, whether gradient descent does better; and whether more examples close its advantage."""
    part = _trained(part, axis)
    if not part.sizes[axis]:
        return
    first, last = part.isel({axis: 0}), part.isel({axis: -1})
    for law, (when, state) in _LAWS.items():
        if not _any(part, law):
            continue
        name = f"gradient descent does better {when}"
        for point in (first, last):
            place = f"{where}, {axis} {point[axis].item()}"
            measured = f"of the median test error of gradient descent {state}, less the mean of Guess & Check"
            yield decide(name, place, _advantage(point, law), 0.0, measured, plain=True, unit=_POINTS)
        if axis == "train":
            yield from _closing(first, last, law, where)


def _trained(part: xr.Dataset, axis: str) -> xr.Dataset:
    """The places of the axis where gradient descent was run: infinitely wide networks have no weights to train."""
    if "gd_restarts" not in part:
        return part
    return part.isel({axis: np.isfinite(part["gd_restarts"].transpose(axis, "task_seed").values).any(1)})


def _closing(first: xr.Dataset, last: xr.Dataset, law: str, where: str) -> Iterator[Claim]:
    when, state = _LAWS[law]
    few, many = _advantage(first, law), _advantage(last, law)
    change = Ratio(many.factor - few.factor, np.hypot(_given(many.error), _given(few.error)))
    ends = f"at train {last['train'].item()} less that at {first['train'].item()}"
    measured = f"of the test error of gradient descent {state} less that of Guess & Check, {ends}"
    name = f"the advantage of gradient descent {when} closes"
    yield decide(name, where, change, 0.0, measured, above=True, plain=True, unit=_POINTS)
    shares = [_descent(point, law) / _posterior(point)[0] for point in (first, last)]
    measured = f"the test error of gradient descent {state} as a share of that of Guess & Check, {ends}"
    name = f"the relative advantage of gradient descent {when} closes"
    yield decide(name, where, Ratio(shares[1] - shares[0]), 0.0, measured, above=True, plain=True)


def _certified(part: xr.Dataset, axis: str, where: str) -> Iterator[Claim]:
    """Whether the bound is above what it bounds, says something, and is near."""
    if "certificate" not in part or np.isnan(part["certificate"]).all():
        return
    last = part.isel({axis: -1})
    errors, spread = _posterior(part.transpose(axis, "task_seed"))
    bound = _in_points(part, part["certificate"].transpose(axis, "task_seed").values)
    worst = (errors - bound).argmax(0)[None]
    excess = (np.take_along_axis(each, worst, 0)[0] for each in (errors - bound, spread))
    measured = f"of the mean test error of Guess & Check less its certificate, at the worst {axis} of each task"
    yield decide("the certificate holds", where, Ratio(*excess), 0.0, measured, plain=True, unit=_POINTS)
    known = _in_points(last, last[_nothing(measures_over(last))].values)
    end = f"at {axis} {last[axis].item()}"
    measured = f"of the certificate less the test error of the most common label, {end}"
    name = "the certificate is better than guessing"
    yield decide(name, where, Ratio(bound[-1] - known), 0.0, measured, plain=True, unit=_POINTS)
    close = Ratio(bound[-1] / errors[-1], spread[-1] / errors[-1])
    measured = f"the certificate over the mean test error of Guess & Check, {end}"
    yield decide("the certificate is within a factor of two", where, close, _CLOSE, measured)


def _advantage(point: xr.Dataset, law: str) -> Ratio:
    """How far the median of descent is above the posterior's mean on each task, in points."""
    mean, error = _posterior(point)
    return Ratio(_descent(point, law) - mean, error)


def _posterior(cells: xr.Dataset) -> tuple[Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"]]:
    name = f"posterior_{measures_over(cells).generalisation.name}"
    return _in_points(cells, cells[name].values), _in_points(cells, cells[f"{name}_mcse"].values)


def _descent(cells: xr.Dataset, law: str) -> Float[np.ndarray, "*cell"]:
    return _in_points(cells, cells[f"{law}_{measures_over(cells).generalisation.name}"].values)


def _in_points(cells: xr.Dataset, values: Float[np.ndarray, "*cell"]) -> Float[np.ndarray, "*cell"]:
    return np.asarray(measures_over(cells).generalisation.scaled(values), dtype=float)


def _any(cells: xr.Dataset, law: str) -> bool:
    name = f"{law}_{measures_over(cells).generalisation.name}"
    return name in cells and bool(np.isfinite(cells[name]).any())


def _nothing(measures: Measures) -> str:
    return f"{measures.ignorant.name}_{measures.generalisation.name}"


def _given(error: Float[np.ndarray, " task"] | None) -> Float[np.ndarray, " task"] | float:
    return 0.0 if error is None else error

"""Claims about networks on labelled examples: width, depth, gradient descent beside Guess & Check, the certificate.

Each task is a draw of the training set. Differences of shares of wrong labels are in percentage points, since the error
of a network that was trained may well be zero, and a ratio to it is none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesgc.analysis.certificate import guesses
from bayesgc.analysis.claims.decisions import MARGIN, MEANS, Claim, Ratio, decide, ratio_of
from bayesgc.analysis.measures import measures_over
from bayesgc.analysis.tree.panels import REPLICATES, axes_of, cut, main_axis

_POINTS = "percentage points"
_CLOSE = 2.0
"""The factor to the truth within which a bound is close."""
_LAWS = {"gd_at_eps": ("at equal fit", "where it first fits"), "gd": ("at its end", "at its end")}


def network_claims(dataset: xr.Dataset, title: str) -> Iterator[Claim]:
    """The claims along the main axis of one sweep over several tasks, panel by panel."""
    axis = main_axis(dataset)
    if axis in REPLICATES or dataset.sizes[axis] < 2 or dataset.sizes.get("task_seed", 0) < 2:
        return
    if np.issubdtype(dataset[axis].dtype, np.number):
        dataset = dataset.sortby(axis)
    # Each seed is a panel of its own: its claims are about the same draws of the data.
    for name, part in cut(dataset, [each for each in axes_of(dataset) if each not in (axis, "task_seed")]):
        where = ", ".join(filter(None, (title, name)))
        yield from _along(part, axis, where)
        if measures_over(dataset).classes:
            yield from _against_descent(part, axis, where)
            yield from _certified(part, axis, where)


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
    layers = [[float(part) for part in str(each).split(",")] for each in widths]
    depths = [len(each) for each in layers]
    if len(set(depths)) > 1:
        return "depth" if depths == sorted(set(depths)) else None
    grows = all(low <= high for each in itertools.pairwise(layers) for low, high in zip(*each, strict=True))
    return "width" if grows else None


def _against_descent(part: xr.Dataset, axis: str, where: str) -> Iterator[Claim]:
    """Whether gradient descent does better, and whether more examples close its advantage.

    At the ends of an axis of sizes; of others, which have none, at every place.
    """
    part = _trained(part, axis)
    places = range(part.sizes[axis])
    sizes = axis == "width" or np.issubdtype(part[axis].dtype, np.number)
    ends = [part.isel({axis: place}) for place in (sorted({*places[:1], *places[-1:]}) if sizes else places)]
    for law, (when, state) in _LAWS.items():
        if not _any(part, law):
            continue
        name = f"gradient descent does better {when}"
        for point in ends:
            place = f"{where}, {axis} {point[axis].item()}"
            measured = f"of the median test error of gradient descent {state}, less that of Guess & Check"
            yield decide(name, place, _advantage(point, law), 0.0, measured, plain=True, unit=_POINTS)
        if axis == "train" and len(ends) > 1:
            yield from _closing(ends[0], ends[-1], law, where)


def _trained(part: xr.Dataset, axis: str) -> xr.Dataset:
    """The places of the axis but those where no cell that is there has descent: infinitely wide networks have none."""
    if "gd_restarts" not in part:
        return part
    there = ~part["outcome"].isin(["", "failed"]).transpose(axis, "task_seed").values
    trained = np.isfinite(part["gd_restarts"].transpose(axis, "task_seed").values)
    return part.isel({axis: trained.any(1) | ~there.any(1)})


def _closing(first: xr.Dataset, last: xr.Dataset, law: str, where: str) -> Iterator[Claim]:
    when, state = _LAWS[law]
    few, many = _advantage(first, law), _advantage(last, law)
    change = Ratio(many.factor - few.factor, np.hypot(_given(many.error), _given(few.error)), note=many.note)
    ends = f"at train {last['train'].item()} less that at {first['train'].item()}"
    measured = f"of the median test error of gradient descent {state} less that of Guess & Check, {ends}"
    name = f"the advantage of gradient descent {when} closes"
    yield decide(name, where, change, 0.0, measured, above=True, plain=True, unit=_POINTS)
    shares = [_over(_descent(point, law), _median(point)[0]) for point in (first, last)]
    measured = f"the median test error of gradient descent {state} as a share of that of Guess & Check, {ends}"
    name = f"the relative advantage of gradient descent {when} closes"
    yield decide(name, where, Ratio(shares[1] - shares[0], note=many.note), 0.0, measured, above=True, plain=True)


def _certified(part: xr.Dataset, axis: str, where: str) -> Iterator[Claim]:
    """Whether the bound is above what it bounds, says something, and is near."""
    if "certificate" not in part:
        return
    # Few examples have none at all.
    part = part.isel({axis: np.isfinite(part["certificate"].transpose(axis, "task_seed").values).any(1)})
    if not part.sizes[axis]:
        return
    last = part.isel({axis: -1})
    errors, spread = _posterior(part.transpose(axis, "task_seed"))
    bound = _in_points(part, part["certificate"].transpose(axis, "task_seed").values)
    worst = (errors - bound).argmax(0)[None]
    excess = (np.take_along_axis(each, worst, 0)[0] for each in (errors - bound, spread))
    measured = f"of the mean test error of Guess & Check less its certificate, at the worst {axis} of each task"
    yield decide("the certificate holds", where, Ratio(*excess), 0.0, measured, plain=True, unit=_POINTS)
    known = _in_points(last, guesses(last).values)
    end = f"at {axis} {last[axis].item()}"
    measured = f"of the certificate less the test error of guessing, {end}"
    name = "the certificate is better than guessing"
    yield decide(name, where, Ratio(bound[-1] - known), 0.0, measured, plain=True, unit=_POINTS)
    close = Ratio(_over(bound[-1], errors[-1]), _over(spread[-1], errors[-1]))
    measured = f"the certificate over the mean test error of Guess & Check, {end}"
    yield decide("the certificate is within a factor of two", where, close, _CLOSE, measured)


def _advantage(point: xr.Dataset, law: str) -> Ratio:
    """How far the median of descent is above the posterior's on each task, in points."""
    median, error, note = _median(point)
    return Ratio(_descent(point, law) - median, error, note=note)


def _median(
    cells: xr.Dataset,
) -> tuple[Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"], str]:
    """The posterior's median and its error, or in a store without medians the mean, and what is to be said of it."""
    name = f"posterior_{measures_over(cells).generalisation.name}_q50"
    if name not in cells:
        return *_posterior(cells), MEANS
    return _in_points(cells, cells[name].values), _in_points(cells, cells[f"{name}_mcse"].values), ""


def _posterior(cells: xr.Dataset) -> tuple[Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"]]:
    name = f"posterior_{measures_over(cells).generalisation.name}"
    return _in_points(cells, cells[name].values), _in_points(cells, cells[f"{name}_mcse"].values)


def _descent(cells: xr.Dataset, law: str) -> Float[np.ndarray, "*cell"]:
    return _in_points(cells, cells[f"{law}_{measures_over(cells).generalisation.name}"].values)


def _in_points(cells: xr.Dataset, values: Float[np.ndarray, "*cell"]) -> Float[np.ndarray, "*cell"]:
    return np.asarray(measures_over(cells).generalisation.scaled(values), dtype=float)


def _over(values: Float[np.ndarray, " task"], errors: Float[np.ndarray, " task"]) -> Float[np.ndarray, " task"]:
    """Values over test errors; no number where no draw that fits makes any."""
    return np.divide(values, errors, out=np.full_like(errors, np.nan), where=errors > 0)


def _any(cells: xr.Dataset, law: str) -> bool:
    name = f"{law}_{measures_over(cells).generalisation.name}"
    return name in cells and bool(np.isfinite(cells[name]).any())


def _given(error: Float[np.ndarray, " task"] | None) -> Float[np.ndarray, " task"] | float:
    return 0.0 if error is None else error

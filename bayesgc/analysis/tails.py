"""What a law says where its mean cannot be believed: the tail, the quartiles with their errors, and who is better.

All from the draws that were kept, by the error rule of the method that made them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesgc.analysis.measures import measures_in, measures_of
from bayesgc.analysis.tree.groups import has, values
from bayesgc.analysis.uncertainty import mean_and_error
from bayesgc.correlated import ENOUGH_ISLANDS
from bayesgc.intervals import Number, log_loss
from bayesgc.moments import believable, tail_shape

Json = dict[str, Any]

QUARTILES = {"q25": 0.25, "q50": 0.5, "q75": 0.75}


def tail(tree: xr.DataTree, group: str, name: str) -> Json:
    """``tail``, the shape k̂ of the largest draws, None where it is not finite, and whether a mean is ``believable``."""
    shape = tail_shape(values(tree, group, name))
    return {"tail": shape if math.isfinite(shape) else None, "believable": believable(shape)}


def quartiles(tree: xr.DataTree, group: str, name: str) -> Json:
    """The quartiles ``q25`` and ``q75``, and the standard errors of these and of the median."""
    draws = values(tree, group, name).astype(np.float64)
    places = dict(zip(QUARTILES, np.quantile(draws, list(QUARTILES.values())).tolist(), strict=True))
    errors = {f"{key}_mcse": _quantile_error(tree, group, draws, places[key], QUARTILES[key]) for key in QUARTILES}
    return {"q25": places["q25"], "q75": places["q75"], **errors}


def _quantile_error(
    tree: xr.DataTree, group: str, draws: Float[np.ndarray, "chain draw"], place: float, share: float
) -> float | None:
    """Half the distance between the quantiles one standard error of the share below the place to either side of it.

    So an error over islands becomes one of a quantile, and particles that share ancestors are never counted as
    independent. None where the error of the share is not known, and 0 where all draws are alike.
    """
    if np.ptp(draws) == 0:
        return 0.0
    _, error = mean_and_error(tree, group, draws <= place)
    if error is None:
        return None
    low, high = np.quantile(draws, np.clip([share - error, share + error], 0.0, 1.0))
    return float(high - low) / 2


def chance_of_less(
    ours: tuple[xr.DataTree, str], theirs: tuple[xr.DataTree, str], *, shared: bool = False
) -> Json | None:
    """P(a draw of one law generalises better than one of the other), ties counting half, with its standard error.

    The error has a part from each side, as the variance of Mann and Whitney's statistic has (DeLong et al. 1988): that
    of the mean over its draws of the share of the other's that are above, by the rule of its method. None for the error
    where one is not known, or where the two ``shared`` their random numbers.
    """
    name, other_name = (measures_in(tree).generalisation.name for tree, _ in (ours, theirs))
    if name != other_name or not all(has(*side, name) for side in (ours, theirs)):
        return None
    first, second = (values(*side, name).astype(np.float64) for side in (ours, theirs))
    estimate, error = mean_and_error(*ours, 1 - _below(second, first))
    _, other = mean_and_error(*theirs, _below(first, second))
    known = error is not None and other is not None and not shared
    return {"estimate": estimate, "mcse": math.hypot(error, other) if known else None}  # type: ignore[arg-type]


def _below(
    draws: Float[np.ndarray, "chain draw"], places: Float[np.ndarray, "other_chain other_draw"]
) -> Float[np.ndarray, "other_chain other_draw"]:
    """The share of the draws below each place, and half of those at it."""
    ordered = np.sort(draws, axis=None)
    counts = np.searchsorted(ordered, places, side="left") + np.searchsorted(ordered, places, side="right")
    return np.asarray(counts / (2 * ordered.size))


def centre(summaries: Iterable[Json]) -> str:
    """What to compare laws by: their ``mean``, or the median ``q50`` where a mean of theirs cannot be believed."""
    return "mean" if all(doubtless(each) for each in summaries) else "q50"


def doubtless(summary: Json) -> bool:
    """Whether nothing is known against a mean and its error."""
    return bool(summary["believable"]) and summary["mean"] is not None


def error_of(summary: Json, which: str) -> float | None:
    """The standard error of the ``mean``, or of the median."""
    error: float | None = summary["mcse" if which == "mean" else f"{which}_mcse"]
    return error


def log_centre(result: Json, law: str, which: str) -> Number:
    """The logarithm of how a law of a result generalises, as far as its precision resolves it."""
    measures = measures_of(result)
    summary, zero = result[law][measures.generalisation.name], measures.known_nothing(result)
    degrees = freedom(result) if law == "posterior" else math.inf
    return log_loss(summary[which], error_of(summary, which), freedom=degrees, zero=zero, dtype=result["dtype"])


def freedom(result: Json) -> float:
    """The degrees of freedom of an error of the posterior: from the spread over islands one less than there are."""
    islands = result["diagnostics"].get("islands", 0)
    return islands - 1 if islands > 1 else math.inf


def few_islands(result: Json) -> str | None:
    """What is to be said of errors and intervals that rest on few islands."""
    count = result["diagnostics"].get("islands", ENOUGH_ISLANDS) - result["diagnostics"].get("islands_lost", 0)
    if count >= ENOUGH_ISLANDS:
        return None
    islands = "one island" if count == 1 else f"{count} islands"
    return f"G&C's errors and intervals rest on {islands} and are hardly known"

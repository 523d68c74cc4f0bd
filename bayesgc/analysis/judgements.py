"""How the laws of a result stand to one another, by their numbers and errors: what its sentence is decided by."""

from __future__ import annotations

import math
from typing import Any

from bayesgc.analysis.equal_fit import compared
from bayesgc.analysis.measures import judged_by, measures_of
from bayesgc.analysis.tails import centre, error_of, freedom, log_centre
from bayesgc.intervals import Number, Standing, log_loss

Json = dict[str, Any]

ENOUGH_RESTARTS = 4
"""Fewer restarts than this say little about their own spread."""
_ERROR_OF_MEDIAN = 0.929
"""The standard error of the median of n normal numbers, times √n over the distance of their quartiles: √(π/2)/1.349."""


def against_prior(result: Json) -> Standing:
    """The posterior's generalisation against the prior's, by means or by medians; both must be there."""
    which = centre_of_laws(result)
    return (log_centre(result, "posterior", which) - log_centre(result, "prior", which)).standing


def against_zero(result: Json) -> Standing:
    """The posterior's generalisation against that of the reference point that knows nothing, which must be there."""
    zero: float = measures_of(result).known_nothing(result)  # type: ignore[assignment]
    predictor = log_loss(zero, 0.0, zero=zero, dtype=result["dtype"])
    return (log_centre(result, "posterior", centre_of_laws(result)) - predictor).standing


def centre_of_laws(result: Json) -> str:
    """What stands for a law in the sentence: its mean, or its median where that of either law cannot be believed."""
    return centre(judged_by(result, law) for law in ("posterior", "prior"))  # type: ignore[misc]


def descent_against_posterior(result: Json, restarts: Json | None = None) -> Standing:
    """Gradient descent's generalisation against the posterior's, at equal fit or of other ``restarts``.

    Like is compared with like, since losses are skewed and a mean may be above three in four of its own draws: descent
    is lower when three in four of its restarts are below the posterior's median, and its median is below that by
    clearly more than the errors of both. With few restarts they must be outside the posterior's 90 % interval.
    ``EQUAL`` also where nothing is decided; `descent_is_typical` tells these apart.
    """
    found: Json = restarts or compared(result) or result["gd"]
    by_spread = _by_spread(result, found)
    return by_spread if by_spread is by_medians(result, found) else Standing.EQUAL


def _by_spread(result: Json, restarts: Json) -> Standing:
    """On which side of the posterior's median, or of its 90 % interval where they are few, the restarts lie."""
    primary = measures_of(result).generalisation.name
    gd, ours, enough = restarts[primary], result["posterior"][primary], enough_restarts(restarts)
    if gd["q75"] < ours["q50" if enough else "q05"]:
        return Standing.LOWER
    return Standing.HIGHER if gd["q25"] > ours["q50" if enough else "q95"] else Standing.EQUAL


def descent_is_typical(result: Json, restarts: Json | None = None) -> bool:
    """Whether the median of gradient descent is among the middle half of the draws, with its 95 % interval.

    The quartiles and the median are numbers of the same kind on both sides; a mean is none of them.
    """
    found: Json = restarts or compared(result) or result["gd"]
    ours = result["posterior"][measures_of(result).generalisation.name]
    if not enough_restarts(found) or ours.get("q25") is None:
        return False
    low, high = _median_of_restarts(result, found).interval()
    return bool(ours["q25"] <= low and high <= ours["q75"])


def by_medians(result: Json, restarts: Json) -> Standing:
    """On which side of the posterior's median that of the restarts is, by more than the errors of both.

    Of test errors one example more or less is no difference.
    """
    ours = result["posterior"][measures_of(result).generalisation.name]
    posterior = Number(ours["q50"], _error(ours, "q50"), freedom(result), one_example(result))
    return (_median_of_restarts(result, restarts) - posterior).standing


def one_example(result: Json) -> float:
    """What one test example makes out in a test error, by which no two differ; 0 of other measures."""
    examples = result["task"].get("test_examples")
    return _ROUNDED + 1 / examples if examples and measures_of(result).classes else 0.0


def _median_of_restarts(result: Json, restarts: Json) -> Number:
    """The median over restarts, with the error of the median of as many normal numbers with these quartiles.

    A few have no error that is worth the name, and are judged by the interval of the draws.
    """
    gd, count = restarts[measures_of(result).generalisation.name], restarts["converged"]
    if not enough_restarts(restarts):
        return Number(gd["median"])
    return Number(gd["median"], _ERROR_OF_MEDIAN * (gd["q75"] - gd["q25"]) / math.sqrt(count), count - 1)


def enough_restarts(restarts: Json) -> bool:
    """Whether so many restarts fitted that their quartiles say how they spread."""
    return bool(restarts["converged"] >= ENOUGH_RESTARTS)


def descent_among_draws(result: Json, restarts: Json | None = None) -> Standing:
    """Whether the median of gradient descent is outside the posterior's central 90 % of draws, and on which side.

    Where laws cannot be told apart, as an error is large or not known, descent may still be below nearly every draw.
    """
    found: Json = restarts or compared(result) or result["gd"]
    primary = measures_of(result).generalisation.name
    median, draws = found[primary]["median"], result["posterior"][primary]
    return Standing.LOWER if median < draws["q05"] else Standing.HIGHER if median > draws["q95"] else Standing.EQUAL


_ROUNDED = 1e-6
"""Shares of wrong labels in single precision may differ by this much and be the same."""


def _error(summary: Json, which: str) -> float:
    """The standard error of a mean, or of a median; one that is not known could be anything."""
    error = error_of(summary, which)
    return math.inf if error is None else error


def worse_than_nothing(result: Json) -> bool:
    """Whether who knows nothing does better than fits do."""
    return measures_of(result).known_nothing(result) is not None and against_zero(result) is Standing.HIGHER

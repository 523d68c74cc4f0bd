"""One sentence that says what a result means, decided by the numbers and their errors."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

from bayesgc.analysis.equal_fit import compared
from bayesgc.analysis.numerals import NORMAL_95, one_in, quartiles, rounded, with_error

Json = dict[str, Any]

ENOUGH_RESTARTS = 4
"""Fewer restarts than this say little about their own spread."""


class Standing(IntEnum):
    """How one loss compares with another."""

    LOWER = -1
    EQUAL = 0
    HIGHER = 1


def verdict(result: Json) -> str:
    """What the result object ``result`` means, in one sentence, for a reader who does not know the paper."""
    if result["posterior"] is None:
        return _nothing_accepted(result)
    judged = result["posterior"]["gen_loss"] is not None
    sentence = _comparison(result) if judged else _generalisation_unknown(result)
    if result["outcome"] == "converged":
        return sentence
    return f"Provisional, as the run has not converged ({result['outcome']}): {sentence[0].lower()}{sentence[1:]}"


def against_prior(result: Json) -> Standing:
    """The posterior's E[L_gen] against the prior's; both must be there."""
    ours, prior = result["posterior"]["gen_loss"], result["prior"]["gen_loss"]
    return _compare(result, ours["mean"] - prior["mean"], math.hypot(_error(ours), _error(prior)))


def against_zero(result: Json) -> Standing:
    """The posterior's E[L_gen] against the zero predictor's loss."""
    ours = result["posterior"]["gen_loss"]
    return _compare(result, ours["mean"] - result["baselines"]["zero"]["gen_loss"], _error(ours))


def descent_against_posterior(result: Json) -> Standing:
    """Gradient descent's L_gen against the posterior's, at equal fit; both must be there.

    Restarts are a spread and have no standard error, so laws are compared: descent is lower when three in four of its
    restarts are below the posterior's median and its median is clearly below the posterior's mean. With few restarts
    they must be outside the posterior's 90 % interval.
    """
    restarts, ours = compared(result) or result["gd"], result["posterior"]["gen_loss"]
    gd, enough = restarts["gen_loss"], restarts["converged"] >= ENOUGH_RESTARTS
    margin = _half_width(result, _error(ours))
    if gd["q75"] < ours["q50" if enough else "q05"] and gd["median"] < ours["mean"] - margin:
        return Standing.LOWER
    if gd["q25"] > ours["q50" if enough else "q95"] and gd["median"] > ours["mean"] + margin:
        return Standing.HIGHER
    return Standing.EQUAL


def _compare(result: Json, difference: float, error: float) -> Standing:
    if abs(difference) <= _half_width(result, error):
        return Standing.EQUAL
    return Standing.LOWER if difference < 0 else Standing.HIGHER


def _half_width(result: Json, error: float) -> float:
    """Of the 95 % interval: an error from the spread over islands is that of Student's t."""
    from scipy.special import stdtrit

    islands = result["diagnostics"].get("islands", 0)
    return error * (float(stdtrit(islands - 1, 0.975)) if islands > 1 else NORMAL_95)


def _error(summary: Json) -> float:
    """The standard error of a mean; one that is not known could be anything."""
    return math.inf if summary["mcse"] is None else float(summary["mcse"])


def _comparison(result: Json) -> str:
    ours, prior = result["posterior"]["gen_loss"], result["prior"]["gen_loss"]
    standing = against_prior(result)
    opening = {
        Standing.LOWER: "better than the prior",
        Standing.EQUAL: "no better than the prior, within error",
        Standing.HIGHER: "worse than the prior",
    }[standing]
    numbers = f"L_gen {with_error(ours['mean'], ours['mcse'])} against {with_error(prior['mean'], prior['mcse'])}"
    return f"Weights that merely fit generalise {opening} ({numbers}){_zero_clause(result)}{_descent_clause(result)}."


def _zero_clause(result: Json) -> str:
    baseline = result["baselines"]["zero"]
    if baseline is None or baseline["gen_loss"] is None:
        return ""
    zero = baseline["gen_loss"]
    standing = against_zero(result)
    improved = against_prior(result) is Standing.LOWER
    phrase = {
        Standing.LOWER: "and better than predicting zero" if improved else "though better than predicting zero",
        Standing.EQUAL: "and about as well as predicting zero",
        Standing.HIGHER: "but worse than predicting zero" if improved else "and worse than predicting zero",
    }[standing]
    return f" {phrase} ({rounded(zero)})"


def _descent_clause(result: Json) -> str:
    gd = result["gd"]
    if gd is None:
        return ""
    at = compared(result)
    if at is None:
        return f"; {_why_not_compared(gd)}"
    standing, improved = descent_against_posterior(result), against_prior(result) is Standing.LOWER
    who = f"; gradient descent, {_where(result)}, does"
    place = f", at {_descent_numbers(at)}"
    after = _at_its_end(result)
    if standing is Standing.LOWER:
        meaning = "fitting alone explains part of it" if improved else "fitting alone does not explain it"
        return f"{who} better{' still' if improved else ''}{place}: {meaning}{after}"
    if standing is Standing.HIGHER:
        return f"{who} worse{place}: the search does not help here{after}"
    meaning = "fitting alone explains it" if improved else "neither fitting nor searching helps"
    return f"{who} about as well{place}: {meaning}{after}"


def _why_not_compared(gd: Json) -> str:
    if not gd["converged"]:
        return f"no restart of gradient descent fitted ({gd['restarts']} tried), so it cannot be compared"
    ended = f"gradient descent ends at {_descent_numbers(gd)}, with a training loss of {_fit(gd)}"
    return f"{ended}, and is not known where it first passed ε, so it cannot be compared at equal fit"


def _where(result: Json) -> str:
    """At what fit gradient descent is compared, with its own training loss and the posterior's."""
    ours, fit = result["posterior"]["train_loss"], _fit(compared(result) or result["gd"])
    beside = "" if ours is None or not result["eps"] else f", {rounded(ours['mean'], 2)} for the posterior"
    opening = "at the same fit" if result["eps"] else "at its end"
    return f"{opening} (training loss {fit}{beside})"


def _at_its_end(result: Json) -> str:
    """Where gradient descent goes from ε on."""
    gd = result["gd"]
    if not result["eps"]:
        return ""
    if not gd["converged"]:
        return "; no restart is still below ε at its end"
    return f"; at its end (training loss {_fit(gd)}) it has {_descent_numbers(gd)}"


def _fit(gd: Json) -> str:
    """The median training loss of the restarts that fitted."""
    return rounded(gd["train_loss"]["median"], 2)


def _descent_numbers(gd: Json) -> str:
    spread = gd["gen_loss"]
    return f"{rounded(spread['median'])} {quartiles(spread['q25'], spread['q75'])}"


def _nothing_accepted(result: Json) -> str:
    eps = f"{result['eps']:g}"
    if result["outcome"] == "infeasible":
        opening = f"No matrix that this model can produce fits to ε = {eps}, so there is no posterior"
    elif nothing_drawn(result):
        opening = f"Nothing was drawn, so nothing is known of weights that fit to ε = {eps}"
    else:
        opening = f"No draw fitted to ε = {eps}{_bound(result)}, so nothing is known of weights that merely fit"
    gd = result["gd"]
    if gd is None:
        return f"{opening}."
    at = compared(result) or (gd if gd["converged"] else None)
    if at is None:
        return f"{opening}; no restart of gradient descent fitted either."
    if at["gen_loss"] is None:
        return f"{opening}; gradient descent fits."
    ended = _at_its_end(result) if at is not gd else ""
    found = f"with L_gen {_descent_numbers(at)} at a training loss of {_fit(at)}"
    return f"{opening}; gradient descent fits, {found}{ended}."


def nothing_drawn(result: Json) -> bool:
    """Whether the run ended before it drew anything; searches for a threshold may have spent evaluations before it."""
    spent = result["diagnostics"]
    return result["posterior"] is None and 0 in (spent["evaluations"], spent.get("draws"))


def _bound(result: Json) -> str:
    volume = result["log_volume"]
    if volume is None or volume["ci95"][1] is None or volume["ci95"][1] >= 0:
        return ""
    return f" (fewer than one in {one_in(volume['ci95'][1])} does, at 95 % confidence)"


def _generalisation_unknown(result: Json) -> str:
    if not result["task"]["held_out"]:
        return "The measurements determine every entry, so nothing is held out and generalisation cannot be judged."
    cells = result["unobserved"]
    if cells:
        return (
            f"The truth is unknown, so generalisation cannot be judged; weights that merely fit predict "
            f"the {len(cells)} missing cells with the 90 % intervals given."
        )
    return "The truth is unknown, so generalisation cannot be judged: only the fit can."

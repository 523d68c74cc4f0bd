"""One sentence that says what a result means, decided by the numbers and their errors."""

from __future__ import annotations

import math
from typing import Any

from bayesgc.analysis.equal_fit import compared
from bayesgc.analysis.numerals import one_in, quartiles, rounded, with_error
from bayesgc.analysis.tails import centre, doubtless, error_of, log_centre
from bayesgc.intervals import Number, Standing, log_loss

__all__ = ["Standing", "against_prior", "against_zero", "descent_against_posterior", "nothing_drawn", "verdict"]

Json = dict[str, Any]

ENOUGH_RESTARTS = 4
"""Fewer restarts than this say little about their own spread."""


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
    """The posterior's L_gen against the prior's, by means or by medians; both must be there."""
    which = _centre(result)
    return (log_centre(result, "posterior", which) - log_centre(result, "prior", which)).standing


def against_zero(result: Json) -> Standing:
    """The posterior's L_gen against the zero predictor's loss."""
    zero = result["baselines"]["zero"]["gen_loss"]
    predictor = log_loss(zero, 0.0, zero=zero, dtype=result["dtype"])
    return (log_centre(result, "posterior", _centre(result)) - predictor).standing


def _centre(result: Json) -> str:
    """What stands for a law in the sentence: its mean, or its median where that of either law cannot be believed."""
    return centre(result[law]["gen_loss"] for law in ("posterior", "prior"))


def descent_against_posterior(result: Json) -> Standing:
    """Gradient descent's L_gen against the posterior's, at equal fit; both must be there.

    Restarts are a spread and have no standard error, so laws are compared: descent is lower when three in four of its
    restarts are below the posterior's median and its median is clearly below the posterior's mean, or its median where
    the mean cannot be believed. With few restarts they must be outside the posterior's 90 % interval.
    """
    restarts, ours = compared(result) or result["gd"], result["posterior"]["gen_loss"]
    gd, enough = restarts["gen_loss"], restarts["converged"] >= ENOUGH_RESTARTS
    which = centre([ours])
    margin = _half_width(result, _error(ours, which))
    if gd["q75"] < ours["q50" if enough else "q05"] and gd["median"] < ours[which] - margin:
        return Standing.LOWER
    if gd["q25"] > ours["q50" if enough else "q95"] and gd["median"] > ours[which] + margin:
        return Standing.HIGHER
    return Standing.EQUAL


def _half_width(result: Json, error: float) -> float:
    """Of the 95 % interval of the posterior: an error from the spread over islands is that of Student's t."""
    islands = result["diagnostics"].get("islands", 0)
    return Number(0.0, error, islands - 1 if islands > 1 else math.inf).interval()[1]


def _error(summary: Json, which: str = "mean") -> float:
    """The standard error of a mean, or of a median; one that is not known could be anything."""
    error = error_of(summary, which)
    return math.inf if error is None else error


def _comparison(result: Json) -> str:
    opening = {
        Standing.LOWER: "better than the prior",
        Standing.EQUAL: "no better than the prior, within error",
        Standing.HIGHER: "worse than the prior",
    }[against_prior(result)]
    numbers = f"Weights that merely fit generalise {opening} ({_numbers(result)})"
    return f"{numbers}{_zero_clause(result)}{_descent_clause(result)}."


def _numbers(result: Json) -> str:
    """What both laws say, and, where not by their means, why."""
    which, laws = _centre(result), {law: result[law]["gen_loss"] for law in ("posterior", "prior")}
    ours, prior = (with_error(each[which], error_of(each, which)) for each in laws.values())
    if which == "mean":
        return f"L_gen {ours} against {prior}"
    heavy = [law for law, each in laws.items() if not doubtless(each)]
    whose = f"the {heavy[0]}'s mean" if len(heavy) == 1 else "both means"
    return f"median L_gen {ours} against {prior}; {whose} cannot be believed, as the tail is too heavy"


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
        meaning = _explained(result, "part of it") if improved else "fitting alone does not explain it"
        return f"{who} better{' still' if improved else ''}{place}: {meaning}{after}"
    if standing is Standing.HIGHER:
        return f"{who} worse{place}: the search does not help here{after}"
    meaning = _explained(result, "it") if improved else "neither fitting nor searching helps"
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


def _explained(result: Json, share: str) -> str:
    """What fitting alone gives where it betters the prior: nothing that generalises, where zero is better still."""
    baseline = result["baselines"]["zero"]
    known = baseline is not None and baseline["gen_loss"] is not None
    if known and against_zero(result) is Standing.HIGHER:
        return "fitting alone leads away from the prior, but not as far as predicting zero"
    return f"fitting alone explains {share}"


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
        which = (
            "missing cell with the 90 % interval"
            if len(cells) == 1
            else f"{len(cells)} missing cells with the 90 % intervals"
        )
        return (
            "The truth is unknown, so generalisation cannot be judged; weights that merely fit predict "
            f"the {which} given, {result['unobserved_intervals']['meaning']}."
        )
    return "The truth is unknown, so generalisation cannot be judged: only the fit can."

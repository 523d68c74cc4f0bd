"""What a result means in a few sentences, decided by the numbers and their errors: one comparison in each."""

from __future__ import annotations

from typing import Any

from bayesgc.analysis.asked import asks_nothing, passed_by
from bayesgc.analysis.ends import cut, ending, fits, none_fitted, of_those, trained
from bayesgc.analysis.equal_fit import compared
from bayesgc.analysis.hidden import few_cells, hidden_sentence
from bayesgc.analysis.judgements import (
    against_prior,
    against_zero,
    by_medians,
    centre_of_laws,
    descent_against_posterior,
    descent_among_draws,
    descent_is_typical,
    enough_restarts,
    one_example,
    worse_than_nothing,
)
from bayesgc.analysis.measures import errors_in_words, exact, fitted_by, judged_by, measures_of
from bayesgc.analysis.reach import too_normal
from bayesgc.analysis.standing import unexplained
from bayesgc.analysis.tails import centre, doubtless, error_of, few_islands, freedom
from bayesgc.analysis.words.numerals import in_sentences, one_in
from bayesgc.intervals import Number, Standing

Json = dict[str, Any]

_NEITHER = "neither clearly better nor clearly worse"


def verdict(result: Json) -> str:
    """What the result object ``result`` means, in a few sentences, for a reader who does not know the paper."""
    if result["posterior"] is None:
        return " ".join(filter(None, [_nothing_accepted(result), too_normal(result)]))
    judged = judged_by(result, "posterior") is not None
    sentence = _comparison(result) if judged else _generalisation_unknown(result)
    sentence = " ".join(filter(None, [asks_nothing(result), too_normal(result), sentence]))
    if result["outcome"] == "converged":
        return sentence
    return f"Provisional, as the run has not converged ({result['outcome']}): {sentence[0].lower()}{sentence[1:]}"


def _comparison(result: Json) -> str:
    opening = {
        Standing.LOWER: "better than the prior",
        Standing.EQUAL: "no better than the prior, within error",
        Standing.HIGHER: "worse than the prior",
    }[against_prior(result)]
    numbers = f"weights that merely fit generalise {opening} ({_numbers(result)})"
    return in_sentences([f"{numbers}{_zero_clause(result)}{_vote_clause(result)}", *_of_descent(result)])


def _vote_clause(result: Json) -> str:
    """How the fits do together, where they vote on classes."""
    vote, measure = result.get("ensemble"), measures_of(result).generalisation
    if vote is None:
        return ""
    return f"; their vote has a {measure.words} of {measure.estimate(vote[measure.name], vote['mcse'])}"


def _numbers(result: Json) -> str:
    """What both laws say, and, where not by their means, why."""
    which, measure = centre_of_laws(result), measures_of(result).generalisation
    laws = {law: result[law][measure.name] for law in ("posterior", "prior")}
    ours, prior = (measure.estimate(each[which], error_of(each, which)) for each in laws.values())
    if which == "mean":
        return f"mean {measure.symbol} {ours} against {prior}"
    heavy = [law for law, each in laws.items() if not doubtless(each)]
    whose = f"the {heavy[0]}'s mean" if len(heavy) == 1 else "both means"
    return f"median {measure.symbol} {ours} against {prior}; {whose} cannot be believed, as the tail is too heavy"


def _zero_clause(result: Json) -> str:
    measures = measures_of(result)
    zero = measures.known_nothing(result)
    if zero is None:
        return ""
    name = measures.ignorant.phrase
    standing = against_zero(result)
    improved = against_prior(result) is Standing.LOWER
    phrase = {
        Standing.LOWER: f"and better than {name}" if improved else f"though better than {name}",
        Standing.EQUAL: f"and about as well as {name}",
        Standing.HIGHER: f"but worse than {name}" if improved else f"and worse than {name}",
    }[standing]
    return f" {phrase} ({measures.generalisation.number(zero)})"


def _of_descent(result: Json) -> list[str]:
    """What gradient descent does beside the posterior, and where it goes from there, a sentence each."""
    gd = result["gd"]
    if gd is None:
        return []
    if (at := compared(result)) is None:
        return [_why_not_compared(result, gd)]
    if passed_by(result) is not None:
        return ["gradient descent is not compared", *_at_its_end(result)]
    return [_compared_descent(result, at), *_at_its_end(result)]


def _compared_descent(result: Json, at: Json) -> str:
    """How gradient descent does at equal fit, and what fitting alone has to do with it."""
    standing, improved = descent_against_posterior(result), against_prior(result) is Standing.LOWER
    who = f"gradient descent, {_where(result)}{of_those(at)}, does"
    place = f", at {_medians(result, at)}"
    if standing is Standing.LOWER:
        meaning = _explained(result, "part of it") if improved else "fitting alone does not explain it"
        return f"{who} better{' still' if improved else ''}{place}: {meaning}"
    if standing is Standing.HIGHER:
        return f"{who} worse{place}: the search does not help {'up to there' if _gains(result) else 'here'}"
    if does := _undecided(result, at):
        meaning = f"whether {'fitting alone explains it' if improved else 'searching helps'} is not decided"
        return f"{who} {does}{place}: {meaning}"
    return f"{who} about as well{place}: {'up to there ' if _gains(result) else ''}{_alike(result, at, improved)}"


def _undecided(result: Json, restarts: Json) -> str:
    """How descent does that is neither clearly apart from the draws nor typical of them; nothing where it is."""
    if (among := descent_among_draws(result, restarts)) is not Standing.EQUAL:
        return _beyond(result, restarts, among)
    return "" if descent_is_typical(result, restarts) else _NEITHER


def _alike(result: Json, at: Json, improved: bool) -> str:
    """What fitting alone has to do with a descent that does as well as the draws."""
    if not improved:
        return "neither fitting nor searching helps"
    left = "" if worse_than_nothing(result) else unexplained(result, at)
    return f"fitting alone explains the loss, but not {left}" if left else _explained(result, "it")


def _beyond(result: Json, restarts: Json, among: Standing) -> str:
    """That descent is beyond nearly all draws, and why it is not clearly apart from them all the same."""
    than = "better" if among is Standing.LOWER else "worse"
    if by_medians(result, restarts) is not among:
        but = f"not clearly {than} than their median"
    else:
        but = f"its restarts {'differ too much' if enough_restarts(restarts) else 'are too few'} to be sure"
    return f"{than} than 95 % of the draws that fit, though {but}"


def _why_not_compared(result: Json, gd: Json) -> str:
    if not gd["converged"]:
        return f"{none_fitted(gd)}, so it cannot be compared"
    ended = f"gradient descent ends at {_descent_numbers(result, gd)}, with {_fit_in_words(result, gd)}"
    return f"{ended}, and is not known where it first passed ε, so it cannot be compared at equal fit"


def _where(result: Json) -> str:
    """At what fit gradient descent is compared, with its own measure of fit and the posterior's."""
    measures, ours = measures_of(result), fitted_by(result, "posterior")
    fit = _fit(result, compared(result) or result["gd"])
    beside = "" if ours is None or exact(result) else f", {measures.fit.number(ours['q50'], 2)} for the posterior"
    same = "where it first fits" if measures.counted else "at about the same fit"
    opening = ending(result["gd"]) if exact(result) else same
    if measures.counted and not result["eps"]:
        return opening
    return f"{opening} ({measures.fit.words} {fit}{beside})"


def _at_its_end(result: Json) -> list[str]:
    """Where gradient descent goes from its first fit on."""
    gd, measures = result["gd"], measures_of(result)
    if exact(result):
        return []
    if not gd["converged"]:
        where = "when it was stopped" if cut(gd) == gd["restarts"] else "at its end"
        return [f"no restart {'still fits' if measures.more_than_loss else 'is still below ε'} {where}"]
    if _judged_at_its_end(result):
        return _trained_on(result, gd)
    ended = f"{trained(gd)}," if measures.counted else f"{ending(gd)} ({measures.fit.words} {_fit(result, gd)})"
    return [f"{ended} it has {_descent_numbers(result, gd)}{_still(result, gd)}"]


def _judged_at_its_end(result: Json) -> bool:
    """Whether the end is compared with the posterior too: a fit by its number of errors, where that asks for something.

    Not where descent is better at its first fit, by which fitting is known not to explain it all.
    """
    if not measures_of(result).counted or result["posterior"] is None or passed_by(result) is not None:
        return False
    return compared(result) is None or descent_against_posterior(result) is not Standing.LOWER


def _gains(result: Json) -> bool:
    """Whether descent, trained on, is better at its end than weights that merely fit."""
    gd = result["gd"]
    ends = gd["converged"] and _judged_at_its_end(result)
    return bool(ends and descent_against_posterior(result, gd) is Standing.LOWER)


def _trained_on(result: Json, gd: Json) -> list[str]:
    """What descent gains between its first fit and its end, both of which are fits by their number of errors."""
    does, more = {
        Standing.LOWER: ("does better than weights that merely fit", ", which fitting alone does not explain"),
        Standing.EQUAL: ("does about as well as weights that merely fit", ""),
        Standing.HIGHER: ("does worse than weights that merely fit", ""),
    }[standing := descent_against_posterior(result, gd)]
    if standing is Standing.EQUAL and (undecided := _undecided(result, gd)):
        does = f"does {undecided}{' than weights that merely fit' if undecided == _NEITHER else ''}"
    sentence = f"{trained(gd)}, it {does}, at {_descent_numbers(result, gd)}{_still(result, gd)}{more}"
    return [sentence, *(_vote_beside(result, gd) if standing is Standing.LOWER else [])]


def _still(result: Json, gd: Json) -> str:
    """Of which restarts the numbers of the end are, where others fitted before."""
    at = compared(result)
    return "" if at is not None and at["converged"] == gd["converged"] else of_those(gd)


def _vote_beside(result: Json, gd: Json) -> list[str]:
    """That the fits do by vote what descent does at its end; nothing where they do not, or no error is known."""
    vote, name = result.get("ensemble"), measures_of(result).generalisation.name
    if vote is None or vote["mcse"] is None:
        return []
    difference = Number(vote[name] - gd[name]["median"], vote["mcse"], freedom(result), one_example(result))
    does = {Standing.LOWER: "better", Standing.EQUAL: "as well", Standing.HIGHER: ""}[difference.standing]
    return [f"the vote of those that merely fit does {does}"] if does else []


def _fit(result: Json, gd: Json) -> str:
    """The median measure of fit of the restarts that fitted."""
    measure = measures_of(result).fit
    return measure.number(gd[measure.name]["median"], 2)


def _fit_in_words(result: Json, gd: Json) -> str:
    """``a training loss of 0.02``, ``3 errors``."""
    measures = measures_of(result)
    if measures.counted:
        return errors_in_words(gd[measures.fit.name]["median"])
    return f"a {measures.fit.words} of {_fit(result, gd)}"


def _explained(result: Json, share: str) -> str:
    """What fitting alone gives where it betters the prior: nothing that generalises, where zero is better still."""
    if worse_than_nothing(result):
        return f"fitting alone leads away from the prior, but not as far as {measures_of(result).ignorant.phrase}"
    return f"fitting alone explains {share}"


def _descent_numbers(result: Json, gd: Json) -> str:
    measure = measures_of(result).generalisation
    return measure.spread(gd[measure.name])


def _medians(result: Json, gd: Json) -> str:
    """Descent's median and quartiles against the posterior's, which are numbers of the same kind."""
    measure = measures_of(result).generalisation
    ours = result["posterior"][measure.name]
    draws = measure.spread(ours | {"median": ours["q50"]})
    return f"a median of {_descent_numbers(result, gd)} against {draws}"


def _nothing_accepted(result: Json) -> str:
    measures = measures_of(result)
    fit = f"{'with' if measures.counted else 'to'} {measures.event(result['eps'])}"
    if result["outcome"] == "infeasible":
        what = "network" if measures.labelled else "matrix"
        opening = f"No {what} that this model can produce fits {fit}, so there is no posterior"
    elif nothing_drawn(result):
        opening = f"Nothing was drawn, so nothing is known of weights that fit {fit}"
    else:
        opening = f"{measures.missed(result['eps'])}{_bound(result)}{_reached_clause(result)}"
    gd = result["gd"]
    return in_sentences([opening, *([] if gd is None else _descent_alone(result, gd))])


def _descent_alone(result: Json, gd: Json) -> list[str]:
    """What gradient descent does where nothing else fits."""
    measures, at = measures_of(result), compared(result) or (gd if gd["converged"] else None)
    if at is None:
        return [none_fitted(gd) if cut(gd) else "no restart of gradient descent fitted either"]
    if at[measures.generalisation.name] is None:
        return [f"gradient descent {fits(at)}"]
    found = f"with {measures.generalisation.symbol} {_descent_numbers(result, at)} at {_fit_in_words(result, at)}"
    return [f"gradient descent {fits(at)}, {found}", *(_at_its_end(result) if at is not gd else [])]


def _reached_clause(result: Json) -> str:
    """What is given in place of weights that fit: those that came nearest, and how they generalise."""
    measures, reached = measures_of(result), result.get("reached")
    if not reached:
        return ", so nothing is known of weights that merely fit"
    given = f"; in place of weights that fit, those that came nearest ({measures.formula(reached['eps'])}) are given"
    summary = reached["posterior"][measures.generalisation.name]
    if summary is None:
        return given
    which = centre([summary])
    found = measures.generalisation.estimate(summary[which], error_of(summary, which))
    average = "" if which == "mean" else "median "
    return f"{given}, with {average}{measures.generalisation.symbol} {found}"


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
    if measures_of(result).labelled:
        return "There is no test set, so generalisation cannot be judged: only the fit can."
    if not result["task"]["held_out"]:
        return "The measurements determine every entry, so nothing is held out and generalisation cannot be judged."
    if result["unobserved"]:
        return _of_missing_cells(result)
    return "The truth is unknown, so generalisation cannot be judged: only the fit can."


def _of_missing_cells(result: Json) -> str:
    """How well the missing cells are known, where the truth is not."""
    count, meaning = len(result["unobserved"]), result["unobserved_intervals"]["meaning"]
    cells = (
        "missing cell is given with the 90 % interval"
        if count == 1
        else f"{count} missing cells are given with 90 % intervals"
    )
    given = f"The {cells} {meaning}."
    for few in filter(None, (few_cells(result["task"]), few_islands(result))):
        given = f"{given} Note that {few}."
    if found := result.get("hidden"):
        return f"{hidden_sentence(found)}. {given}"
    reason = (result.get("reasons") or {}).get("hidden")
    why = (
        "as no observed cell was hidden to tell"
        if reason is None
        else f"without a comparison on hidden cells ({reason})"
    )
    return f"How well missing cells are predicted is not known here, {why}. {given}"

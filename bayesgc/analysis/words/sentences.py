"""What is told of a result below its table, a sentence each: how rare a fit is, and what it says of new examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from bayesgc.analysis.hidden import hidden_lines
from bayesgc.analysis.measures import measures_of
from bayesgc.analysis.tree.summary import Json
from bayesgc.analysis.words.numerals import one_in, with_error


def better_lines(result: Json) -> Iterator[str]:
    """How often a draw that fits generalises better than one of the prior."""
    chance = result["better_than_prior"]
    if chance is not None:
        yield f"P(a draw that fits generalises better than one of the prior) = {probability(chance)}"


def probability(chance: Json) -> str:
    """An estimated probability with its error; of 0 and 1 it is not known how far they are from being so."""
    if chance["estimate"] in (0.0, 1.0) and chance["mcse"] is None:
        return f"{chance['estimate']:.0f} of all pairs"
    return with_error(chance["estimate"], chance["mcse"], 1)


def volume_lines(result: Json) -> Iterator[str]:
    """How rare a fit is."""
    volume, evidence, reached = result["log_volume"], result["log_evidence"], result["reached"]
    if evidence is not None:
        yield f"log evidence = {with_error(evidence['estimate'], evidence['mcse'])}"
    if volume is not None:
        yield from _volume_lines(volume, "fit")
    if reached is not None:
        yield from _volume_lines(reached["log_volume"], measures_of(result).formula(reached["eps"]))


def ensemble_lines(result: Json) -> Iterator[str]:
    """How much better the vote of the draws that fit is than one of them."""
    vote = result.get("ensemble")
    if vote is not None:
        measure = measures_of(result).generalisation
        alone = result["posterior"][measure.name]
        ours, single = (
            measure.estimate(vote[measure.name], vote["mcse"]),
            measure.estimate(alone["mean"], alone["mcse"]),
        )
        yield f"The vote of the draws that fit has a {measure.words} of {ours}, a single draw of {single}"


def standing_lines(result: Json) -> Iterator[str]:
    """Where descent stands among the draws that fit."""
    place = (result.get("standing") or {}).get("at_eps")
    if place is not None:
        share = {0.0: "None", 1.0: "All"}.get(place["quantile"]) or _percent(place["quantile"], place["mcse"])
        measures = measures_of(result)
        where = f"the median of gradient descent {measures.first_fit}"
        yield f"{share} of the draws that fit have a lower {measures.generalisation.words} than {where}, ties half"


def calibration_lines(result: Json) -> Iterator[str]:
    """Whether the shares of the votes are probabilities, and how much they are worth beside those of the prior."""
    found = (result.get("calibration") or {}).get("posterior")
    if found is not None:
        off, chance = _percent(found["ece"], found["ece_mcse"]), f"{100 * found['ece_by_chance']:.1f} %"
        score = with_error(found["log_score"], found["log_score_mcse"], 1)
        yield f"Shares of the vote are off by {off} on average, calibrated ones by {chance}; log score {score}"


def _percent(share: float, error: float | None) -> str:
    return f"{with_error(100 * share, None if error is None else 100 * error, 1)} %"


def certificate_lines(result: Json) -> Iterator[str]:
    """What bounds the test error of weights that fit, and under which conditions."""
    found = result.get("certificate")
    if found is not None:
        *first, last = found["conditions"]
        bound, guessing = (f"{100 * found[name]:.0f} %" for name in ("bound", "guessing"))
        worth = f", which is vacuous, as guessing errs at {guessing}; it holds" if found["vacuous"] else ","
        yield (
            f"With probability {100 * (1 - found['delta']):.0f} % the mean test error of weights that fit is at most "
            f"{bound}{worth} if {', '.join(first)}, and {last}"
        )


_LOOSE = -math.log(2)
"""The log volume above which most of the prior fits."""


def _volume_lines(volume: Json, event: str) -> Iterator[str]:
    low, high = volume["ci95"]
    verb = "fits" if event == "fit" else "does"
    if volume["estimate"] is not None:
        estimate = with_error(volume["estimate"], volume["mcse"])
        interval = "" if low is None or high is None else f", 95 % [{low:.2f}, {high:.2f}]"
        loose = "; so loose an ε hardly asks for a fit" if volume["estimate"] > _LOOSE else ""
        yield f"log P({event}) = {estimate}{interval}: one in {one_in(volume['estimate'])} prior draws {verb}{loose}"
    elif high is not None and high < 0:
        yield f"log P({event}) < {high:.2f} (95 %): fewer than one in {one_in(high)} prior draws {verb}"


FACTS: dict[str, Callable[[Json], Iterator[str]]] = {
    "How rare a fit is": volume_lines,
    "How often it is better": better_lines,
    "How well it predicts": hidden_lines,
    "Where descent stands": standing_lines,
    "The Bayes ensemble": ensemble_lines,
    "Its shares as probabilities": calibration_lines,
    "Certificate": certificate_lines,
}
"""All of them in order, by what each is about."""


def provisional(results: Sequence[Json], names: Sequence[str]) -> list[str]:
    """Which results did not converge, so that what is said of them may change with a longer run."""
    each_by_name = zip(results, names, strict=True)
    short = [f"{name} ({each['outcome']})" for each, name in each_by_name if each["outcome"] != "converged"]
    return [f"Not converged, so that all said of it is provisional: {'; '.join(short)}."] if short else []

"""Whether a result can be relied on: the checks that suit its method, each with its limit and advice in words.

Of all: whether the tails of the losses let their means be believed. Rejection: accepted draws. Importance: effective
sample size and Pareto k̂. Splitting and tempering: islands, levels, acceptance, ancestors; never a chain diagnostic on
particles. NUTS: rank-normalised R̂, effective sample sizes and divergences, on function-space quantities. Gradient
descent and MAP: how many restarts fitted, and no more than that.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import xarray as xr

from bayesgc.analysis.asked import MOST_AT_START, ignorant_fit, passed_by, share_at_start, too_loose
from bayesgc.analysis.checks import method_checks
from bayesgc.analysis.ends import STOPPED, cut
from bayesgc.analysis.equal_fit import compared
from bayesgc.analysis.hidden import cells_needed, few_cells, fewest_covered
from bayesgc.analysis.measures import judged_by, measures_of
from bayesgc.analysis.reach import reach_checks
from bayesgc.analysis.tree.storage import load
from bayesgc.analysis.tree.summary import result_object
from bayesgc.moments import HEAVIEST
from bayesgc.verification import Check, at_least, at_most

Json = dict[str, Any]

SCHEMA = 1
LOG_VOLUME_ERROR = 0.15
"""The standard error of the log volume or evidence at which it is known well enough."""
_LOOSE_VOLUME = 0.5
"""Above this share of the prior, fitting asks for next to nothing."""
_FITTED = 0.5
"""The share of restarts that should fit; fewer leave a biased few."""


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """The checks of one result; ``healthy`` where none of them says ``wrong``.

    ``passed_by`` says what passes ε without having learnt anything: then numbers may be right, and explain nothing.
    """

    method: str
    outcome: str
    checks: tuple[Check, ...]
    passed_by: str | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong; a caution alone does not make it so."""
        return all(check.status != "wrong" for check in self.checks)

    def to_dict(self) -> Json:
        """One JSON object, described by the schema ``diagnosis``."""
        checks = [asdict(check) for check in self.checks]
        return {
            "schema": SCHEMA,
            "method": self.method,
            "outcome": self.outcome,
            "healthy": self.healthy,
            "checks": checks,
            "passed_by": self.passed_by,
        }

    def __rich__(self) -> Any:
        """What ``rich.print`` and the command line show."""
        from bayesgc.analysis.words.reliance import diagnosis_table

        return diagnosis_table(self)

    def __str__(self) -> str:
        from bayesgc.analysis.words.tables import as_text

        return as_text(self.__rich__())

    __repr__ = __str__


def diagnose(result: xr.DataTree | str | os.PathLike[str]) -> Diagnosis:
    """Check a fresh or saved result by the rules of its method."""
    tree = result if isinstance(result, xr.DataTree) else load(result)
    found = result_object(tree)
    checks = (
        _outcome(found),
        *_errors(tree, found),
        *_tails(found),
        *method_checks(tree, loose=too_loose(found)),
        *_question(found),
        *_restarts(found),
        *_absent(tree, found),
    )
    return Diagnosis(found["method"], found["outcome"], checks, passed_by(found))


def _outcome(result: Json) -> Check:
    status = "fine" if result["outcome"] == "converged" else "wrong"
    advice = f"{result['message']} {_AGAIN}" if result["outcome"] == _INTERRUPTED else result["message"]
    if result["outcome"] == _EXHAUSTED and too_loose(result):
        advice = "The budget ended too early: raise `max_seconds` or `max_evaluations`."
    return Check("outcome", result["outcome"], "converged", status, "" if status == "fine" else advice)


_EXHAUSTED, _INTERRUPTED, _INFEASIBLE = "exhausted", "interrupted", "infeasible"
_AGAIN = "Run it again and let it end."


def _errors(tree: xr.DataTree, result: Json) -> Iterator[Check]:
    """How well mean generalisation and volume or evidence are known; where no fit is possible, nothing."""
    if result["outcome"] == _INFEASIBLE:
        return
    interrupted, loose = result["outcome"] == _INTERRUPTED, too_loose(result)
    if result["posterior"] is None:
        easier = "" if loose else "raise `eps`, or "
        advice = f"No draw fitted, so there is no posterior: {easier}give it more time (`max_seconds`)."
        yield at_least("draws that fit", 0, 1, _AGAIN if interrupted else advice)
    measure, loss = measures_of(result).generalisation, judged_by(result, "posterior")
    configuration = json.loads(tree.attrs["configuration"])
    asked = configuration.get("filled", configuration).get("precision")
    if loss is not None and asked is not None:
        share = math.inf if loss["mcse"] is None else loss["mcse"] / max(abs(loss["mean"]), 1e-300)
        advice = _AGAIN if interrupted else "Give it more time (`max_seconds`) or `precision`."
        yield at_most(f"relative error of {measure.average}", share, asked, advice)
    for name in ("log_volume", "log_evidence"):
        if result[name] is not None:
            error = result[name]["mcse"]
            bound = "Only a bound is known. " if result[name]["estimate"] is None else ""
            easier = "" if loose else ", or a larger `eps`"
            advice = _AGAIN if interrupted else f"{bound}Give it more time (`max_seconds`){easier}."
            value = math.inf if error is None else error
            yield at_most(f"error of the {name.replace('_', ' ')}", value, LOG_VOLUME_ERROR, advice)


def _tails(result: Json) -> Iterator[Check]:
    """Whether mean generalisation and its error can be believed; else medians tell the result."""
    symbol = measures_of(result).generalisation.symbol
    for law in ("prior", "posterior"):
        loss = judged_by(result, law)
        if loss is not None and (loss["tail"] is not None or not loss["believable"]):
            shape = math.inf if loss["tail"] is None else loss["tail"]
            advice = f"The {law}'s mean and its error cannot be believed: use medians, quartiles and probabilities."
            yield at_most(f"Pareto k̂ of the {law}'s {symbol}", shape, HEAVIEST, advice, caution=True)


def _question(result: Json) -> Iterator[Check]:
    """Whether the threshold asks for anything: no fault of the sampler, so a caution at most."""
    yield from _asked(result)
    yield from reach_checks(result)
    if result["unobserved"] and (few := few_cells(result["task"])):
        observed, needed = result["task"]["measurements"], cells_needed(result["task"])
        yield at_least("observed cells", observed, needed, f"{few[0].upper()}{few[1:]}.", caution=True)
    if hidden := result.get("hidden"):
        least, level = fewest_covered(hidden["cells"], hidden["level"]), 100 * hidden["level"]
        advice = "The intervals look too narrow: try another width or depth, or other scales of the columns."
        name = f"hidden cells in their {level:.0f} % intervals, of {hidden['cells']}"
        yield at_least(name, hidden["covered"], least, advice, caution=True)
    if share := result["not_finite"]:
        advice = "They have NaN or infinite entries or losses and fit nothing: fix the model, or compute in float64."
        yield at_most("share of the prior that is not finite", share, 0.0, advice, caution=True)
    volume = result["log_volume"]
    if volume is not None and volume["estimate"] is not None:
        advice = f"Most draws of the prior fit, so the posterior is hardly more than the prior: {_tighter(result)}."
        yield at_most("share of the prior that fits", math.exp(volume["estimate"]), _LOOSE_VOLUME, advice, caution=True)


def _asked(result: Json) -> Iterator[Check]:
    """Whether ε is below what is reached without having learnt anything."""
    measures, loss = measures_of(result), ignorant_fit(result)
    lower = f"so fitting means little: {_tighter(result)}"
    if loss is not None and measures.counted:
        name = f"training errors of {measures.ignorant.owner}"
        yield at_least(name, loss, result["eps"] + 1, f"Without learning as few are wrong, {lower}.", caution=True)
    elif loss is not None:
        whose = measures.ignorant.owner
        for_instance = "" if measures.labelled or not result["settled"] else ", for instance to 5% of its loss"
        advice = f"{whose.capitalize()} passes, {lower}{for_instance}."
        ratio = result["eps"] / loss if loss else math.inf
        yield at_most(f"ε relative to {whose}'s loss", ratio, 1.0, advice, caution=True)
    if share := share_at_start(result):
        advice = f"They have learnt nothing there, {lower}."
        yield at_most("share of the restarts that fit at their start", share, MOST_AT_START, advice, caution=True)


def _tighter(result: Json) -> str:
    """How to come to a smaller ε: that which the data suggest is found in time."""
    return "lower `eps`" if result["settled"] else "give it more time (`max_seconds`), in which a smaller ε is found"


def _restarts(result: Json) -> Iterator[Check]:
    gd, mode = result["gd"], result["map"]
    if gd is not None:
        gone = gd["diverged"] or 0
        longer = "run it again and let it end" if result["outcome"] == _INTERRUPTED else "raise `max_seconds`"
        remedy = longer if (stopped := cut(gd)) else "raise `gd_steps`, or try another `gd_lr`"
        remedy = "lower `gd_lr`, as some diverged" if gone else remedy
        yield _fitted("gradient descent", compared(result) or gd, remedy)
        if stopped:
            advice = f"Where they are is not the end of their search: {longer}."
            name = f"restarts of gradient descent that were {STOPPED}"
            yield at_most(name, float(stopped), 0.0, advice, caution=True)
        if gone:
            advice = "Their training loss grew without bound: lower `gd_lr`; more `gd_steps` would not help."
            yield at_most("restarts of gradient descent that diverged", float(gone), 0.0, advice, caution=True)
    if mode is not None:
        yield _fitted("MAP", mode, "begin colder, in Python with map=MaximumAPosteriori(chill=200)")


def _fitted(name: str, found: Json, remedy: str) -> Check:
    """Whether enough restarts fitted."""
    share = found["converged"] / found["restarts"]
    few = "The restarts that fitted are a biased few" if found["converged"] else "None fitted"
    advice = f"{few}: {remedy}."
    return at_least(f"share of the restarts of {name} that fitted", share, _FITTED, advice, caution=True)


def _absent(tree: xr.DataTree, result: Json) -> Iterator[Check]:
    """Gradient descent that was asked for and is missing for a reason of its own: a caution."""
    asked, reason = json.loads(tree.attrs["configuration"]).get("gd"), result["reasons"].get("gd")
    if asked and reason and result["gd"] is None and result["outcome"] not in (_INFEASIBLE, _INTERRUPTED):
        yield Check("gradient descent", "none", "run", "caution", f"There is nothing to compare with: {reason}.")

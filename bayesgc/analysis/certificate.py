"""A certificate: an upper bound on the mean test error of weights that merely fit, from their prior volume.

Given at most K training errors, Guess & Check is the Gibbs posterior that is the prior restricted to fits, so its
Kullback–Leibler divergence from the prior is −log P(fit), exactly. The PAC-Bayes bound of Seeger (2002) and Maurer
(2004) then says that with probability 1 − δ over the training set, of n ≥ 8 examples,
kl(training error ‖ test error) ≤ (−log P(fit) + ln(2√n/δ)) / n, for the mean errors of the posterior.
"""

from __future__ import annotations

import math
from typing import Any

import xarray as xr

from bayesgc.analysis.measures import measures_over

Json = dict[str, Any]

GUESSING = "guessing"
"""The variable of a sweep that holds what its certificates are to be below."""

DELTA = 0.05
FEWEST = 8
"""Examples from which on the bound holds."""
CONDITIONS = (
    "the training set is an independent sample of what is tested on",
    "prior and preparation of the inputs were chosen without looking at it",
    "log P(fit) is not below the lower end of its 95 % interval",
)


def certificate(result: Json) -> tuple[Json | None, str | None]:
    """The bound that holds for a result, or why there is none."""
    reason = why_no_certificate(result)
    if reason is not None:
        return None, reason
    examples = result["task"]["examples"]
    train = result["posterior"]["train_errors"]["mean"] / examples
    bound = largest_test_error(-result["log_volume"]["ci95"][0], train, examples)
    guessing = error_of_guessing(result)
    said = {"bound": bound, "delta": DELTA, "vacuous": vacuous(bound, guessing), "guessing": guessing}
    return said | {"conditions": list(CONDITIONS)}, None


def vacuous(bound: float, guessing: float) -> bool:
    """Whether a bound says nothing, as guessing has that error without having seen an input."""
    return bound >= guessing


def guesses(cells: xr.Dataset) -> xr.DataArray:
    """The error of guessing in each cell of a sweep; earlier stores know that of the most common label alone."""
    measures = measures_over(cells)
    majority = f"{measures.ignorant.name}_{measures.generalisation.name}"
    return cells[GUESSING] if GUESSING in cells else cells[majority]


def error_of_guessing(result: Json) -> float:
    """The test error of guessing: a class at random, or the most common label, whichever errs less."""
    chance = 1 - 1 / len(result["task"]["classes"])
    majority = (result["baselines"].get("majority") or {}).get("test_error")
    return chance if majority is None else min(chance, majority)


def why_no_certificate(result: Json) -> str | None:
    """Why there is no certificate for a result; None where there is one."""
    task, volume = result["task"], result["log_volume"]
    if task["kind"] != "classification":
        return "it is for classes"
    if task["fit"] != "errors" and not task.get("right"):
        return "it is for the fit 'errors', or with all labels right"
    if not task["independent"]:
        return "the training set is not an independent sample"
    if "preparation" in task:
        return f"{task['preparation']}, which the prior must not look at"
    if task["examples"] < FEWEST:
        return f"it holds from {FEWEST} training examples on"
    if result["posterior"] is None or volume is None or volume["ci95"][0] is None:
        return "nothing fitted, so the volume has no lower bound"
    return None


def largest_test_error(divergence: float, train_error: float, examples: int, delta: float = DELTA) -> float:
    """The largest test error that the bound allows, at least ``train_error`` and at most 1.

    ``divergence`` is −log P(fit) in nats; ``train_error`` the mean share of training labels that are wrong.
    """
    room = (divergence + math.log(2 * math.sqrt(examples) / delta)) / examples
    if train_error == 0:
        return -math.expm1(-room)
    top = 1 - 1e-15
    if _divergence(train_error, top) <= room:
        return 1.0
    from scipy.optimize import brentq

    return float(brentq(lambda risk: _divergence(train_error, risk) - room, train_error, top, xtol=1e-12))


def _divergence(one: float, other: float) -> float:
    """kl(p ‖ q) of two coins, in nats."""
    return one * math.log(one / other) + (1 - one) * math.log((1 - one) / (1 - other))

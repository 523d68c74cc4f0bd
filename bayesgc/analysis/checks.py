"""The checks of a posterior: what must hold before errors by its rule can be believed, and what its method adds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

import numpy as np
import xarray as xr

from bayesgc.analysis.tree.groups import values
from bayesgc.analysis.uncertainty import diagnostics, error_rule, island_shares
from bayesgc.correlated import ENOUGH_ISLANDS, ErrorRule
from bayesgc.verification import Check, at_least, at_most

FEWEST_ACCEPTED = 100
"""Accepted draws of rejection from which quantiles at 5 and 95 % mean something; a run goes on to twice as many."""
FEWEST_EFFECTIVE = 100
"""Effective draws that weights must leave."""
HIGHEST_R_HAT = 1.01
LEAST_SIZE = 100
"""Effective draws, in bulk and tails, that each chain must bring (Vehtari et al. 2021)."""
MOST_DIVERGENT = 0.01
LEAST_ACCEPTANCE = 0.05
"""Accepted moves below which particles hardly leave the places they were copied to."""
FEWEST_ANCESTORS = 10
"""Particles of the prior that the particles of an island must descend from, on average."""
RAREST_MODE = 1e-4
"""The prior probability from which on a mode should be among the draws that the islands began with."""
RAREST_SHARE = 0.01
"""What a mode may add to the volume, so that it need not show."""
WIDEST_SPREAD = 1.0
"""The standard deviation between islands of the log volume, in nats, from which its mean rests on a lucky few."""


def method_checks(tree: xr.DataTree, *, loose: bool = False) -> Iterator[Check]:
    """The checks that suit the rule of error of the posterior, and those that its method has left with it.

    Where ε is too ``loose`` already, a larger one is no remedy.
    """
    if "posterior" in tree.children:
        rule = error_rule(tree)
        yield from _CHECKS[rule](tree)
        yield from _particles(tree, loose=loose) if rule is ErrorRule.ISLANDS else ()
    yield from (Check(**each) for each in json.loads(tree.attrs.get("checks", "[]")))


def _independent(tree: xr.DataTree) -> Iterator[Check]:
    sizes = tree["posterior"].sizes
    accepted = float(diagnostics(tree).get("accepted", sizes["chain"] * sizes["draw"]))
    advice = "Give it more time, or use `method=splitting`, which does not wait for luck."
    yield at_least("accepted draws", accepted, FEWEST_ACCEPTED, advice, caution=accepted >= FEWEST_ACCEPTED / 4)


def _weights(tree: xr.DataTree) -> Iterator[Check]:
    found = diagnostics(tree)
    advice = "A few draws carry the weight: give it more time, or use `method=splitting`."
    yield at_least(
        "effective sample size of the weights", _number(found, "effective_sample_size"), FEWEST_EFFECTIVE, advice
    )
    advice = "The weights have too heavy a tail for their error to be believed: use `method=splitting`, or tempering."
    yield at_most("Pareto k̂ of the weights", _number(found, "pareto_k"), _number(found, "pareto_k_limit"), advice)


def _replicates(tree: xr.DataTree) -> Iterator[Check]:
    chains, advice = tree["posterior"].sizes["chain"], "Their spread says nothing about the error: more `chains`."
    yield at_least("independent chains", float(chains), ENOUGH_ISLANDS, advice)


def _chains(tree: xr.DataTree) -> Iterator[Check]:
    """On the end-to-end matrix alone: weights have symmetries that make R̂ on them meaningless."""
    found, chains = diagnostics(tree), tree["posterior"].sizes["chain"]
    advice = "The chains have not found the same law: more draws, or `method=importance`."
    yield at_most("R̂, the worst", _number(found, "r_hat"), HIGHEST_R_HAT, advice)
    for name, words in (("ess_bulk", "in the bulk"), ("ess_tail", "in the tails")):
        advice = "The draws are too few or too alike: more `draws` or `chains`."
        yield at_least(f"effective sample size {words}", _number(found, name), LEAST_SIZE * chains, advice)
    share = _number(found, "divergences") / max(_number(found, "draws") * chains, 1)
    yield at_most("share of divergent transitions", share, MOST_DIVERGENT, "Raise target_accept of NUTS(…).")


def _islands(tree: xr.DataTree) -> Iterator[Check]:
    """Particles of an island share ancestors, so only islands are compared, and what happened on their way."""
    found, shares = diagnostics(tree), island_shares(tree)
    advice = "A few islands hold the volume: more `chains`, or more particles or moves in Splitting(…)."
    yield at_least("effective number of islands", float(1 / np.sum(shares**2)), ENOUGH_ISLANDS, advice)
    if "least_visible_mode" in found:
        advice = "A mode that holds less of the prior may be missing: raise `max_evaluations`, or more `chains`."
        least, volume = _number(found, "least_visible_mode"), math.exp(float(tree.attrs.get("log_volume", -math.inf)))
        limit = max(RAREST_MODE, RAREST_SHARE * volume)
        yield at_most("prior probability of a mode that shows", least, limit, advice, caution=True)
    yield at_most(
        "islands lost", _number(found, "islands_lost"), 0, "Some islands died out: more particles.", caution=True
    )
    if "last_step_pareto_k" in found:
        advice = "Exact fits lie on peaks too narrow to be found: their evidence may be infinite. Use some `eps` > 0."
        k, limit = _number(found, "last_step_pareto_k"), _number(found, "last_step_pareto_k_limit")
        yield at_most("Pareto k̂ of the last step", k, limit, advice)
    if len(shares) > 1:
        spread = float(np.log(shares).std(ddof=1))
        advice = "The islands disagree on the volume: more moves or particles in Splitting(…)."
        yield at_most("spread of the log volume between islands", spread, WIDEST_SPREAD, advice)


def _particles(tree: xr.DataTree, *, loose: bool) -> Iterator[Check]:
    """Whether particles still moved, and came from many places."""
    larger, levels = ("", "") if loose else (", a larger `eps`", ", or fewer levels by a larger `eps`")
    advice = f"Particles hardly move: more moves in Splitting(…){larger}, or `method=importance` where it applies."
    yield at_least("accepted moves on the worst level", _worst(tree, "acceptance"), LEAST_ACCEPTANCE, advice)
    advice = f"The particles descend from too few: more particles in Splitting(…){levels}."
    name, fewest = "ancestors of an island", _worst(tree, "ancestors")
    yield at_least(name, fewest, FEWEST_ANCESTORS, advice, caution=True)


def _worst(tree: xr.DataTree, name: str) -> float:
    """The least over the levels, or what the last one had where levels were not kept."""
    if "levels" in tree.children and np.isfinite(found := values(tree, "levels", name)).any():
        return float(np.nanmin(found))
    return _number(diagnostics(tree), name)


def _number(found: dict[str, object], name: str) -> float:
    value = found.get(name)
    return math.nan if value is None else float(value)  # type: ignore[arg-type]


_CHECKS: dict[ErrorRule, Callable[[xr.DataTree], Iterator[Check]]] = {
    ErrorRule.INDEPENDENT: _independent,
    ErrorRule.WEIGHTS: _weights,
    ErrorRule.ISLANDS: _islands,
    ErrorRule.CHAINS: _chains,
    ErrorRule.REPLICATES: _replicates,
}

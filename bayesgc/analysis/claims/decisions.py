"""What decides a claim: a number of each task, its errors, and the rule.

The intervals are those of `intervals`: over tasks, of the mean of the logarithm for posteriors, of the number itself
for gradient descent, whose loss may vanish; Monte Carlo errors are within them and are also shown apart. A claim
**holds** when the whole interval is in the claimed range, **fails** when the whole interval is outside of it, and is
**undecided** otherwise. It is undecided too while a task has no number: the tasks that are left are those that were
easy to fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from bayesgc.analysis.measures import measures_over
from bayesgc.intervals import LEVEL, MARGIN, Pair, Ratio, resolved

__all__ = ["GENERALISES", "LEVEL", "MARGIN", "Claim", "Ratio", "decide", "over", "ratio_of"]

GENERALISES = 0.5
"""What generalises has a loss below this share of the zero matrix's."""


@dataclass(frozen=True)
class Claim:
    """One claim about one panel, with what the data say.

    ``effect`` is the mean over tasks of what ``measured`` describes, with its 95 % interval ``ci95``: a factor, or a
    number of ``unit``. ``mc_error`` is the part of its standard error that comes from sampling, relative for a factor;
    ``task_spread`` the standard deviation over tasks, of the log factor unless the mean is plain. The claim is that the
    effect is ``above`` the ``limit``, or below it; or, if ``within``, that the factor is from 1/limit to limit.
    """

    claim: str
    panel: str
    verdict: str
    measured: str
    effect: float | None
    ci95: tuple[float, float] | None
    limit: float
    above: bool
    mc_error: float | None
    task_spread: float | None
    tasks: int
    note: str = ""
    within: bool = False
    unit: str = ""


def ratio_of(above: xr.Dataset, below: xr.Dataset, *, law: str = "posterior", under: str = "posterior") -> Ratio:
    """L_gen of a law on each task over another law's, and the relative Monte Carlo error of that.

    The means E[L_gen]; where one of them cannot be believed, the medians of both laws on every task. Gradient descent,
    which is no law of draws, has the median over its restarts, and beside it a law has its median too.
    """
    sides = ((above, law), (below, under))
    beside = beside_descent(law, under)
    lacks = beside and any(not _has_medians(*side) for side in sides)
    medians = any(doubtful(*side).any() for side in sides) or (beside and not lacks)
    (ours, our_error, blur), (theirs, their_error, their_blur) = (_losses(*side, medians=medians) for side in sides)
    cells = list({id(each): each for each, who in sides if who not in _EXACT}.values())
    shared = any(_share_draws(each) for each in cells)
    said = MEANS if lacks and not medians else MEDIANS if medians and not beside else ""
    note = "; ".join(filter(None, (said, _care(cells, shared=shared))))
    return Ratio(ours / theirs, np.hypot(our_error / ours, their_error / theirs), shared, note, blur=blur + their_blur)


_DESCENTS = ("gd_at_eps", "gd")
_EXACT = ("zero", *_DESCENTS)
"""What no draws are behind."""
MEDIANS = "medians of L_gen, as some of the means cannot be believed"
MEANS = "the mean of Guess & Check stands for its median, which this store does not have"


def beside_descent(law: str, under: str) -> bool:
    """Whether a law of draws is compared with gradient descent, of which medians over restarts are known."""
    descents = [each in _DESCENTS for each in (law, under)]
    return any(descents) and any(each not in _EXACT for each in (law, under))


def _has_medians(cells: xr.Dataset, law: str) -> bool:
    """Whether the medians of a law are in a store; what no draws are behind needs none."""
    return law in _EXACT or f"{law}_{measures_over(cells).generalisation.name}_q50" in cells


def doubtful(cells: xr.Dataset, law: str) -> Bool[np.ndarray, "*cell"]:
    """Where the mean of a law's L_gen cannot be believed; in older stores nothing is known against it."""
    primary = measures_over(cells).generalisation.name
    name = f"{law}_{primary}_believable"
    return np.asarray(cells[name].values < 1) if name in cells else np.zeros(cells[f"posterior_{primary}"].shape, bool)


def _losses(
    cells: xr.Dataset, law: str, *, medians: bool
) -> tuple[Float[np.ndarray, " task"], Float[np.ndarray, " task"] | float, float]:
    """A law's loss on each task, its error, and how far rounding may have moved its logarithm.

    NaN where a median is asked for of a law that has none, and of descent that labels every test example rightly: there
    is no factor to that.
    """
    measures, exact = measures_over(cells), law in _EXACT
    primary = measures.generalisation.name
    law = measures.ignorant.name if law == "zero" else law
    name = f"{law}_{primary}{'_q50' if medians and not exact else ''}"
    unknown = np.full(cells[f"posterior_{primary}"].shape, np.nan)
    nothing = f"{measures.ignorant.name}_{primary}"
    found, error, zero = (cells[each].values if each in cells else unknown for each in (name, f"{name}_mcse", nothing))
    if exact and measures.classes:
        found = np.where(found > 0, found, np.nan)
    losses, blur = resolved(found, zero)
    return losses, 0.0 if exact else error, blur


def over(first: Ratio, second: Ratio) -> Ratio:
    """One ratio over another one on the same tasks."""
    errors = [ratio.error if ratio.error is not None else np.zeros_like(ratio.factor) for ratio in (first, second)]
    notes = "; ".join(dict.fromkeys(filter(None, (first.note, second.note))))
    shared, blur = first.shared or second.shared, first.blur + second.blur
    return Ratio(first.factor / second.factor, np.hypot(*errors), shared, notes, blur=blur)


def _share_draws(cells: xr.Dataset) -> bool:
    """Whether some of the cells, one a task, have the same draws: then they have the same seed."""
    if "seed_used" not in cells:
        return False
    seeds = cells["seed_used"].values[np.isfinite(cells["seed_used"].values)]
    return len(np.unique(seeds)) < seeds.size


def _posterior(cells: xr.Dataset) -> str:
    return f"posterior_{measures_over(cells).generalisation.name}"


def _care(cells: list[xr.Dataset], *, shared: bool) -> str:
    """What is to be said against cells that count in a claim."""
    if not cells or not all("outcome" in each for each in cells):
        return ""
    there = np.concatenate([np.isfinite(each[_posterior(each)].values) for each in cells])
    outcomes = np.concatenate([each["outcome"].values for each in cells])[there]
    short = int(np.sum(outcomes != "converged"))
    said = [f"{short} of the {outcomes.size} cells behind it did not converge"] if short else []
    return "; ".join([*said, *(["its tasks share their draws, whose error widens the interval"] if shared else [])])


def decide(
    claim: str,
    panel: str,
    ratio: Ratio,
    limit: float,
    measured: str,
    note: str = "",
    *,
    above: bool = False,
    within: bool = False,
    plain: bool = False,
    failing: float = LEVEL,
    unit: str = "",
) -> Claim:
    """The verdict of the rule on one factor a task, undecided where a task has none.

    ``above`` says on which side of the limit the claim is, ``within`` that it is between 1/limit and limit; ``plain``
    takes the mean of the factors instead of their logarithms, ``failing`` is the level at which the claim fails.
    """
    factor = ratio.factor[ratio.there]
    values, tasks = factor if plain else np.log(factor), factor.size
    asked = ratio.factor.size
    lack = f"{asked - tasks} of {asked} tasks have no number" if tasks < asked else ""
    note = "; ".join(filter(None, (note, ratio.note, lack)))
    back = float if plain else math.exp
    if tasks < 2:
        few = (limit, above, None, None, tasks, note, within, unit)
        return Claim(claim, panel, "undecided", measured, None, None, *few)
    bound, error = limit if plain else math.log(limit), ratio.mean_error
    mean = ratio.over_tasks(plain=plain)
    ends, wide = mean.interval(LEVEL), mean.interval(failing)
    claimed = (-bound, bound) if within else (bound, math.inf) if above else (-math.inf, bound)
    verdict = "undecided" if lack else _verdict(ends, wide, claimed)
    effect, ci95, spread = back(mean.value), (back(ends[0]), back(ends[1])), float(values.std(ddof=1))
    return Claim(claim, panel, verdict, measured, effect, ci95, limit, above, error, spread, tasks, note, within, unit)


def _verdict(ends: Pair, wide: Pair, claimed: Pair) -> str:
    """Whether an interval lies in the claimed range, or the ``wide`` one outside of it."""
    if claimed[0] < ends[0] and ends[1] < claimed[1]:
        return "holds"
    return "fails" if wide[1] < claimed[0] or claimed[1] < wide[0] else "undecided"

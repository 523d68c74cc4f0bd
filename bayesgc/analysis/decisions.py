"""What decides a claim: a number of each task, its errors, and the rule.

Tasks are the replicates: the mean over tasks (of the logarithm, for posteriors; of the number itself for gradient
descent, whose loss may vanish) has a 95 % t-interval, which contains the Monte Carlo errors; those are also shown
apart. A claim **holds** when the whole interval is in the claimed range, **fails** when the whole interval is outside
of it, and is **undecided** otherwise. It is undecided too while a task has no number: the tasks that are left are those
that were easy to fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from scipy import stats

LEVEL = 0.05
MARGIN = 1.1
"""A loss that changes by less than this factor has not changed."""
GENERALISES = 0.5
"""What generalises has a loss below this share of the zero matrix's."""

Pair = tuple[float, float]


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


@dataclass(frozen=True)
class Ratio:
    """One loss over another on each task, or another number of each.

    ``error`` is the Monte Carlo error of its logarithm, of the number itself where no logarithm is taken; where
    ``shared``, tasks share their draws and so that error. ``note`` says what is to be read with care.
    """

    factor: Float[np.ndarray, " task"]
    error: Float[np.ndarray, " task"] | None = None
    shared: bool = False
    note: str = ""

    @property
    def there(self) -> Bool[np.ndarray, " task"]:
        """The tasks on which both losses are known."""
        known: np.ndarray = np.isfinite(self.factor)
        return known

    @property
    def mean_error(self) -> float | None:
        """The Monte Carlo error of the mean over tasks; it does not shrink with their number where it is one error."""
        if self.error is None:
            return None
        errors = self.error[self.there]
        return float(errors.mean() if self.shared else np.sqrt(np.sum(errors**2)) / errors.size)


def ratio_of(above: xr.Dataset, below: xr.Dataset, *, under: str = "posterior") -> Ratio:
    """E[L_gen] given the fit on each task over another law's, and the relative Monte Carlo error of that."""
    means = [above["posterior_gen_loss"].values, below[f"{under}_gen_loss"].values]
    exact = under == "zero"
    errors = [above["posterior_gen_loss_mcse"].values, 0.0 if exact else below[f"{under}_gen_loss_mcse"].values]
    cells = [above] if under != "posterior" else [above, below]
    shared = any(_share_draws(each) for each in cells)
    return Ratio(
        means[0] / means[1], np.hypot(errors[0] / means[0], errors[1] / means[1]), shared, _care(cells, shared=shared)
    )


def over(first: Ratio, second: Ratio) -> Ratio:
    """One ratio over another one on the same tasks."""
    errors = [ratio.error if ratio.error is not None else np.zeros_like(ratio.factor) for ratio in (first, second)]
    notes = "; ".join(dict.fromkeys(filter(None, (first.note, second.note))))
    return Ratio(first.factor / second.factor, np.hypot(*errors), first.shared or second.shared, notes)


def _share_draws(cells: xr.Dataset) -> bool:
    """Whether some of the cells, one a task, have the same draws: then they have the same seed."""
    if "seed_used" not in cells:
        return False
    seeds = cells["seed_used"].values[np.isfinite(cells["seed_used"].values)]
    return len(np.unique(seeds)) < seeds.size


def _care(cells: list[xr.Dataset], *, shared: bool) -> str:
    """What is to be said against cells that count in a claim."""
    there = np.concatenate([np.isfinite(each["posterior_gen_loss"].values) for each in cells])
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
    common = error if ratio.shared and error is not None else 0.0
    ends, wide = _interval(values, LEVEL, common), _interval(values, failing, common)
    claimed = (-bound, bound) if within else (bound, math.inf) if above else (-math.inf, bound)
    verdict = "undecided" if lack else _verdict(ends, wide, claimed)
    effect, ci95, spread = back(values.mean()), (back(ends[0]), back(ends[1])), float(values.std(ddof=1))
    return Claim(claim, panel, verdict, measured, effect, ci95, limit, above, error, spread, tasks, note, within, unit)


def _verdict(ends: Pair, wide: Pair, claimed: Pair) -> str:
    """Whether an interval lies in the claimed range, or the ``wide`` one outside of it."""
    if claimed[0] < ends[0] and ends[1] < claimed[1]:
        return "holds"
    return "fails" if wide[1] < claimed[0] or claimed[1] < wide[0] else "undecided"


def _interval(values: Float[np.ndarray, " task"], level: float, common: float) -> Pair:
    """The t-interval of the mean, with an error that all values have in common and their spread does not show."""
    half = stats.t.ppf(1 - level / 2, len(values) - 1) * math.hypot(values.std(ddof=1) / math.sqrt(len(values)), common)
    return float(values.mean() - half), float(values.mean() + half)

"""The claims of the paper, decided by the data of a sweep and by a stated rule.

Every claim is a ratio of two losses on each task, so that it holds or fails by a factor. Tasks are the replicates: the
mean over tasks (of the logarithm, for posteriors; of the ratio itself for gradient descent, whose loss may vanish) has
a 95 % t-interval, which contains the Monte Carlo errors; those are also shown apart. A claim **holds** when the whole
interval is beyond the claim's limit, **fails** when the whole interval is on the other side of it, and is
**undecided** otherwise. Where a claim is about every point of an axis, it holds when it does at every point, and fails
when it fails at some point at the level 5 % / points (Bonferroni).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from rich.console import Console, ConsoleOptions
from rich.markup import escape
from rich.table import Table
from scipy import stats

from bayesgc.analysis.numerals import rounded
from bayesgc.analysis.panels import axes_of, cut
from bayesgc.analysis.stores import load_cells
from bayesgc.validate import InputError

LEVEL = 0.05
MARGIN = 1.1
"""A loss that changes by less than this factor has not changed."""
CLOSE = 0.1
"""The relative gap below which the posterior has come to the prior."""
GENERALISES = 0.5
"""Gradient descent generalises where its loss is below this share of the zero matrix's."""

RULE = (
    "Factors are geometric means over tasks, plain ones for gradient descent, with t-intervals over tasks. A claim "
    "holds or fails when the whole interval is on one side of the claimed factor; ± MC is what sampling adds to its "
    "error."
)


@dataclass(frozen=True)
class Claim:
    """One claim about one panel, with what the data say.

    ``effect`` is the mean over tasks of the factor that ``measured`` describes, with its 95 % interval ``ci95``;
    ``mc_error`` is the part of its relative standard error that comes from sampling, ``task_spread`` the standard
    deviation over tasks, of the log factor unless the mean is plain. The claim is that the factor is ``above`` the
    ``limit``, or below it.
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


@dataclass(frozen=True)
class Judgement:
    """The claims that the data of some stores bear on."""

    claims: list[Claim]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"schema": 1, "level": LEVEL, "rule": RULE, "claims": [asdict(claim) for claim in self.claims]}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[str | Table]:
        for name in dict.fromkeys(claim.claim for claim in self.claims):
            same = [claim for claim in self.claims if claim.claim == name]
            yield f"[bold]{name}[/bold]: the factor is {same[0].measured}, claimed {_limit(same[0])}"
            table = Table(box=None, padding=(0, 2, 0, 0))
            for heading in ("", "", "factor", "95 %", "± MC", "tasks"):
                table.add_column(heading, no_wrap=True, overflow="ellipsis")
            for claim in same:
                style = {"holds": "green", "fails": "red"}.get(claim.verdict, "yellow")
                table.add_row(f"[{style}]{claim.verdict}[/{style}]", escape(claim.panel), *_numbers(claim))
            yield table
            yield from dict.fromkeys(
                f"[dim]{escape(claim.panel)}: {escape(claim.note)}[/dim]" for claim in same if claim.note
            )
        yield RULE


@dataclass(frozen=True)
class Ratio:
    """One loss over another on each task.

    ``error`` is the relative Monte Carlo error; where ``shared``, tasks share their draws and so that error. ``note``
    says what is to be read with care.
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


def judge(stores: Sequence[Path | str]) -> Judgement:
    """Judge every claim that the stores bear on; a folder of stores counts for all that are in it.

    Raises:
        InputError: where there is no store, a damaged one, or none that bears on a claim.
    """
    datasets = dict(_datasets(stores))
    claims = [claim for name, dataset in datasets.items() for claim in _claims_of(name, dataset)]
    claims += _normalisation(datasets)
    if not claims:
        raise InputError("no claim can be judged: that takes a sweep along width or depth over several task_seed.")
    return Judgement(claims)


def _numbers(claim: Claim) -> list[str]:
    if claim.effect is None or claim.ci95 is None:
        return ["-", "-", "-", str(claim.tasks)]
    error = "-" if claim.mc_error is None else f"{claim.mc_error:.1%}"
    low, high = claim.ci95
    return [rounded(claim.effect), f"{rounded(low)} to {rounded(high)}", error, str(claim.tasks)]


def _limit(claim: Claim) -> str:
    return f"{'above' if claim.above else 'below'} {claim.limit:.3g}"


def _datasets(stores: Sequence[Path | str]) -> Iterator[tuple[str, xr.Dataset]]:
    for store in map(Path, stores):
        files = [store / "sweep.nc"] if (store / "sweep.nc").is_file() else sorted(store.glob("*/sweep.nc"))
        if not files:
            raise InputError(f"{store} is no store: it has no sweep.nc; give the --out of a sweep that has run.")
        for file in files:
            yield str(file.parent), load_cells(file)


def _claims_of(name: str, dataset: xr.Dataset) -> Iterator[Claim]:
    """The claims along the axis of one sweep, panel by panel."""
    title = str(dataset.attrs.get("title") or Path(name).name)
    axis = next((axis for axis in ("width", "depth", "measurements") if dataset.sizes.get(axis, 0) > 1), None)
    if axis is None or dataset.sizes.get("task_seed", 0) < 2:
        return
    for panel, part in _panels(dataset.sortby(axis), axis):
        where = ", ".join(filter(None, (title, panel)))
        if axis == "width":
            yield _rises(part, where)
            yield _reaches_prior(part, where, panel)
        elif axis == "depth":
            yield _falls(part, where)
        else:
            yield _posterior_generalises(part, axis, where)
        if not np.isnan(part["gd_gen_loss"]).all():
            yield _descent_generalises(part, axis, where)


def _panels(dataset: xr.Dataset, axis: str) -> Iterator[tuple[str, xr.Dataset]]:
    """Each seed is a panel of its own: its claims are about the same draws."""
    return cut(dataset, [name for name in axes_of(dataset) if name not in (axis, "task_seed")])


def _rises(part: xr.Dataset, where: str) -> Claim:
    ratio = _ratio(part.isel(width=-1), part.isel(width=0))
    ends = part["width"].values[[-1, 0]].tolist()
    measured = f"E[L_gen] of Guess & Check at width {ends[0]} over that at width {ends[1]}"
    return _decide("width hurts", where, ratio, MARGIN, measured, above=True)


def _falls(part: xr.Dataset, where: str) -> Claim:
    ratio = _ratio(part.isel(depth=-1), part.isel(depth=0))
    ends = part["depth"].values[[-1, 0]].tolist()
    measured = f"E[L_gen] of Guess & Check at depth {ends[0]} over that at depth {ends[1]}"
    return _decide("depth helps", where, ratio, 1 / MARGIN, measured)


def _reaches_prior(part: xr.Dataset, where: str, panel: str) -> Claim:
    widest = part.isel(width=-1)
    ratio = _ratio(widest, widest, under="prior")
    note = "the theorem is about odd activations" if "relu" in panel else ""
    measured = f"E[L_gen] of Guess & Check at width {widest['width'].item()} over the prior's"
    return _decide("wide nets are no better than the prior", where, ratio, 1 - CLOSE, measured, note, above=True)


def _posterior_generalises(part: xr.Dataset, axis: str, where: str) -> Claim:
    last = part.isel({axis: -1})
    ratio = _ratio(last, last, under="zero")
    measured = f"E[L_gen] of Guess & Check at {axis} {last[axis].item()} over the zero matrix's"
    return _decide("Guess & Check generalises in the end", where, ratio, GENERALISES, measured)


def _descent_generalises(part: xr.Dataset, axis: str, where: str) -> Claim:
    """At every point of the axis: the claim is as good as its worst point."""
    measured = f"L_gen of gradient descent over the zero matrix's, at the {axis} where it is largest"
    level = LEVEL / part.sizes[axis]
    points = []
    for i in range(part.sizes[axis]):
        point = part.isel({axis: i})
        ratio = Ratio(point["gd_gen_loss"].values / point["zero_gen_loss"].values)
        points.append(
            _decide("gradient descent generalises", where, ratio, GENERALISES, measured, plain=True, failing=level)
        )
    worst = max(points, key=lambda point: -math.inf if point.effect is None else point.effect)
    verdicts = {point.verdict for point in points}
    verdict = "fails" if "fails" in verdicts else "holds" if verdicts == {"holds"} else "undecided"
    return Claim(**{**asdict(worst), "verdict": verdict})


def _normalisation(datasets: dict[str, xr.Dataset]) -> Iterator[Claim]:
    """What depth gains with normalisation over what it gains without, on the same tasks and panels."""
    by_norm: dict[bool, xr.Dataset] = {}
    for dataset in datasets.values():
        options = json.loads(dataset.attrs["sweep"])["options"]
        enough = min(dataset.sizes.get(axis, 0) for axis in ("depth", "task_seed")) > 1
        if enough and set(options) <= _OF_FIGURE_TWO:
            by_norm.setdefault(bool(options.get("normalize", True)), dataset)
    if len(by_norm) < 2:
        return
    common = xr.align(by_norm[True], by_norm[False], join="inner", exclude=["panel"])
    if min(common[0].sizes[axis] for axis in ("depth", "task_seed")) < 2:
        return
    normalised, raw = (dict(_panels(each.sortby("depth"), "depth")) for each in common)
    for panel in (name for name in normalised if name in raw):
        gains = (_ratio(each[panel].isel(depth=-1), each[panel].isel(depth=0)) for each in (normalised, raw))
        ratio = _over(*gains)
        measured = "the factor by which depth changes E[L_gen] with normalisation, over that without"
        yield _decide("normalisation matters", panel, ratio, 1 / MARGIN, measured)


_OF_FIGURE_TWO = {"measurements", "width", "normalize", "eps", "gd_lr", "method"}
"""The options of figures 2 and 11: a sweep with others is about something else."""


def _ratio(over: xr.Dataset, below: xr.Dataset, *, under: str = "posterior") -> Ratio:
    """E[L_gen] given the fit on each task over another law's, and the relative Monte Carlo error of that."""
    means = [over["posterior_gen_loss"].values, below[f"{under}_gen_loss"].values]
    exact = under == "zero"
    errors = [over["posterior_gen_loss_mcse"].values, 0.0 if exact else below[f"{under}_gen_loss_mcse"].values]
    cells = [over] if under != "posterior" else [over, below]
    shared = any(_share_draws(each) for each in cells)
    return Ratio(
        means[0] / means[1], np.hypot(errors[0] / means[0], errors[1] / means[1]), shared, _care(cells, shared=shared)
    )


def _over(first: Ratio, second: Ratio) -> Ratio:
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


def _decide(
    claim: str,
    panel: str,
    ratio: Ratio,
    limit: float,
    measured: str,
    note: str = "",
    *,
    above: bool = False,
    plain: bool = False,
    failing: float = LEVEL,
) -> Claim:
    """The verdict of the rule on one factor a task.

    ``above`` says on which side of the limit the claim is, ``plain`` takes the mean of the factors instead of their
    logarithms, ``failing`` is the level at which the claim fails.
    """
    factor = ratio.factor[ratio.there]
    values, tasks = factor if plain else np.log(factor), factor.size
    note = "; ".join(filter(None, (note, ratio.note)))
    back = float if plain else math.exp
    if tasks < 2:
        return Claim(claim, panel, "undecided", measured, None, None, limit, above, None, None, tasks, "too few tasks")
    sign, bound = (1 if above else -1), limit if plain else math.log(limit)
    error = ratio.mean_error
    common = error if ratio.shared and error is not None else 0.0
    ends = _interval(values, LEVEL, common)
    verdict = "undecided"
    if min(sign * end for end in ends) > sign * bound:
        verdict = "holds"
    elif max(sign * end for end in _interval(values, failing, common)) < sign * bound:
        verdict = "fails"
    effect, ci95, spread = back(values.mean()), (back(ends[0]), back(ends[1])), float(values.std(ddof=1))
    return Claim(claim, panel, verdict, measured, effect, ci95, limit, above, error, spread, tasks, note)


def _interval(values: Float[np.ndarray, " task"], level: float, common: float) -> tuple[float, float]:
    """The t-interval of the mean, with an error that all values have in common and their spread does not show."""
    half = stats.t.ppf(1 - level / 2, len(values) - 1) * math.hypot(values.std(ddof=1) / math.sqrt(len(values)), common)
    return float(values.mean() - half), float(values.mean() + half)

"""The claims of the paper, decided by the data of a sweep and by a stated rule.

Every claim is a number for each task, a log ratio of losses, so that a claim holds or fails by a factor. Tasks are
the replicates: the mean over tasks has a 95 % t-interval, which contains the Monte Carlo errors; those are also shown
apart. A claim **holds** when the whole interval is beyond the claim's margin, **fails** when the whole interval is on
the other side of it, and is **undecided** otherwise. Where a claim is about every point of an axis, it holds when
it does at every point, and fails when it fails at some point at the level 5 % / points (Bonferroni).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from scipy import stats

from bayesgc.validate import InputError

LEVEL = 0.05
MARGIN = 1.1
"""A loss that changes by less than this factor has not changed."""
CLOSE = 0.1
"""The relative gap below which the posterior has come to the prior."""
GENERALISES = 0.5
"""Gradient descent generalises where its loss is below this share of the zero matrix's."""

RULE = (
    "The factor is a geometric mean over tasks, its 95 % interval a t-interval over them. A claim holds or fails when "
    "the whole interval is on one side of the claimed factor; ± MC is what sampling adds to its error."
)


@dataclass(frozen=True)
class Claim:
    """One claim about one panel, with what the data say.

    ``effect`` is a factor, the geometric mean over tasks of ``measured``, with its 95 % interval ``ci95``;
    ``mc_error`` is the part of its relative standard error that comes from sampling, ``task_spread`` the standard
    deviation of the log factor over tasks. ``limit`` is the factor on which side the claim is decided.
    """

    claim: str
    panel: str
    verdict: str
    measured: str
    effect: float | None
    ci95: tuple[float, float] | None
    limit: float
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

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("claim", "panel", "verdict", "factor", "95 %", "claimed", "± MC", "tasks"):
            table.add_column(name, no_wrap=name != "claim")
        for claim in self.claims:
            style = {"holds": "green", "fails": "red"}.get(claim.verdict, "yellow")
            table.add_row(claim.claim, claim.panel, f"[{style}]{claim.verdict}[/{style}]", *_numbers(claim))
        yield table
        yield from dict.fromkeys(f"{claim.claim}: {claim.measured}." for claim in self.claims)
        yield RULE


def judge(stores: Sequence[Path | str]) -> Judgement:
    """Judge every claim that the stores bear on; a folder of stores counts for all that are in it.

    Raises:
        InputError: where there is no store, or none that bears on a claim.
    """
    datasets = dict(_datasets(stores))
    claims = [claim for name, dataset in datasets.items() for claim in _claims_of(name, dataset)]
    claims += _normalisation(datasets)
    if not claims:
        raise InputError("no claim can be judged: that takes a sweep along width or depth over several task_seed.")
    return Judgement(claims)


def _numbers(claim: Claim) -> list[str]:
    if claim.effect is None or claim.ci95 is None:
        return ["-", "-", _limit(claim), "-", str(claim.tasks)]
    error = "-" if claim.mc_error is None else f"{claim.mc_error:.1%}"
    low, high = claim.ci95
    return [f"{claim.effect:.3g}", f"{low:.3g} to {high:.3g}", _limit(claim), error, str(claim.tasks)]


def _limit(claim: Claim) -> str:
    return f"{'>' if claim.limit > 1 else '<'} {claim.limit:.3g}"


def _datasets(stores: Sequence[Path | str]) -> Iterator[tuple[str, xr.Dataset]]:
    for store in map(Path, stores):
        files = [store / "sweep.nc"] if (store / "sweep.nc").is_file() else sorted(store.glob("*/sweep.nc"))
        if not files:
            raise InputError(f"{store} is no store: it has no sweep.nc; give the --out of a sweep that has run.")
        for file in files:
            yield str(file.parent), xr.load_dataset(file, engine="h5netcdf")


def _claims_of(name: str, dataset: xr.Dataset) -> Iterator[Claim]:
    """The claims along the axis of one sweep, panel by panel."""
    title = str(dataset.attrs.get("title") or Path(name).name)
    axis = next((axis for axis in ("width", "depth") if dataset.sizes.get(axis, 0) > 1), None)
    if axis is None or dataset.sizes.get("task_seed", 0) < 2:
        return
    for panel, part in _panels(dataset, axis):
        where = ", ".join(filter(None, (title, panel)))
        if axis == "width":
            yield _rises(part, where)
            yield _reaches_prior(part, where, panel)
        else:
            yield _falls(part, where)
        if not np.isnan(part["gd_gen_loss"]).all():
            yield _descent_generalises(part, axis, where)


def _panels(dataset: xr.Dataset, axis: str) -> Iterator[tuple[str, xr.Dataset]]:
    others = [str(dim) for dim in dataset["posterior_gen_loss"].dims if dim not in (axis, "task_seed")]
    if not others:
        yield "", dataset
        return
    stacked = dataset.stack(place=others)
    for place in range(stacked.sizes["place"]):
        part = stacked.isel(place=place)
        values = [str(part[dim].values) for dim in others]
        yield ", ".join(v if d == "panel" else f"{d} {v}" for d, v in zip(others, values, strict=True)), part


def _rises(part: xr.Dataset, where: str) -> Claim:
    log, error = _log_ratio(part.isel(width=-1), part.isel(width=0))
    ends = part["width"].values[[-1, 0]].tolist()
    measured = f"E[L_gen] of Guess & Check at width {ends[0]} over that at width {ends[1]}"
    return _decide("width hurts", where, log, error, MARGIN, measured)


def _falls(part: xr.Dataset, where: str) -> Claim:
    log, error = _log_ratio(part.isel(depth=-1), part.isel(depth=0))
    ends = part["depth"].values[[-1, 0]].tolist()
    measured = f"E[L_gen] of Guess & Check at depth {ends[0]} over that at depth {ends[1]}"
    return _decide("depth helps", where, log, error, 1 / MARGIN, measured)


def _reaches_prior(part: xr.Dataset, where: str, panel: str) -> Claim:
    widest = part.isel(width=-1)
    posterior, prior = (widest[f"{law}_gen_loss"].values for law in ("posterior", "prior"))
    errors = [
        widest[f"{law}_gen_loss_mcse"].values / widest[f"{law}_gen_loss"].values for law in ("posterior", "prior")
    ]
    note = "the theorem is about odd activations" if "relu" in panel else ""
    measured = f"E[L_gen] of Guess & Check at width {widest['width'].item()} over the prior's"
    log = np.log(posterior / prior)
    return _decide(
        "wide nets are no better than the prior", where, log, np.hypot(*errors), 1 - CLOSE, measured, note, above=True
    )


def _descent_generalises(part: xr.Dataset, axis: str, where: str) -> Claim:
    """At every point of the axis: the claim is as good as its worst point."""
    measured = f"L_gen of gradient descent over the zero matrix's, at the {axis} where it is largest"
    level = LEVEL / part.sizes[axis]
    points = []
    for i in range(part.sizes[axis]):
        point = part.isel({axis: i})
        log = np.log(np.maximum(point["gd_gen_loss"].values, 1e-12) / point["zero_gen_loss"].values)
        points.append(
            _decide("gradient descent generalises", where, log, None, GENERALISES, measured, failing_level=level)
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
        if dataset.sizes.get("depth", 0) > 1 and set(options) <= _BASE_DEPTH_OPTIONS:
            by_norm.setdefault(bool(options.get("normalize", True)), dataset)
    if len(by_norm) < 2:
        return
    with_norm, without = xr.align(by_norm[True], by_norm[False], join="inner")
    for (panel, part), (_, other) in zip(_panels(with_norm, "depth"), _panels(without, "depth"), strict=True):
        gains = [_log_ratio(each.isel(depth=-1), each.isel(depth=0)) for each in (part, other)]
        log, error = gains[0][0] - gains[1][0], np.hypot(gains[0][1], gains[1][1])
        measured = "the factor by which depth changes E[L_gen] with normalisation, over that without"
        yield _decide("normalisation matters", panel, log, error, 1 / MARGIN, measured)


_BASE_DEPTH_OPTIONS = {"measurements", "width", "normalize", "eps", "gd_lr", "method"}


def _log_ratio(over: xr.Dataset, under: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """log of the ratio of E[L_gen] given the fit on each task, and its Monte Carlo error."""
    means = [each["posterior_gen_loss"].values for each in (over, under)]
    errors = [each["posterior_gen_loss_mcse"].values for each in (over, under)]
    return np.log(means[0] / means[1]), np.hypot(errors[0] / means[0], errors[1] / means[1])


def _decide(
    claim: str,
    panel: str,
    log: Float[np.ndarray, " task"],
    mc_error: Float[np.ndarray, " task"] | None,
    limit: float,
    measured: str,
    note: str = "",
    *,
    above: bool | None = None,
    failing_level: float = LEVEL,
) -> Claim:
    """The verdict of the rule on log factors, one a task; ``above`` says on which side of the limit the claim is."""
    there = np.isfinite(log)
    values, tasks = log[there], int(there.sum())
    if tasks < 2:
        return Claim(claim, panel, "undecided", measured, None, None, limit, None, None, tasks, "too few tasks")
    beyond: Callable[[float], bool] = (
        (lambda x: x > math.log(limit)) if above or (above is None and limit > 1) else (lambda x: x < math.log(limit))
    )
    ends, failing = _interval(values, LEVEL), _interval(values, failing_level)
    verdict = "undecided"
    if all(map(beyond, ends)):
        verdict = "holds"
    elif not any(map(beyond, failing)):
        verdict = "fails"
    error = None if mc_error is None else float(np.sqrt(np.sum(mc_error[there] ** 2)) / tasks)
    low, high = map(math.exp, ends)
    spread = float(values.std(ddof=1))
    return Claim(
        claim, panel, verdict, measured, math.exp(values.mean()), (low, high), limit, error, spread, tasks, note
    )


def _interval(values: Float[np.ndarray, " task"], level: float) -> tuple[float, float]:
    """The t-interval of the mean."""
    half = stats.t.ppf(1 - level / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)

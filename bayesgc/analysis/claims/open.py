"""Claims about what the paper leaves open: infinite width, depth over width, ε → 0, the number of measurements."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesgc.analysis.claims.decisions import GENERALISES, MARGIN, MEANS, Claim, Ratio, decide, over, ratio_of
from bayesgc.analysis.equal_fit import descent_variable

PAPER_MEASUREMENTS, PAPER_SIDE = 15, 5
"""Of a 5×5 matrix, in the paper's experiments."""


def infinite_width(part: xr.Dataset, where: str, close: float) -> Iterator[Claim]:
    """Whether the widest nets of a sweep are at the limit of infinite width, and whether that limit is the prior."""
    if "wide_gen_loss" not in part or np.isnan(part["wide_gen_loss"]).all():
        return
    widest = part.isel(width=-1)
    limit, error, prior = (widest[f"wide_{name}"].values for name in ("gen_loss", "gen_loss_mcse", "prior_gen_loss"))
    measured = f"E[L_gen] of Guess & Check at width {widest['width'].item()} over that of an infinitely wide net"
    reached = ratio_of(widest, widest, under="wide")
    yield decide("the limit of infinite width is reached", where, reached, MARGIN, measured, within=True)
    measured = "E[L_gen] of Guess & Check over the prior's, both of an infinitely wide net"
    exact = Ratio(limit / prior, error / limit)
    yield decide("infinitely wide nets are no better than the prior", where, exact, 1 - close, measured, above=True)


def small_thresholds(dataset: xr.Dataset, title: str) -> Iterator[Claim]:
    """What ε → 0 does at each depth, and whether it does more in deep nets."""
    if min(dataset.sizes.get(axis, 0) for axis in ("depth", "eps", "task_seed")) < 2 or "panel" in dataset.dims:
        return
    cells = dataset.sortby(["depth", "eps"])
    least, second, *_ = cells["eps"].values.tolist()
    most = cells["eps"].values[-1].item()
    for i, depth in enumerate(cells["depth"].values.tolist()):
        at = cells.isel(depth=i)
        measured = f"E[L_gen] of Guess & Check at ε = {least:g} over that at {second:g}"
        ratio = ratio_of(at.isel(eps=0), at.isel(eps=1))
        name = "the loss has settled as ε goes to zero"
        yield decide(name, f"{title}, depth {depth}", ratio, MARGIN, measured, within=True)
    deep, shallow = (ratio_of(at.isel(eps=0), at.isel(eps=-1)) for at in (cells.isel(depth=-1), cells.isel(depth=0)))
    ends = cells["depth"].values[[-1, 0]].tolist()
    measured = (
        f"the change of E[L_gen] of Guess & Check from ε = {most:g} to {least:g} at depth {ends[0]}, over that at "
        f"depth {ends[1]}"
    )
    yield decide("small thresholds are worth more in deep nets", title, over(deep, shallow), 1 / MARGIN, measured)


def one_axis(datasets: Sequence[xr.Dataset]) -> Iterator[Claim]:
    """Whether sweeps along depth that differ in the width alone agree at equal depth over width."""
    alike: dict[str, dict[int, xr.Dataset]] = {}
    for dataset in datasets:
        options = dict(json.loads(dataset.attrs["sweep"])["options"])
        width = options.pop("width", None)
        if set(dataset["posterior_gen_loss"].dims) == {"depth", "task_seed"} and width is not None:
            alike.setdefault(json.dumps(options, sort_keys=True), {})[int(width)] = dataset
    for sweeps in alike.values():
        for narrow, wide in itertools.pairwise(sorted(sweeps)):
            yield from _pair(narrow, wide, *xr.align(sweeps[narrow], sweeps[wide], join="inner", exclude=["depth"]))


def _pair(narrow: int, wide: int, first: xr.Dataset, second: xr.Dataset) -> Iterator[Claim]:
    if first.sizes["task_seed"] < 2:
        return
    depths = (first["depth"].values.tolist(), second["depth"].values.tolist())
    scaled = [(deep, long) for deep in depths[0] for long in depths[1] if deep * wide == long * narrow]
    equal = [(depth, depth) for depth in depths[0] if depth in depths[1]]
    who = f"E[L_gen] of Guess & Check at width {wide} over that at width {narrow}"
    where = f"widths {narrow} and {wide}"
    if scaled:
        listed = ", ".join(f"{deep / narrow:g}" for deep, _ in scaled)
        ratio = _mean([ratio_of(second.sel(depth=b), first.sel(depth=a)) for a, b in scaled])
        measured = f"{who}, mean over depth / width = {listed}"
        yield decide("depth over width is the one axis", where, ratio, MARGIN, measured, within=True)
    if equal:
        listed = ", ".join(str(depth) for depth, _ in equal)
        ratio = _mean([ratio_of(second.sel(depth=b), first.sel(depth=a)) for a, b in equal])
        yield decide(
            "width hurts at a given depth", where, ratio, MARGIN, f"{who}, mean over depth = {listed}", above=True
        )


def _mean(ratios: Sequence[Ratio]) -> Ratio:
    """The geometric mean of independent ratios on the same tasks."""
    factors = np.stack([ratio.factor for ratio in ratios])
    errors = np.stack([np.zeros_like(ratio.factor) if ratio.error is None else ratio.error for ratio in ratios])
    notes = "; ".join(dict.fromkeys(ratio.note for ratio in ratios if ratio.note))
    error = np.sqrt((errors**2).sum(0)) / len(ratios)
    return Ratio(np.exp(np.log(factors).mean(0)), error, any(ratio.shared for ratio in ratios), notes)


def measurements_needed(part: xr.Dataset, where: str, *, paper: bool) -> Iterator[Claim]:
    """From how many measurements on Guess & Check and gradient descent find the truth, and which needs more of them.

    The number to find it by is that of the paper, which is for matrices of its size.
    """
    share = f"L_gen stays below {GENERALISES:g} of the zero matrix's"
    laws = {_CHECK: "posterior", _DESCENT: descent_variable(part).removesuffix("_gen_loss")}
    found = {name: _needed(part, law) for name, law in laws.items() if not np.isnan(part[f"{law}_gen_loss"]).all()}
    for name, needed in found.items() if paper else ():
        claim = f"{name} finds the truth by {PAPER_MEASUREMENTS} measurements"
        measured = f"from which on {'E[L_gen]' if name == _CHECK else 'L_gen'} {share.removeprefix('L_gen ')}"
        yield decide(claim, where, needed, PAPER_MEASUREMENTS, measured, plain=True, unit="measurements")
    if len(found) == 2:
        # Of descent medians over restarts are known, so beside it the posterior counts by its median too.
        check, descent = _needed(part, "posterior", "_q50" if _MEDIAN in part else ""), found[_DESCENT]
        said = {_CHECK: check, _DESCENT: descent}.items()
        lacks = [] if _MEDIAN in part else [MEANS]
        notes = "; ".join([*(f"{name}: {each.note}" for name, each in said if each.note), *lacks])
        more = Ratio(check.factor - descent.factor, check.error, check.shared, notes)
        measured = f"of Guess & Check beyond those of gradient descent, from which on its median {share}"
        claim = "Guess & Check needs more measurements than gradient descent"
        yield decide(claim, where, more, 0.0, measured, above=True, plain=True, unit="measurements")


_CHECK = "Guess & Check"
_DESCENT = "gradient descent"


_MEDIAN = "posterior_gen_loss_q50"


def _needed(part: xr.Dataset, law: str, which: str = "") -> Ratio:
    """The number of measurements of each task from which on the loss stays below its share, between those of the axis.

    The loss is the mean of a law, or its median where ``which`` is ``_q50``. A task that is below it from the first
    number on, or still above it at the last, counts with that number.
    """
    counts = part["measurements"].values.astype(float)
    zero = part["zero_gen_loss"].transpose("measurements", "task_seed").values
    losses = part[f"{law}_gen_loss{which}"].transpose("measurements", "task_seed").values / zero
    errors = np.zeros_like(losses)
    if law == "posterior":
        errors = part[f"posterior_gen_loss{which}_mcse"].transpose("measurements", "task_seed").values / zero
    each = [_crossing(counts, losses[:, task], errors[:, task]) for task in range(losses.shape[1])]
    values, spread = (np.array(column) for column in zip(*each, strict=True))
    early, late = (int(np.sum(values == end)) for end in counts[[0, -1]])
    notes = [f"below it from the first number on, with which they count: {_tasks(early)}"] if early else []
    notes += [f"above it to the last number, with which they count: {_tasks(late)}"] if late else []
    return Ratio(values, spread if law == "posterior" else None, note="; ".join(notes))


def _tasks(count: int) -> str:
    return f"{count} {'task' if count == 1 else 'tasks'}"


def _crossing(
    counts: Float[np.ndarray, " n"], losses: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"]
) -> tuple[float, float]:
    """Where linear interpolation last comes below the share, and the error of that by the delta method.

    NaN where a loss after the last that is known to be above the share is not known.
    """
    above = np.flatnonzero(~(losses < GENERALISES))
    if not above.size:
        return float(counts[0]), 0.0
    i = above[-1]
    if np.isnan(losses[i]):
        return np.nan, np.nan
    if i == len(counts) - 1:
        return float(counts[-1]), 0.0
    step, high, low = counts[i + 1] - counts[i], losses[i], losses[i + 1]
    slopes = np.array([GENERALISES - low, high - GENERALISES]) / (high - low) ** 2
    error = step * float(np.hypot(*(slopes * errors[i : i + 2])))
    return float(counts[i] + step * (high - GENERALISES) / (high - low)), error

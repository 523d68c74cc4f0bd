"""Differences between results: two by their own errors, configurations paired over shared tasks."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import astuple, replace
from itertools import chain, combinations
from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.asked import passed_by
from bayesgc.analysis.compare.distance import distances
from bayesgc.analysis.hidden import hidden_contrast
from bayesgc.analysis.measures import judged_by, measures_of
from bayesgc.analysis.tails import centre, chance_of_less, log_centre
from bayesgc.analysis.tree.groups import values
from bayesgc.intervals import Number, Ratio

Json = dict[str, Any]
Result = tuple[Json, xr.DataTree]

CONTRASTED = ("gen_loss", "gen_loss_relative", "bits", "evidence_bits")
_EPS = "ε ="
_SIZES = ("family", "name", "depth", "width", "bias")


def _contrasted(entries: Sequence[Json]) -> tuple[str, ...]:
    """Of what differences are taken: beside what is named for every pair, the measure by which they are judged."""
    judged = (measures_of(entry).generalisation.name for entry in entries)
    return tuple(dict.fromkeys((*CONTRASTED, *judged)))


def difference(result: Result, first: Result) -> Json:
    """``result`` minus ``first``; squared errors add where draws are independent, and no error is known where not."""
    (entry, tree), (base, base_tree) = result, first
    shared, same = _shares_draws(entry, base), same_task(tree, base_tree)
    gaps = {name: _minus(_value(entry, name), _value(base, name), shared=shared) for name in _contrasted([entry, base])}
    if not same:
        gaps["evidence_bits"] = None  # densities of other measurements, in units of their own
    return {
        "label": entry["label"],
        "against": base["label"],
        "same_task": same,
        "same_eps": _event(entry) == _event(base),
        "shared_draws": shared,
        "asks_nothing": _ask_nothing(("label", [entry]), ("against", [base])),
        **gaps,
        # Of other data the errors of the two runs are the least of what a difference has.
        "factor": factor_between(entry, base) if same else None,
        "better": chance_of_less((tree, "posterior"), (base_tree, "posterior"), shared=shared),
        "distance": distances(tree, "posterior", base_tree, "posterior"),
        "hidden": hidden_contrast(tree, base_tree),
    }


def _ask_nothing(*sides: tuple[str, list[Json]]) -> list[str]:
    """On which sides a fit of some run asks for next to nothing, so that it explains nothing there."""
    return [name for name, entries in sides if any(passed_by(each) is not None for each in entries)]


def same_task(tree: xr.DataTree, other: xr.DataTree) -> bool:
    """Whether two results are of the same measurements of the same numbers, or of the same labelled examples."""
    return _task_key(tree) == _task_key(other)


def factor_between(entry: Json, base: Json) -> Json | None:
    """By which factor L_gen of one result differs from that of another, and what that decides; None where unknown."""
    return _factor([([entry], [base])], shared=_shares_draws(entry, base))


def _event(entry: Json) -> tuple[float, float | None, bool]:
    """ε, and what else a fit is."""
    measures = measures_of(entry)
    return entry["eps"], measures.low, measures.right


def paired_differences(entries: Sequence[Json], trees: Sequence[xr.DataTree]) -> list[Json]:
    """Each configuration against the first, over the tasks that both have: the tasks are the replications.

    The standard error is that of the mean of the differences over tasks, which holds the variation between tasks and
    the runs' own errors; the interval is Student's t. Runs of several tasks may share their draws, as those of one seed
    do: their error may then be one error, which no variation between tasks shows, and it is added. Only where at least
    two tasks are shared. Runs of one configuration on one task count once, by their mean.
    """
    groups: dict[str, dict[bytes, list[Json]]] = {}
    relative = _relative_eps(entries)
    for entry, tree in zip(entries, trees, strict=True):
        group = groups.setdefault(_configuration(entry, tree, relative=relative), {})
        group.setdefault(_task_key(tree), []).append(entry)
    if len(groups) < 2:
        return []
    (base_name, base), *others = groups.items()
    return [found for name, group in others if (found := _paired(name, group, base_name, base)) is not None]


def _paired(name: str, group: dict[bytes, list[Json]], base_name: str, base: dict[bytes, list[Json]]) -> Json | None:
    shared = [key for key in group if key in base]
    if len(shared) < 2:
        return None
    mine, theirs = _apart(name, base_name)
    pairs = [(group[key], base[key]) for key in shared]
    sides = [list(chain.from_iterable(side)) for side in zip(*pairs, strict=True)]
    one_error = any(_shares_draws(*two) for side in sides for two in combinations(side, 2))
    gaps = {each: _mean_difference(pairs, each, one_error=one_error) for each in _contrasted([*sides[0], *sides[1]])}
    factor = _factor(pairs, shared=one_error)
    asked = {
        "same_eps": json.loads(name)[_EPS] == json.loads(base_name)[_EPS],
        "asks_nothing": _ask_nothing(("label", sides[0]), ("against", sides[1])),
    }
    return {"label": mine, "against": theirs, "tasks": len(shared), **asked, **gaps, "factor": factor}


def _mean_difference(pairs: Sequence[tuple[list[Json], list[Json]]], name: str, *, one_error: bool) -> Json | None:
    """The mean over tasks, its standard error and 95 % interval; None also where a common error is not known."""
    both = [(_mean_value(ours, name), _mean_value(theirs, name)) for ours, theirs in pairs]
    known = [(ours, theirs) for ours, theirs in both if ours is not None and theirs is not None]
    if len(known) < 2:
        return None
    gaps = np.array([ours[0] - theirs[0] for ours, theirs in known])
    errors = np.array([math.hypot(ours[1], theirs[1]) for ours, theirs in known])
    if one_error and np.isnan(errors).any():
        return None
    mean = Ratio(gaps, errors, one_error).over_tasks(plain=True)
    return {"difference": mean.value, "mcse": mean.error, "ci95": [*mean.interval()], "tasks": len(gaps)}


def _factor(pairs: Sequence[tuple[list[Json], list[Json]]], *, shared: bool) -> Json | None:
    """By which factor L_gen differs on the tasks that both sides know, a pair of runs for each, and what that decides.

    ``estimate`` is the geometric mean over tasks of the ratio of the means, or of the medians where some mean cannot be
    believed. ``ci95`` is over tasks and ``sampling_ci95`` of the Monte Carlo errors alone, for these very tasks; of one
    pair of runs both are that. ``standing`` and ``of_these_tasks`` are what they decide, as in `Number.judgement`.
    """
    sides = [[[run for run in side if _judged(run)] for side in pair] for pair in pairs]
    runs = [run for pair in sides for side in pair for run in side]
    if len({(measures_of(run).generalisation, measures_of(run).labelled) for run in runs}) > 1:
        return None  # losses of two kinds have no ratio
    which = centre(judged_by(run, "posterior") for run in runs)  # type: ignore[misc]
    gaps = [_mean_log(ours, which) - _mean_log(theirs, which) if ours and theirs else None for ours, theirs in sides]
    known = [gap for gap in gaps if gap is not None]
    if not known:
        return None
    ratio = Ratio(
        np.array([math.nan if gap is None else math.exp(gap.value) for gap in gaps]),
        np.array([math.nan if gap is None else gap.error for gap in gaps]),
        shared,
        freedom=min(gap.freedom for gap in known),
        blur=float(np.mean([gap.blur for gap in known])),
    )
    return {"statistic": "mean" if which == "mean" else "median", **_decided(ratio)}


def _decided(ratio: Ratio) -> Json:
    of_these = ratio.of_these_tasks()
    one = ratio.factor.size == 1
    if one and ratio.shared:  # the same random numbers on both sides
        of_these = replace(of_these, error=math.inf)
    over = of_these if one else ratio.over_tasks()
    return {
        "estimate": math.exp(of_these.value),
        "ci95": _listed(over.factors()),
        "sampling_ci95": _listed(of_these.factors()),
        "tasks": ratio.tasks,
        "standing": of_these.judgement if one else ratio.judgement,
        "of_these_tasks": of_these.judgement,
    }


def _listed(ends: tuple[float | None, float | None] | None) -> list[float | None] | None:
    return None if ends is None else [*ends]


def _judged(run: Json) -> bool:
    return judged_by(run, "posterior") is not None


def _mean_log(runs: Sequence[Json], which: str) -> Number:
    """Of the runs on one task; their errors may be one, so the mean's is not smaller."""
    numbers = [log_centre(run, "posterior", which) for run in runs]
    values, errors, _, blurs = np.array([astuple(number) for number in numbers]).mean(axis=0).tolist()
    return Number(values, errors, min(number.freedom for number in numbers), blurs)


def _mean_value(runs: Sequence[Json], name: str) -> tuple[float, float] | None:
    """The mean over the runs on one task that know the quantity, and of their own errors, NaN if one is not known."""
    known = [value for each in runs if (value := _value(each, name)) is not None]
    if not known:
        return None
    return float(np.mean([mean for mean, _ in known])), float(np.mean([_or_nan(error) for _, error in known]))


def _or_nan(error: float | None) -> float:
    return math.nan if error is None else error


def _shares_draws(entry: Json, base: Json) -> bool:
    """Whether both runs made weights of the same random numbers, which seed, method and sizes decide."""
    sizes = [
        [each["task"]["shape"], each["task"].get("features"), *map(each["model"].get, _SIZES)] for each in (entry, base)
    ]
    return sizes[0] == sizes[1] and all(entry[name] == base[name] for name in ("seed", "method"))


def _value(entry: Json, name: str) -> tuple[float, float | None] | None:
    if name == "bits":
        return None if entry["rarity"] is None else (entry["rarity"]["bits"], entry["rarity"]["mcse"])
    if name == "evidence_bits":
        return _evidence_bits(entry["log_evidence"])
    summary = None if entry["posterior"] is None else entry["posterior"].get(name)
    return None if summary is None or summary["mean"] is None else (summary["mean"], summary["mcse"])


def _evidence_bits(evidence: Json | None) -> tuple[float, float | None] | None:
    """log₂ p(y) at exact fits: the difference between two models is the logarithm of their Bayes factor."""
    if evidence is None or evidence["estimate"] is None:
        return None
    error = evidence["mcse"]
    return evidence["estimate"] / math.log(2), None if error is None else error / math.log(2)


def _minus(
    ours: tuple[float, float | None] | None, theirs: tuple[float, float | None] | None, *, shared: bool
) -> Json | None:
    if ours is None or theirs is None:
        return None
    known = ours[1] is not None and theirs[1] is not None and not shared
    return {"difference": ours[0] - theirs[0], "mcse": math.hypot(ours[1], theirs[1]) if known else None}  # type: ignore[arg-type]


def _task_key(tree: xr.DataTree) -> bytes:
    """The same for two results on the same measurements of the same numbers, or on the same labelled examples.

    Inputs are not kept; but with the same labels, and reference points that do as well, they are hardly others.
    """
    constants = tree["constant_data"].to_dataset()
    known = [constants[name] for name in _TASKS_OWN if name in constants]
    measured = known[:1] if "A" in constants else known
    parts = [values(tree, "observed_data", "y"), *(each.values for each in measured)]
    task = json.loads(tree.attrs["configuration"])["task"]
    shape = [task["shape"], task["features"], task["test_examples"]] if "features" in task else task["shape"]
    return repr(shape).encode() + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


_TASKS_OWN = ("A", "cells", "y_test", "reference_test_error")
"""The constants that tell tasks apart."""


def _relative_eps(entries: Sequence[Json]) -> bool:
    """Whether the thresholds were meant as shares of the zero matrix's loss: those then vary less than themselves."""
    return len({_eps(entry, relative=True) for entry in entries}) < len(
        {_eps(entry, relative=False) for entry in entries}
    )


def _eps(entry: Json, *, relative: bool) -> str:
    zero = (entry["baselines"].get("zero") or {}).get("train_loss")
    return f"{100 * entry['eps'] / zero:.4g}% of zero" if relative and zero else f"{entry['eps']:.6g}"


def _configuration(entry: Json, tree: xr.DataTree, *, relative: bool) -> str:
    """Everything that was chosen but for the task's and the run's seed.

    The method is the one that was asked for: what ``auto`` takes depends on the task, and must not part its tasks.
    """
    method = json.loads(tree.attrs["configuration"])["method"]["name"]
    task = {name: value for name, value in entry["task"].items() if name != "seed"}
    chosen = {**entry["model"], **task, "method": method, _EPS: _eps(entry, relative=relative)}
    return json.dumps({name: str(value) for name, value in chosen.items() if value is not None}, sort_keys=True)


def _apart(name: str, base_name: str) -> tuple[str, str]:
    """Two configurations by what tells them apart."""
    ours, theirs = json.loads(name), json.loads(base_name)
    varying = [key for key in ours if ours[key] != theirs.get(key)] or ["family"]
    return tuple(", ".join(f"{key} {side.get(key, '-')}" for key in varying) for side in (ours, theirs))  # type: ignore[return-value]

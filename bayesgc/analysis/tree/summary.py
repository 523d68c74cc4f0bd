"""A result as one JSON object, read from the DataTree alone, so that a saved result says what the run said."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.calibration import calibration
from bayesgc.analysis.certificate import certificate
from bayesgc.analysis.ends import cut_counts
from bayesgc.analysis.ensemble import ensemble
from bayesgc.analysis.hidden import hidden_summary
from bayesgc.analysis.margins import margins
from bayesgc.analysis.measures import OF_ARRAYS, measures_in
from bayesgc.analysis.predictive import MEANINGS, cell_moments, cell_quantiles, interval_kind
from bayesgc.analysis.standing import standing
from bayesgc.analysis.tails import chance_of_less, quartiles, tail
from bayesgc.analysis.tree.groups import values
from bayesgc.analysis.tree.storage import SCHEMA
from bayesgc.analysis.words.verdict import verdict

QUANTITIES = (
    "gen_loss",
    "train_loss",
    "gen_loss_relative",
    "train_loss_relative",
    "error",
    "effective_rank",
    "nuclear_norm",
)
"""What is reported of each law of an array; null where it is not known."""
LABELLED_QUANTITIES = ("gen_loss", "train_loss", "test_error", "train_errors")
"""The same for labelled examples."""
STATISTICS = ("mean", "sd", "mcse", "q05", "q50", "q95")
CELL_STATISTICS = ("mean", "sd", "q05", "q50", "q95")
BASELINES = ("zero", "least_squares", "nuclear_norm", "chance")

Json = dict[str, Any]


def result_object(tree: xr.DataTree) -> Json:
    """The object that ``--json`` prints, described by ``schema.json``; what is absent or not finite is null."""
    attributes = tree.attrs
    configuration = json.loads(attributes["configuration"])
    measures = json.loads(attributes.get("measures", json.dumps(OF_ARRAYS)))
    judged = measures["generalisation"] in tree["prior"].data_vars
    known = judged or "ground_truth" in tree.children or "y_test" in tree["constant_data"]
    facts = {"held_out": int(attributes["held_out"]), "truth_known": known}
    result: Json = {
        "schema": SCHEMA,
        "task": {**configuration["task"], **facts},
        "measures": measures,
        "model": configuration["model"],
        "method": attributes["method"],
        "eps": float(attributes["eps"]),
        "settled": bool(configuration.get("settled", True)),
        "seed": json.loads(attributes["seeds"])["seed"],
        "dtype": configuration.get("dtype", "float32"),
        "outcome": attributes["outcome"],
        "message": attributes["message"],
        "prior": _law(tree, "prior"),
        "not_finite": float(tree["prior"].attrs.get("not_finite", 0.0)),
        "posterior": _law(tree, "posterior"),
        "better_than_prior": chance_of_less((tree, "posterior"), (tree, "prior")),
        "log_volume": _log_volume(attributes),
        "log_evidence": _log_evidence(attributes),
        "reached": _reached(tree),
        "gd": _gradient_descent(tree),
        "map": _mode(tree),
        "baselines": _baselines(tree["constant_data"].to_dataset(), measures, labelled="train_output" in tree["prior"]),
        "curve": _curve(tree, measures),
        "ensemble": ensemble(tree),
        "calibration": calibration(tree),
        "margins": margins(tree),
        "standing": _standing(tree, measures),
        "certificate": None,
        "hidden": hidden_summary(tree),
        "unobserved": _unobserved(tree),
        "unobserved_intervals": _intervals(tree),
        "diagnostics": {"evaluations": int(attributes["evaluations"]), **json.loads(attributes["diagnostics"])},
        "seconds": {"total": None, "sampling": None, "gd": None, "map": None, **json.loads(attributes["seconds"])},
        "reasons": {**json.loads(attributes["reasons"]), **_reasons(tree)},
        "version": json.loads(attributes["versions"])["bayesgc"],
    }
    if "examples" in result["task"]:
        result["certificate"], reason = certificate(result)
        result["reasons"] |= {} if reason is None else {"certificate": reason}
    return {**result, "verdict": verdict(result)}


def _quantities(tree: xr.DataTree) -> tuple[str, ...]:
    """What is reported of each law."""
    known = LABELLED_QUANTITIES if "train_output" in tree["prior"] else QUANTITIES
    return tuple(dict.fromkeys([*known, *json.loads(tree.attrs.get("measures", json.dumps(OF_ARRAYS))).values()]))


def _number(value: Any) -> float | None:
    """``value`` as a float, None when it is absent or not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def _law(tree: xr.DataTree, group: str) -> Json | None:
    """The summaries of one law, as the method made them; None when there is no such law."""
    if group not in tree.children:
        return None
    dataset = tree[group].to_dataset()
    return {name: _summary(tree, group, name) if name in dataset else None for name in _quantities(tree)}


def _summary(tree: xr.DataTree, group: str, name: str) -> Json | None:
    """The statistics of every draw that was made, and what the kept ones say of the tail and of the quartiles."""
    attributes = tree[group][name].attrs
    if "mean" not in attributes:
        return None
    statistics = {statistic: _number(attributes.get(statistic)) for statistic in STATISTICS}
    spread = {key: _number(value) for key, value in quartiles(tree, group, name).items()}
    return {**statistics, **spread, **tail(tree, group, name)}


def _log_volume(attributes: dict[Any, Any]) -> Json | None:
    if "log_volume_high" not in attributes and "log_volume" not in attributes:
        return None
    bounds = [_number(attributes.get("log_volume_low")), _number(attributes.get("log_volume_high"))]
    return {**_estimate(attributes, "log_volume"), "ci95": bounds}


def _reached(tree: xr.DataTree) -> Json | None:
    """The posterior at the lowest threshold that was reached, where that is not ε."""
    if "reached" not in tree.children:
        return None
    attributes = tree["reached"].attrs
    law, volume = _law(tree, "reached"), _log_volume(attributes)
    return {"eps": float(attributes["eps"]), "posterior": law, "log_volume": volume}


def _log_evidence(attributes: dict[Any, Any]) -> Json | None:
    return _estimate(attributes, "log_evidence") if "log_evidence" in attributes else None


def _estimate(attributes: dict[Any, Any], name: str) -> Json:
    return {"estimate": _number(attributes.get(name)), "mcse": _number(attributes.get(f"{name}_mcse"))}


def _descent(tree: xr.DataTree, group: str) -> Json | None:
    """The spread over the restarts that fitted; the others say nothing about fits."""
    if group not in tree.children:
        return None
    dataset = tree[group].to_dataset()
    converged = dataset["converged"].values.astype(bool)
    spreads = {
        name: _spread(dataset[name].values[converged]) if name in dataset else None for name in _quantities(tree)
    }
    return {**spreads, "restarts": int(converged.size), "converged": int(converged.sum())}


def _gradient_descent(tree: xr.DataTree) -> Json | None:
    """The spread at the end, how many restarts diverged, and the spread where they first passed ε: at equal fit."""
    ended, passed = _descent(tree, "gd"), _descent(tree, "gd_at_eps")
    if ended is None:
        return None
    dataset = tree["gd"].to_dataset()
    gone, configuration = dataset.get("diverged"), json.loads(dataset.attrs["configuration"])
    return {
        **ended,
        "optimizer": configuration.get("optimizer"),
        **{name: configuration[name] for name in ("batch", "protocol") if name in configuration},
        "diverged": None if gone is None else int(gone.values.astype(bool).sum()),
        "cut": cut_counts(dataset),
        "at_eps": {**passed, "at_start": _at_start(tree)} if passed is not None and passed["converged"] else None,
    }


def _at_start(tree: xr.DataTree) -> int:
    """How many restarts passed ε before their first step."""
    return int(np.count_nonzero(tree["gd_at_eps"]["steps"].values == 0))


def _standing(tree: xr.DataTree, measures: dict[str, str]) -> Json | None:
    """Of labelled examples, the share of the draws that fit which generalise better than the median of descent."""
    if "train_output" not in tree["prior"]:
        return None
    places = {name: standing(tree, group) for name, group in (("at_eps", "gd_at_eps"), ("end", "gd"))}
    found = {name: None if place is None else place[measures["generalisation"]] for name, place in places.items()}
    return found if any(place is not None for place in found.values()) else None


def _reasons(tree: xr.DataTree) -> dict[str, str]:
    """Why descent is not known at equal fit, and what to make of restarts that diverged."""
    found = _gradient_descent(tree)
    if found is None:
        return {}
    reasons = {} if found["at_eps"] is not None else {"gd_at_eps": _why_not_at_eps(tree)}
    if found["diverged"]:
        reasons["gd_diverged"] = (
            f"{found['diverged']} of {found['restarts']} restarts of gradient descent ended at no finite loss, or far "
            "above where they began: the learning rate is too large"
        )
    return reasons


def _why_not_at_eps(tree: xr.DataTree) -> str:
    measures = measures_in(tree)
    if measures.exact(float(tree.attrs["eps"])):
        return "at ε = 0 a descent of finite length passes no threshold; its end is what is compared"
    if "gd_at_eps" not in tree.children:
        return "the bayesgc that made this result did not record where gradient descent passed ε"
    return f"no restart of gradient descent {'fitted' if measures.more_than_loss else 'passed ε'}"


def _mode(tree: xr.DataTree) -> Json | None:
    """The spread over the restarts that fitted exactly, and the quantities of the most probable one among them."""
    spread = _descent(tree, "map")
    if spread is None:
        return None
    dataset = tree["map"].to_dataset()
    fitted = dataset.isel(restart=np.flatnonzero(dataset["converged"].values))
    if not fitted.sizes["restart"]:
        return {**spread, "energy": None, "best": None}
    best = fitted.isel(restart=int(np.argmin(fitted["energy"].values)))
    energies = _spread(fitted["energy"].values)
    return {
        **spread,
        "energy": None if energies is None else {**energies, "best": _number(best["energy"].item())},
        "best": {name: _number(best[name].item()) if name in best else None for name in _quantities(tree)},
    }


def _spread(values: np.ndarray) -> Json | None:
    if not values.size:
        return None
    low, middle, high = np.quantile(values.astype(np.float64), [0.25, 0.5, 0.75])
    return {"median": _number(middle), "q25": _number(low), "q75": _number(high)}


def _baselines(constants: xr.Dataset, measures: dict[str, str], *, labelled: bool) -> Json:
    """The measures of each reference point; of arrays also null where a point does not exist."""
    found: Json = {} if labelled else dict.fromkeys(BASELINES)
    if "reference" not in constants.coords:
        return found
    for name in map(str, constants["reference"].values):
        found[name] = _losses(constants.sel(reference=name), measures)
    return found


def _losses(point: xr.Dataset, measures: dict[str, str]) -> Json:
    names = (measures["generalisation"], measures["fit"])
    return {name: _number(point[f"reference_{name}"].item()) for name in names}


def _curve(tree: xr.DataTree, measures: dict[str, str]) -> list[Json] | None:
    """Log volume and generalisation for each number of training errors at most, from the least on."""
    if "curve" not in tree.children:
        return None
    curve, primary = tree["curve"].to_dataset().sortby("threshold"), measures["generalisation"]
    return [_reading(curve.isel(reading=place), primary) for place in range(curve.sizes["reading"])]


def _reading(point: xr.Dataset, primary: str) -> Json:
    """One number of errors; a volume that was not seen has no estimate, and the bound that is known."""
    facts = {name: _number(point[name].item()) for name in point.data_vars}
    volume: Json = {"estimate": facts["log_volume"], "mcse": facts["log_volume_mcse"]}
    volume["ci95"] = [facts["log_volume_low"], facts["log_volume_high"]]
    judged = None if facts[primary] is None else {"mean": facts[primary], "mcse": facts[f"{primary}_mcse"]}
    return {"errors": int(point["threshold"].item()), "log_volume": volume, primary: judged}


def _unobserved(tree: xr.DataTree) -> list[Json] | None:
    """Mean and quantiles (5 to 95 %: a 90 % interval) of each missing cell, in the table's own units.

    Only where the truth is unknown, the measurements are cells, and something fitted. ``index`` is the place of a cell
    along each dimension, from 0, whatever its labels are.
    """
    if not _predicts_cells(tree):
        return None
    matrix = tree["posterior"].to_dataset()["end_to_end"]
    shape, dims = matrix.shape[2:], matrix.dims[2:]
    missing = np.setdiff1d(np.arange(math.prod(shape)), values(tree, "constant_data", "cells"))
    labels = [matrix[dim].values.tolist() for dim in dims]
    places = np.stack(np.unravel_index(missing, shape), axis=-1).tolist()
    columns = [*cell_moments(tree, missing), *cell_quantiles(tree, "posterior", missing, [0.05, 0.5, 0.95])]
    statistics = (dict(zip(CELL_STATISTICS, map(_number, row), strict=True)) for row in zip(*columns, strict=True))
    return [
        {str(dim): names[i] for dim, names, i in zip(dims, labels, place, strict=True)} | {"index": place} | found
        for place, found in zip(places, statistics, strict=True)
    ]


def _intervals(tree: xr.DataTree) -> Json | None:
    """What the intervals of the missing cells are intervals of; None where there are none."""
    if not _predicts_cells(tree):
        return None
    kind = interval_kind(tree)
    return {"kind": kind, "meaning": MEANINGS[kind], "level": 0.9}


def _predicts_cells(tree: xr.DataTree) -> bool:
    known = "ground_truth" in tree.children or "posterior" not in tree.children
    return not known and "cells" in tree["constant_data"].data_vars


def cell_labels(cell: Json) -> dict[str, str]:
    """The labels of a missing cell by dimension, each on one line, as they are shown."""
    return {name: one_line(cell[name]) for name in cell if name not in (*CELL_STATISTICS, "index")}


def one_line(label: object) -> str:
    """A label without what breaks rows of a table: line ends, tabs and control characters become spaces."""
    return "".join(sign if sign.isprintable() else " " for sign in str(label))

"""A result as one JSON object, read from the DataTree alone, so that a saved result says what the run said."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.storage import SCHEMA
from bayesgc.analysis.verdict import verdict

QUANTITIES = (
    "gen_loss",
    "train_loss",
    "gen_loss_relative",
    "train_loss_relative",
    "error",
    "effective_rank",
    "nuclear_norm",
)
STATISTICS = ("mean", "sd", "mcse", "q05", "q50", "q95")
BASELINES = ("zero", "least_squares", "nuclear_norm", "chance")

Json = dict[str, Any]


def result_object(tree: xr.DataTree) -> Json:
    """The object that ``--json`` prints, described by ``schema.json``; what is absent or not finite is null."""
    attributes = tree.attrs
    configuration = json.loads(attributes["configuration"])
    facts = {"held_out": int(attributes["held_out"]), "truth_known": "ground_truth" in tree.children}
    result: Json = {
        "schema": SCHEMA,
        "task": {**configuration["task"], **facts},
        "model": configuration["model"],
        "method": attributes["method"],
        "eps": float(attributes["eps"]),
        "seed": json.loads(attributes["seeds"])["seed"],
        "outcome": attributes["outcome"],
        "message": attributes["message"],
        "prior": _law(tree, "prior"),
        "not_finite": float(tree["prior"].attrs.get("not_finite", 0.0)),
        "posterior": _law(tree, "posterior"),
        "log_volume": _log_volume(attributes),
        "log_evidence": _log_evidence(attributes),
        "gd": _descent(tree, "gd"),
        "map": _mode(tree),
        "baselines": _baselines(tree["constant_data"].to_dataset()),
        "unobserved": _unobserved(tree),
        "diagnostics": {"evaluations": int(attributes["evaluations"]), **json.loads(attributes["diagnostics"])},
        "seconds": {"total": None, "sampling": None, "gd": None, "map": None, **json.loads(attributes["seconds"])},
        "reasons": json.loads(attributes["reasons"]),
        "version": json.loads(attributes["versions"])["bayesgc"],
    }
    return {**result, "verdict": verdict(result)}


def _number(value: Any) -> float | None:
    """``value`` as a float, None when it is absent or not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def _law(tree: xr.DataTree, group: str) -> Json | None:
    """The summaries of one law, as the method made them; None when there is no such law."""
    if group not in tree.children:
        return None
    dataset = tree[group].to_dataset()
    return {name: _summary(dataset[name].attrs) if name in dataset else None for name in QUANTITIES}


def _summary(attributes: dict[Any, Any]) -> Json | None:
    if "mean" not in attributes:
        return None
    return {name: _number(attributes.get(name)) for name in STATISTICS}


def _log_volume(attributes: dict[Any, Any]) -> Json | None:
    if "log_volume_high" not in attributes and "log_volume" not in attributes:
        return None
    bounds = [_number(attributes.get("log_volume_low")), _number(attributes.get("log_volume_high"))]
    return {**_estimate(attributes, "log_volume"), "ci95": bounds}


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
    spreads = {name: _spread(dataset[name].values[converged]) if name in dataset else None for name in QUANTITIES}
    return {**spreads, "restarts": int(converged.size), "converged": int(converged.sum())}


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
        "best": {name: _number(best[name].item()) if name in best else None for name in QUANTITIES},
    }


def _spread(values: np.ndarray) -> Json | None:
    if not values.size:
        return None
    low, middle, high = np.quantile(values.astype(np.float64), [0.25, 0.5, 0.75])
    return {"median": _number(middle), "q25": _number(low), "q75": _number(high)}


def _baselines(constants: xr.Dataset) -> Json:
    """The losses of each reference point, null where a point does not exist."""
    if "reference" not in constants.coords:
        return dict.fromkeys(BASELINES)
    known = [str(name) for name in constants["reference"].values]
    return {name: _losses(constants.sel(reference=name)) if name in known else None for name in BASELINES}


def _losses(point: xr.Dataset) -> Json:
    return {loss: _number(point[f"reference_{loss}"].item()) for loss in ("gen_loss", "train_loss")}


def _unobserved(tree: xr.DataTree) -> list[Json] | None:
    """Posterior mean and quantiles (5 to 95 %: a 90 % interval) of each missing cell, in the table's own units.

    Only where the truth is unknown, the measurements are cells, and something fitted.
    """
    constants = tree["constant_data"].to_dataset()
    if "ground_truth" in tree.children or "posterior" not in tree.children or "cells" not in constants:
        return None
    matrix = tree["posterior"].to_dataset()["end_to_end"]
    shape, dims = matrix.shape[2:], matrix.dims[2:]
    draws = matrix.values.reshape(-1, math.prod(shape)).astype(np.float64)
    missing = np.setdiff1d(np.arange(draws.shape[1]), constants["cells"].values)
    labels = [matrix[dim].values.tolist() for dim in dims]
    places = np.stack(np.unravel_index(missing, shape), axis=-1)
    return [
        {str(dim): names[int(i)] for dim, names, i in zip(dims, labels, place, strict=True)} | _cell(draws[:, cell])
        for place, cell in zip(places, missing, strict=True)
    ]


def _cell(values: np.ndarray) -> Json:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    # A table may be in units whose squares are beyond the range of numbers.
    size = float(np.abs(values).max(initial=0.0)) or 1.0
    spread = values.std() if size < 1e150 else size * (values / size).std()
    moments = {"mean": values.mean(), "sd": spread, "q05": low, "q50": middle, "q95": high}
    return {name: _number(value) for name, value in moments.items()}

"""How safely the training labels are right: the smallest margin of each draw, in units of the scale of its outputs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from bayesgc.analysis.equal_fit import AT_EPS
from bayesgc.analysis.tree.groups import fitted, has, values
from bayesgc.analysis.uncertainty import mean_and_error

Json = dict[str, Any]

LAWS = ("prior", "posterior", AT_EPS, "gd")


def margins(tree: xr.DataTree) -> Json | None:
    """The smallest training margin of a draw over its scale, and the scale, by law; None where labels are no classes.

    The scale of a draw is the root mean square over training examples of the distance of its outputs from their mean,
    times √2: of two classes that of their difference, so the smallest margin over it is at most 1. Draws whose outputs
    are all equal have no scale and are left out; of descent, restarts that did not fit.
    """
    if json.loads(tree.attrs["configuration"])["task"].get("classes") is None:
        return None
    labels = values(tree, "observed_data", "y").astype(np.int64)
    return {law: _law(tree, law, labels) if has(tree, law, "train_output") else None for law in LAWS}


def normalised(
    outputs: Float[np.ndarray, "*draws example output"], labels: Int[np.ndarray, " example"]
) -> tuple[Float[np.ndarray, "*draws"], Float[np.ndarray, "*draws"]]:
    """The smallest margin of each draw over its scale, and the scale; NaN where there is none."""
    outputs = outputs.astype(np.float64)
    place = np.broadcast_to(labels[:, None], (*outputs.shape[:-1], 1))
    own = np.take_along_axis(outputs, place, -1)[..., 0]
    others = np.where(np.arange(outputs.shape[-1]) == labels[:, None], -np.inf, outputs).max(-1)
    spread = ((outputs - outputs.mean(-1, keepdims=True)) ** 2).sum(-1).mean(-1)
    scale = np.sqrt(2 * spread)
    scale = np.where((scale > 0) & np.isfinite(scale), scale, np.nan)
    return (own - others).min(-1) / scale, scale


def _law(tree: xr.DataTree, law: str, labels: Int[np.ndarray, " example"]) -> Json | None:
    outputs = values(tree, law, "train_output")
    if outputs.ndim == 3:
        outputs = outputs[fitted(tree, law)]
    smallest, scale = normalised(outputs, labels)
    if not np.isfinite(scale).any():
        return None
    return {"margin": _summary(tree, law, smallest), "scale": _summary(tree, law, scale)}


def _summary(tree: xr.DataTree, law: str, found: np.ndarray) -> Json:
    known = found[np.isfinite(found)]
    low, middle, high = (float(each) for each in np.quantile(known, [0.25, 0.5, 0.75]))
    error = (
        mean_and_error(tree, law, found.reshape(len(found), -1))[1]
        if known.size == found.size and known.size > 1
        else None
    )
    return {"mean": float(known.mean()), "mcse": error, "q25": low, "median": middle, "q75": high}

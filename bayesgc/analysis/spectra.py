"""Singular values under each law, and how fast long products collapse to rank one (Theorem 2's mechanism)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesgc.analysis.equal_fit import group_of
from bayesgc.analysis.measures import measures_in
from bayesgc.analysis.theory import (
    expected_log_determinant,
    hidden_widths,
    layer_scales,
    linear_gaussian,
    lyapunov_exponents,
)
from bayesgc.analysis.tree.groups import fitted, has, values
from bayesgc.analysis.uncertainty import mean_and_error

Json = dict[str, Any]

LAWS = ("prior", "posterior", "gd", "map", "truth")


def spectrum(tree: xr.DataTree) -> Json:
    """Mean singular values and the ratio σ₂/σ₁ under each law, and the exact limits of a linear Gaussian model."""
    found: Json = {name: _law(tree, name) for name in LAWS}
    configuration = json.loads(tree.attrs["configuration"])
    model, shape = configuration["model"], configuration["task"]["shape"]
    exact = not measures_in(tree).labelled and linear_gaussian(model) and len(shape) == 2 and int(model["depth"]) > 1
    return found | {
        "lyapunov": _exponents(model, shape) if exact else None,
        "log_determinant": _log_determinant(tree, model, shape) if exact and not model["normalize"] else None,
    }


def singular_values(tree: xr.DataTree, law: str) -> Float[np.ndarray, "draw component"] | None:
    """Those of every draw of a law, of the restarts that fitted, or of the truth; None where there are none.

    Gradient descent's are those at equal fit.
    """
    if law == "truth":
        matrix = values(tree, "ground_truth", "end_to_end") if "ground_truth" in tree.children else None
        return None if matrix is None or matrix.ndim != 2 else np.linalg.svd(matrix, compute_uv=False)[None]
    group = group_of(tree, law)
    if not has(tree, group, "singular_value"):
        return None
    found = values(tree, group, "singular_value").astype(np.float64)
    if law in ("gd", "map"):
        found = found[fitted(tree, group)]
    flat = found.reshape(-1, found.shape[-1])
    return flat if len(flat) else None


def _law(tree: xr.DataTree, law: str) -> Json | None:
    found = singular_values(tree, law)
    if found is None or found.shape[1] < 2:
        return None
    low, middle, high = np.quantile(_ratio(found), [0.25, 0.5, 0.75])
    sampled = law in ("prior", "posterior")
    return {
        "singular_value": found.mean(0).tolist(),
        "ratio": {"median": float(middle), "q25": float(low), "q75": float(high)},
        "gap_per_layer": _gap(tree, law) if sampled else None,
    }


def _ratio(singular: Float[np.ndarray, "draw component"]) -> Float[np.ndarray, " draw"]:
    return np.divide(singular[:, 1], singular[:, 0], out=np.zeros(len(singular)), where=singular[:, 0] > 0)


def _gap(tree: xr.DataTree, law: str) -> Json | None:
    """Mean of log(σ₁/σ₂)/d with its standard error; None where a second singular value is zero."""
    depth = json.loads(tree.attrs["configuration"])["model"].get("depth")
    found = values(tree, law, "singular_value").astype(np.float64)
    if not depth or (found[..., 1] <= 0).any():
        return None
    mean, error = mean_and_error(tree, law, np.log(found[..., 0] / found[..., 1]) / depth)
    return {"mean": mean, "mcse": error}


def _exponents(model: Json, shape: list[int]) -> Json | None:
    """Newman's exponents, where all hidden widths are the same; the gap is what log(σ₁/σ₂)/d tends to."""
    widths = set(hidden_widths(model))
    if len(widths) != 1 or min(*shape, *widths) < 2:
        return None
    exponents = lyapunov_exponents(widths.pop(), min(shape))
    return {"exponents": exponents.tolist(), "gap": float(exponents[0] - exponents[1])}


def _log_determinant(tree: xr.DataTree, model: Json, shape: list[int]) -> Json | None:
    """The mean of Σ log σ_i² under the prior beside its exact value."""
    exact = expected_log_determinant(shape[0], shape[1], hidden_widths(model), layer_scales(model, shape))
    found = values(tree, "prior", "singular_value").astype(np.float64)
    if exact is None or (found <= 0).any():
        return None
    mean, error = mean_and_error(tree, "prior", 2 * np.log(found).sum(-1))
    return {"prior": {"mean": mean, "mcse": error}, "exact": exact}

"""Gradient descent where it is compared with the posterior: at equal fit, which is where it first passed ε.

Its end fits better by orders of magnitude, and a tighter fit alone would make it generalise better. Where a fit is
exact there is no threshold to pass, and its end is what comes nearest to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from bayesgc.analysis.measures import exact, measures_in, measures_over

Json = dict[str, Any]

AT_EPS = "gd_at_eps"


def compared(result: Json) -> Json | None:
    """The part of ``gd`` to compare in a result object; None where no restart fitted, or it was not recorded."""
    gd: Json | None = result["gd"]
    if gd is None:
        return None
    found: Json | None = gd if exact(result) else gd["at_eps"]
    return found if found is not None and found["converged"] else None


def compared_group(tree: xr.DataTree) -> str:
    """The group of the same restarts in a tree, whether it is there or not."""
    return "gd" if measures_in(tree).exact(float(tree.attrs["eps"])) else AT_EPS


def group_of(tree: xr.DataTree, law: str) -> str:
    """The group whose spectrum is shown for a law."""
    return compared_group(tree) if law == "gd" else law


def descent_variable(cells: xr.Dataset) -> str:
    """The loss of gradient descent to compare in a sweep: at ε, or at its end where ε is 0 or none was recorded."""
    name = measures_over(cells).generalisation.name
    variable = f"{AT_EPS}_{name}"
    return variable if variable in cells and bool(np.isfinite(cells[variable].values).any()) else f"gd_{name}"


def descent_curve(tree: xr.DataTree, low: float, high: float) -> Float[np.ndarray, "4 level"] | None:
    """Threshold, lower quartile, median and upper quartile of generalisation where restarts first were at or below it.

    At thresholds from ``low`` to ``high`` that half of the restarts passed; None where nothing is known there.
    """
    gd = tree["gd"].to_dataset() if "gd" in tree.children else xr.Dataset()
    name = f"curve_{measures_in(tree).generalisation.name}"
    if name not in gd:
        return None
    losses, threshold = gd[name].transpose("restart", "threshold").values, gd["threshold"].values
    chosen = (low <= threshold) & (threshold <= high) & (np.isfinite(losses).mean(0) >= _HALF)
    if not chosen.any():
        return None
    quartiles = np.nanquantile(losses[:, chosen].astype(np.float64), [0.25, 0.5, 0.75], axis=0)
    return np.stack([threshold[chosen], *quartiles])


_HALF = 0.5

"""The standard error of any average over saved draws, by the rule that its method has left with them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Shaped

from bayesgc.correlated import FEWEST_ISLANDS, ErrorRule, mean_error, resampled_size


def mean_and_error(
    tree: xr.DataTree, group: str, values: Shaped[np.ndarray, "chain draw"]
) -> tuple[float, float | None]:
    """The mean of ``values`` over the draws of ``group`` and its standard error, None where that is not known.

    Where all draws say the same, as of an event that none or all of them saw, their spread is no measure of the error.
    """
    numbers = values.astype(np.float64)
    if np.ptp(numbers) == 0:
        return float(numbers.flat[0]), None
    error = _error(tree, group, numbers)
    return float(numbers.mean()), error if math.isfinite(error) else None


def diagnostics(tree: xr.DataTree) -> dict[str, Any]:
    """What the method found out about itself."""
    found: dict[str, Any] = json.loads(tree.attrs["diagnostics"])
    return found


def error_rule(tree: xr.DataTree) -> ErrorRule:
    """The rule for the posterior; of results of before it was recorded, what their facts show."""
    if "errors" in tree.attrs:
        return ErrorRule(tree.attrs["errors"])
    found = diagnostics(tree)
    if "sample_stats" in tree.children and "island" in tree["sample_stats"].data_vars:
        return ErrorRule.ISLANDS
    if "effective_sample_size" in found or "importance" in tree.children:
        return ErrorRule.WEIGHTS
    return ErrorRule.CHAINS if "r_hat" in found else ErrorRule.INDEPENDENT


def from_islands(tree: xr.DataTree) -> bool:
    """Whether the posterior is made of particles on islands, of which no chain diagnostic may be taken."""
    return error_rule(tree) is ErrorRule.ISLANDS


def _error(tree: xr.DataTree, group: str, values: Float[np.ndarray, "chain draw"]) -> float:
    if group != "posterior":
        return _independent(values, values.size)
    return _RULES[error_rule(tree)](tree, values)


def _weighted(tree: xr.DataTree, values: Float[np.ndarray, "chain draw"]) -> float:
    effective = diagnostics(tree).get("effective_sample_size", math.inf)
    return _independent(values, resampled_size(values.size, effective))


def _over_chains(tree: xr.DataTree, values: Float[np.ndarray, "chain draw"]) -> float:
    """Chains are replicates: their own draws may depend on each other in any way."""
    means = values.mean(axis=1)
    return float(means.std(ddof=1) / math.sqrt(means.size)) if means.size >= FEWEST_ISLANDS else math.inf


def _independent(values: Float[np.ndarray, "chain draw"], size: float) -> float:
    return float(values.std() / math.sqrt(size - 1)) if size > 1 else math.inf


def _over_islands(tree: xr.DataTree, values: Float[np.ndarray, "chain draw"]) -> float:
    """A ratio of two means over islands, linearised: an island counts by its volume, a lost one as zero."""
    stats = tree["sample_stats"].to_dataset()
    island = stats["island"].values.ravel().astype(np.int64)
    counts = np.bincount(island)
    alive = counts > 0
    means = np.bincount(island, weights=values.ravel())[alive] / counts[alive]
    share = island_shares(tree)
    if 1 / np.sum(share**2) < FEWEST_ISLANDS:
        return math.inf
    number = int(diagnostics(tree).get("islands", len(share)))
    return float(np.sqrt(np.sum((share * (means - np.sum(share * means))) ** 2) * number / (number - 1)))


def island_shares(tree: xr.DataTree) -> Float[np.ndarray, " island"]:
    """The share that each island which has draws holds of the whole volume."""
    stats = tree["sample_stats"].to_dataset()
    _, first = np.unique(stats["island"].values.ravel(), return_index=True)
    logs = stats["island_log_volume"].values.ravel()[first].astype(np.float64)
    volumes = np.exp(logs - logs.max())
    return volumes / volumes.sum()


_RULES: dict[ErrorRule, Callable[[xr.DataTree, Float[np.ndarray, "chain draw"]], float]] = {
    ErrorRule.INDEPENDENT: lambda tree, values: _independent(values, values.size),
    ErrorRule.WEIGHTS: _weighted,
    ErrorRule.ISLANDS: _over_islands,
    ErrorRule.CHAINS: lambda tree, values: mean_error(values),
    ErrorRule.REPLICATES: _over_chains,
}

"""How far apart two laws are on functions of the end-to-end matrix: Wasserstein and Kullback-Leibler distances."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.measures import measures_in
from bayesgc.analysis.standing import quantities

Json = dict[str, Any]

_SEED = 212480
_FEWEST = 10
"""Distinct draws without which a nearest neighbour says nothing."""


def distances(first: xr.DataTree, first_group: str, second: xr.DataTree, second_group: str) -> Json | None:
    """Wasserstein-1 and KL(first ‖ second) of each quantity both laws have, in its own units and in nats.

    The KL is a nearest-neighbour estimate (Perez-Cruz 2008) and needs distinct draws, so copies that resampling made
    are dropped; with few draws it is rough. It is not an error estimate: compare distances with one another.
    """
    if first_group not in first.children or second_group not in second.children:
        return None
    ours, theirs = first[first_group].to_dataset(), second[second_group].to_dataset()
    shared = [name for name in quantities(first) if name in quantities(second)]
    whole = measures_in(first).classes
    known = [name for name in shared if name in ours and name in theirs]
    found = {name: _distance(ours[name].values, theirs[name].values, whole=whole) for name in known}
    return {name: found.get(name) for name in shared}


def _distance(first: np.ndarray, second: np.ndarray, *, whole: bool = False) -> Json | None:
    """Both distances; of shares of a test set, which are ``whole`` numbers of errors, Wasserstein's alone."""
    from scipy.stats import wasserstein_distance

    draws = [values[np.isfinite(values)].astype(np.float64) for values in (first, second)]
    distinct = [np.unique(values) for values in draws]
    if not whole and min(map(len, distinct)) < _FEWEST:
        return None
    return {
        "wasserstein": float(wasserstein_distance(*_as_many(draws))),
        "kl": None if whole else _divergence(*_as_many(distinct)),
    }


def _as_many(draws: list[np.ndarray]) -> list[np.ndarray]:
    """As many draws of both, without replacement: those that ArviZ takes."""
    size = min(map(len, draws))
    return [each[np.random.default_rng(_SEED).choice(np.arange(len(each)), size=size, replace=False)] for each in draws]


def _divergence(first: np.ndarray, second: np.ndarray) -> float:
    """KL(first ‖ second) of as many draws, by the distances to the nearest one of each law (Perez-Cruz 2008, eq. 14).

    To the last bit what ArviZ finds, which turns both into labelled trees first.
    """
    from scipy.spatial import cKDTree

    source = np.random.default_rng(0)
    # Draws on a grid would have neighbours at no distance.
    ours, theirs = (
        values[:, None] + source.normal(0, values.std() / 1e6, size=(len(values), 1)) for values in (first, second)
    )
    across, _ = cKDTree(theirs).query(ours)
    within = cKDTree(ours).query(ours, k=2)[0][:, 1]
    size = len(ours)
    return max(0.0, float(1 / size * np.sum(np.log(across / within)) + np.log(size / (size - 1))))

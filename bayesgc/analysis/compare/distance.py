"""How far apart two laws are on functions of the end-to-end matrix: Wasserstein and Kullback-Leibler distances."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.measures import measures_in
from bayesgc.analysis.standing import quantities

Json = dict[str, Any]

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
    from arviz_stats.metrics import kl_divergence, wasserstein

    draws = [values[np.isfinite(values)].astype(np.float64) for values in (first, second)]
    distinct = [np.unique(values) for values in draws]
    if not whole and min(map(len, distinct)) < _FEWEST:
        return None
    return {
        "wasserstein": float(wasserstein(*_pair(draws), joint=False, **_all_draws(draws))),
        "kl": None if whole else float(kl_divergence(*_pair(distinct), **_all_draws(distinct))),
    }


def _all_draws(draws: list[np.ndarray]) -> Json:
    """arviz-stats takes as many draws of both, without replacement."""
    return {"num_samples": min(map(len, draws)), "round_to": "none"}


def _pair(draws: list[np.ndarray]) -> tuple[xr.DataTree, xr.DataTree]:
    """Both as arviz-stats takes them."""
    datasets = [xr.Dataset({"value": (("chain", "draw"), values[None])}) for values in draws]
    first, second = (xr.DataTree.from_dict({"posterior": dataset}) for dataset in datasets)
    return first, second

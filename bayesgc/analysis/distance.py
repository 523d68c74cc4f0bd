"""How far apart two laws are on functions of the end-to-end matrix: Wasserstein and Kullback-Leibler distances."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.standing import QUANTITIES

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
    return {
        name: _distance(ours[name].values, theirs[name].values) if name in ours and name in theirs else None
        for name in QUANTITIES
    }


def _distance(first: np.ndarray, second: np.ndarray) -> Json | None:
    from arviz_stats.metrics import kl_divergence, wasserstein

    draws = [values[np.isfinite(values)].astype(np.float64) for values in (first, second)]
    distinct = [np.unique(values) for values in draws]
    if min(map(len, distinct)) < _FEWEST:
        return None
    return {
        "wasserstein": float(wasserstein(*_pair(draws), joint=False, **_all_draws(draws))),
        "kl": float(kl_divergence(*_pair(distinct), **_all_draws(distinct))),
    }


def _all_draws(draws: list[np.ndarray]) -> Json:
    """arviz-stats takes as many draws of both, without replacement."""
    return {"num_samples": min(map(len, draws)), "round_to": "none"}


def _pair(draws: list[np.ndarray]) -> tuple[xr.DataTree, xr.DataTree]:
    """Both as arviz-stats takes them."""
    datasets = [xr.Dataset({"value": (("chain", "draw"), values[None])}) for values in draws]
    first, second = (xr.DataTree.from_dict({"posterior": dataset}) for dataset in datasets)
    return first, second

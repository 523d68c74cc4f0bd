"""Distances between laws, beside those of ArviZ on the same draws: to the last bit, as they stand in saved tables."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from arviz_stats.metrics import kl_divergence, wasserstein

from bayesgc.analysis.distance import _distance


def by_arviz(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    def pair(draws):
        return [xr.DataTree.from_dict({"posterior": xr.Dataset({"x": (("chain", "draw"), v[None])})}) for v in draws]

    draws, options = [first, second], {"round_to": "none"}
    distinct = [np.unique(each) for each in draws]
    return {
        "wasserstein": float(wasserstein(*pair(draws), joint=False, num_samples=min(map(len, draws)), **options)),
        "kl": float(kl_divergence(*pair(distinct), num_samples=min(map(len, distinct)), **options)),
    }


@pytest.mark.parametrize("sizes", [(50, 50), (400, 90), (11, 300)])
@pytest.mark.parametrize("digits", [None, 2])
def test_they_are_those_of_arviz(sizes, digits):
    rng = np.random.default_rng(sizes)
    first, second = rng.lognormal(size=sizes[0]), rng.lognormal(0.5, 1.5, size=sizes[1])
    if digits is not None:  # some draws are copies
        first, second = np.round(first, digits), np.round(second, digits)
    assert _distance(first, second) == by_arviz(first, second)
    assert _distance(first, second + 0.5) != by_arviz(first, second)


def test_too_few_distinct_draws_have_none():
    rng = np.random.default_rng(0)
    assert _distance(np.repeat(rng.normal(size=9), 20), rng.normal(size=50)) is None
    assert _distance(np.repeat([0.1, 0.2], 20), np.repeat([0.2, 0.3], 20), whole=True)["kl"] is None

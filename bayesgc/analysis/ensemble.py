"""The Bayes ensemble: the vote of the weights that fit, which generalises better than most of them do alone.

Every draw of the posterior votes for one class of each test example. The error of the vote's test error is that of a
bootstrap over what is independent: islands, whose particles share ancestors, or independent draws in blocks. A vote is
no mean, so no formula for means gives its error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from bayesgc.analysis.groups import has, values
from bayesgc.analysis.uncertainty import FEWEST_ISLANDS, error_rule, island_shares
from bayesgc.correlated import ErrorRule

Json = dict[str, Any]

_BLOCKS = 40
"""Into so many blocks independent draws are cut."""
_REPLICATES = 400


def ensemble(tree: xr.DataTree) -> Json | None:
    """The test error of the vote, and its standard error, None where that is not known.

    None where nothing fitted, there is no test set, or the labels are no classes.
    """
    if not has(tree, "posterior", "prediction") or not has(tree, "constant_data", "y_test"):
        return None
    prediction = values(tree, "posterior", "prediction")
    unit = _units(tree, prediction.shape[:2])
    labels = values(tree, "constant_data", "y_test").astype(np.int64)
    draws = prediction.reshape(-1, prediction.shape[-1])
    votes = _votes(draws, np.zeros(len(draws), int) if unit is None else unit)
    return {"test_error": float(_errors(votes.sum(0), labels)), "mcse": None if unit is None else _error(votes, labels)}


def _units(tree: xr.DataTree, shape: tuple[int, ...]) -> Int[np.ndarray, " draw"] | None:
    """Of which independent unit each draw is a part; None where draws depend on one another in another way."""
    size = math.prod(shape)
    rule = error_rule(tree)
    if rule is ErrorRule.ISLANDS:
        few = 1 / np.sum(island_shares(tree) ** 2) < FEWEST_ISLANDS
        return None if few else values(tree, "sample_stats", "island").ravel().astype(np.int64)
    if rule is ErrorRule.REPLICATES:
        return np.repeat(np.arange(shape[0]), size // shape[0]) if shape[0] >= FEWEST_ISLANDS else None
    if rule is not ErrorRule.INDEPENDENT or size < 2 * _BLOCKS:
        return None
    return np.arange(size) * _BLOCKS // size


def _votes(
    prediction: Float[np.ndarray, "draw test"], unit: Int[np.ndarray, " draw"]
) -> Float[np.ndarray, "unit test output"]:
    """How many draws of each unit say each class."""
    outputs, own = range(int(prediction.max()) + 1), [prediction[unit == which] for which in range(unit.max() + 1)]
    return np.stack([np.stack([(each == output).sum(0) for output in outputs], axis=-1) for each in own]).astype(float)


def _errors(votes: Float[np.ndarray, "*more test output"], labels: Int[np.ndarray, " test"]) -> Any:
    """The share of test examples whose label does not win the vote."""
    return (votes.argmax(-1) != labels).mean(-1)


def _error(votes: Float[np.ndarray, "unit test output"], labels: Int[np.ndarray, " test"]) -> float:
    """The spread of the vote over resampled units; the random numbers are always the same."""
    units = len(votes)
    counts = np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), size=_REPLICATES)
    found = [_errors(np.tensordot(count, votes, 1), labels) for count in counts]
    return float(np.std(found, ddof=1) * math.sqrt(units / (units - 1)))

"""The Bayes ensemble: the vote of the weights that fit, which generalises better than most of them do alone.

Every draw of a law votes for one class of each test example. The error of what is made of the votes is that of a
bootstrap over what is independent: islands, whose particles share ancestors, restarts, or independent draws in blocks.
A vote is no mean, so no formula for means gives its error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from bayesgc.analysis.tree.groups import fitted, has, values
from bayesgc.analysis.uncertainty import error_rule, island_shares
from bayesgc.correlated import FEWEST_ISLANDS, ErrorRule

Json = dict[str, Any]

_BLOCKS = 40
"""Into so many blocks independent draws are cut."""
_REPLICATES = 400


@dataclass(frozen=True)
class Votes:
    """How many draws of each independent unit say what of each place, and whether the units are known."""

    counts: Float[np.ndarray, "unit *place output"]
    independent: bool

    @property
    def total(self) -> Float[np.ndarray, "*place output"]:
        """The votes of all draws."""
        return np.asarray(self.counts.sum(0))

    def error(self, of: Callable[[np.ndarray], Any]) -> Any:
        """The standard error of what is made of the total votes; None where it is not known.

        It is the spread over resampled units; the random numbers are always the same.
        """
        units = len(self.counts)
        if not self.independent or units < 2:
            return None
        chosen = np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), size=_REPLICATES)
        found = np.stack([of(np.tensordot(count, self.counts, 1)) for count in chosen])
        return np.std(found, axis=0, ddof=1) * math.sqrt(units / (units - 1))


def votes_of(tree: xr.DataTree, group: str) -> Votes | None:
    """The votes of a law on the test examples, (unit, test, class); None where it says nothing of classes there."""
    if not has(tree, group, "prediction") or not has(tree, "constant_data", "y_test"):
        return None
    said, unit = predictions(tree, group)
    if not len(said):
        return None
    classes = 1 + int(max(said.max(), values(tree, "constant_data", "y_test").max()))
    return Votes(_counted(said, np.zeros(len(said), int) if unit is None else unit, classes), unit is not None)


def predictions(tree: xr.DataTree, group: str) -> tuple[Int[np.ndarray, "draw test"], Int[np.ndarray, " draw"] | None]:
    """What each draw of a law says, or each restart that fitted, and of which independent unit it is a part."""
    found = values(tree, group, "prediction")
    if found.ndim == 2:
        found = found[fitted(tree, group)]
        return found.astype(np.int64), np.arange(len(found))
    unit = _units(tree, group, found.shape[:2])
    return found.reshape(-1, found.shape[-1]).astype(np.int64), unit


def ensemble(tree: xr.DataTree) -> Json | None:
    """The test error of the posterior's vote, and its standard error, None where that is not known.

    None where nothing fitted, there is no test set, or the labels are no classes.
    """
    votes = votes_of(tree, "posterior")
    if votes is None:
        return None
    labels = values(tree, "constant_data", "y_test").astype(np.int64)
    error = votes.error(lambda total: _errors(total, labels))
    return {"test_error": float(_errors(votes.total, labels)), "mcse": None if error is None else float(error)}


def _units(tree: xr.DataTree, group: str, shape: tuple[int, ...]) -> Int[np.ndarray, " draw"] | None:
    """Of which independent unit each draw is a part; None where draws depend on one another in another way."""
    size = math.prod(shape)
    if group == "posterior":
        rule = error_rule(tree)
        if rule is ErrorRule.ISLANDS:
            few = 1 / np.sum(island_shares(tree) ** 2) < FEWEST_ISLANDS
            return None if few else values(tree, "sample_stats", "island").ravel().astype(np.int64)
        if rule is ErrorRule.REPLICATES:
            return np.repeat(np.arange(shape[0]), size // shape[0]) if shape[0] >= FEWEST_ISLANDS else None
        if rule is not ErrorRule.INDEPENDENT:
            return None
    return None if size < 2 * _BLOCKS else np.arange(size) * _BLOCKS // size


def _counted(
    said: Int[np.ndarray, "draw place"], unit: Int[np.ndarray, " draw"], outputs: int
) -> Float[np.ndarray, "unit place output"]:
    """How many draws of each unit say each output; units without draws, as islands that were lost, have no vote."""
    own = [said[unit == which] for which in np.unique(unit)]
    return np.stack([np.stack([(each == k).sum(0) for k in range(outputs)], axis=-1) for each in own]).astype(float)


def _errors(votes: Float[np.ndarray, "test output"], labels: Int[np.ndarray, " test"]) -> Any:
    """The share of test examples whose label does not win the vote."""
    return (votes.argmax(-1) != labels).mean(-1)

"""Whether an ensemble knows what it does not know: the shares of its votes against the test labels.

The share of the draws of a law that give a test example a class is the law's probability of that class. It is
calibrated where, of all examples and classes with a share near p, a share p is right. That is a statement about an
average over tasks: a Bayesian whose prior is right is calibrated over tasks from that prior, not on each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from bayesgc.analysis.ensemble import Votes, votes_of
from bayesgc.analysis.equal_fit import AT_EPS
from bayesgc.analysis.tree.groups import values

Json = dict[str, Any]

BINS = 10
"""Of equal width, from shares of 0 to 1."""
LAWS = {"prior": "prior", "posterior": "posterior", "gd": AT_EPS}
"""The ensembles by their names: gradient descent's is that of the restarts at equal fit."""
_FEWEST = 8
"""Members below which shares are too coarse to say anything."""
_REPLICATES = 200


def calibration(tree: xr.DataTree) -> Json | None:
    """How well the shares of each ensemble in `LAWS` are calibrated; None where no classes are tested on."""
    votes = {name: votes_of(tree, group) for name, group in LAWS.items()}
    if all(each is None for each in votes.values()):
        return None
    labels = values(tree, "constant_data", "y_test").astype(np.int64)
    return {name: None if each is None else _calibration(each, labels) for name, each in votes.items()}


def _calibration(votes: Votes, labels: Int[np.ndarray, " test"]) -> Json | None:
    """The curve, the expected calibration error beside what it would be by chance, and the log score in nats."""
    total = votes.total
    if total[0].sum() < _FEWEST:
        return None
    right, shares = np.eye(total.shape[1], dtype=bool)[labels], _share(total)
    place, chance = _places(shares), _by_chance(shares)
    counts = np.bincount(place.ravel(), minlength=BINS)
    kept = np.flatnonzero(counts)

    def told(each: np.ndarray) -> np.ndarray:
        own = _share(each)
        means = np.bincount(place.ravel(), own.ravel(), minlength=BINS)[kept] / counts[kept]
        return np.array([_gap(own, right), _log(each, labels), *means])

    (gap, log, *_), errors = told(total), votes.error(told)
    known = [None] * (2 + len(kept)) if errors is None else [float(each) for each in errors]
    return {
        "ece": float(gap),
        "ece_mcse": known[0],
        "ece_by_chance": float(chance.mean()),
        "ece_by_chance_q95": float(np.quantile(chance, 0.95)),
        "log_score": float(log),
        "log_score_mcse": known[1],
        "confidence": float(shares.max(-1).mean()),
        "accuracy": float((total.argmax(-1) == labels).mean()),
        "bins": [
            _bin(shares[place == which], right[place == which], error)
            for which, error in zip(kept, known[2:], strict=True)
        ],
    }


def _places(shares: Float[np.ndarray, "test output"]) -> Int[np.ndarray, "test output"]:
    """The bin of each share."""
    return np.minimum((BINS * shares + 1e-9).astype(np.int64), BINS - 1)


def _bin(shares: Float[np.ndarray, " pair"], right: np.ndarray, error: float | None) -> Json:
    """How many examples and classes have such a share, their mean share, and how many of them are right.

    The error of the share is that of the draws; that of the frequency is binomial, over test examples, with four more
    of which two are right, so that all or none of a few are not taken for certain (Agresti and Coull 1998).
    """
    count, hits = int(shares.size), int(right.sum())
    likely = (hits + 2) / (count + 4)
    return {
        "share": float(shares.mean()),
        "share_mcse": error,
        "frequency": hits / count,
        "frequency_se": float(np.sqrt(likely * (1 - likely) / (count + 4))),
        "count": count,
    }


def _share(votes: Float[np.ndarray, "test output"]) -> Float[np.ndarray, "test output"]:
    return np.asarray(votes / votes.sum(-1, keepdims=True))


def _gap(shares: Float[np.ndarray, "test output"], right: np.ndarray) -> Any:
    """The expected calibration error: the mean over bins, by their counts, of how far share and frequency are apart."""
    gaps = np.bincount(_places(shares).ravel(), (shares - right).ravel(), minlength=BINS)
    return np.abs(gaps).sum() / right.size


def _by_chance(shares: Float[np.ndarray, "test output"]) -> Float[np.ndarray, " replicate"]:
    """The expected calibration error that shares have which are right, for labels drawn from them independently."""
    source, edges = np.random.default_rng(0), shares.cumsum(-1)
    found = []
    for _ in range(_REPLICATES):
        drawn = (source.uniform(size=(len(shares), 1)) > edges[:, :-1]).sum(-1)
        found.append(_gap(shares, np.eye(shares.shape[1], dtype=bool)[drawn]))
    return np.array(found)


def _log(votes: Float[np.ndarray, "test output"], labels: Int[np.ndarray, " test"]) -> Any:
    """Mean −log share of the label, with a vote more for each class so that none is impossible (Laplace)."""
    own = votes[np.arange(len(labels)), labels] + 1
    return np.log((votes.sum(-1) + votes.shape[-1]) / own).mean()

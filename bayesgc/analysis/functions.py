"""Which functions gradient descent finds, against how probable they are given the fit: P_SGD(f) and P_G&C(f).

A function is what a network says of a few test examples. Mingard et al. 2021 compare how often descent ends in each
with its probability under the prior given the fit, which they take from a Gaussian process; here it is counted.
Functions on many examples hardly ever repeat, so the examples are few.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from bayesgc.analysis.ensemble import Votes, predictions
from bayesgc.analysis.equal_fit import AT_EPS
from bayesgc.analysis.tree.groups import has
from bayesgc.validate import InputError, integer_in

FUNCTION_POINTS = 8
"""Test examples on which functions are told apart unless more or fewer are asked for."""
_REPLICATES = 200


def functions(result: xr.DataTree, points: int = FUNCTION_POINTS) -> xr.Dataset:
    """The functions that draws of the posterior and restarts at equal fit are on the first ``points`` test examples.

    Returns:
        A dataset along ``function``, the most probable first: what it says of each ``point`` (``label``), its share of
        the posterior and of the restarts, ``posterior`` and ``gd``, with standard errors where these are known. Its
        attributes are the ``correlation`` of the two shares over the functions that either has seen, with its error;
        their ``overlap``, which is the sum of the smaller ones, 1 for equal laws; and ``overlap_by_chance``, what it
        would be on average were the restarts draws of the posterior: so few of them never have its very shares.

    Raises:
        InputError: without a posterior, restarts that fitted or a test set of classes, or for more points than it has.
    """
    for group in ("posterior", AT_EPS):
        if not has(result, group, "prediction"):
            raise InputError(
                f"the result has no predictions of classes by {_NAMES[group]}, so no functions to compare."
            )
    ours, unit = predictions(result, "posterior")
    theirs, _ = predictions(result, AT_EPS)
    if not len(theirs):
        raise InputError("no restart of gradient descent fitted, so it found no function.")
    count = integer_in("points", points, 1, ours.shape[1])
    labels, place = np.unique(np.concatenate([ours, theirs])[:, :count], axis=0, return_inverse=True)
    place = place.ravel()
    split, alone = len(ours), np.zeros(len(ours), dtype=np.int64)
    votes = Votes(_counted(place[:split], alone if unit is None else unit, len(labels)), unit is not None)
    starts = Votes(_counted(place[split:], np.arange(len(theirs)), len(labels)), independent=True)
    order = np.argsort(-votes.total, kind="stable")
    shares, own = _share(votes.total), _share(starts.total)
    spread = votes.error(_share)
    variables = {
        "label": (("function", "point"), labels[order]),
        "posterior": ("function", shares[order]),
        "posterior_mcse": ("function", np.full(len(labels), np.nan) if spread is None else spread[order]),
        "gd": ("function", own[order]),
        "gd_mcse": ("function", np.sqrt(own * (1 - own) / len(theirs))[order]),
    }
    attributes = {
        "points": count,
        "draws": len(ours),
        "restarts": len(theirs),
        "correlation": _correlation(shares, own),
        "correlation_mcse": _correlation_error(votes, starts),
        "overlap": float(np.minimum(shares, own).sum()),
        "overlap_by_chance": _overlap_by_chance(shares, len(theirs)),
    }
    return xr.Dataset(variables, attrs=attributes)


_NAMES = {"posterior": "draws that fit", AT_EPS: "gradient descent at equal fit"}


def _counted(
    place: Int[np.ndarray, " draw"], unit: Int[np.ndarray, " draw"], functions: int
) -> Float[np.ndarray, "unit function"]:
    """How many draws of each unit are each function."""
    flat = np.bincount(unit * functions + place, minlength=(int(unit.max()) + 1) * functions)
    return flat.reshape(-1, functions).astype(float)


def _share(counts: Float[np.ndarray, " function"]) -> Float[np.ndarray, " function"]:
    return np.asarray(counts / counts.sum())


def _correlation(shares: Float[np.ndarray, " function"], own: Float[np.ndarray, " function"]) -> float:
    """Pearson's, NaN where one of them does not vary."""
    if len(shares) < 2 or not np.ptp(shares) or not np.ptp(own):
        return float("nan")
    return float(np.corrcoef(shares, own)[0, 1])


def _correlation_error(votes: Votes, starts: Votes) -> float:
    """By the spread over resampled units of the one and restarts of the other, as squares that add."""
    shares, own = _share(votes.total), _share(starts.total)
    first = votes.error(lambda each: _correlation(_share(each), own))
    second = starts.error(lambda each: _correlation(shares, _share(each)))
    return float("nan") if first is None or second is None else float(np.hypot(first, second))


def _overlap_by_chance(shares: Float[np.ndarray, " function"], restarts: int) -> float:
    """The mean overlap of the shares with those of so many independent draws from them."""
    drawn = np.random.default_rng(0).multinomial(restarts, shares / shares.sum(), size=_REPLICATES)
    return float(np.minimum(shares, drawn / restarts).sum(1).mean())

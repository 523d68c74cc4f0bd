"""Where gradient descent stands among the draws that fit, at equal fit: are its states typical of the posterior?"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesgc.analysis.measures import measures_in
from bayesgc.analysis.uncertainty import mean_and_error
from bayesgc.analysis.words.numerals import rounded

Json = dict[str, Any]

_OF_MATRICES = ("effective_rank", "nuclear_norm")


def quantities(tree: xr.DataTree) -> tuple[str, ...]:
    """By which laws are compared: generalisation, and functions of the end-to-end matrix where there is one."""
    measures = measures_in(tree)
    return (measures.generalisation.name, *(() if measures.labelled else _OF_MATRICES))


def standing(tree: xr.DataTree, group: str) -> Json | None:
    """For each quantity, the posterior's distribution function at the states of ``gd_at_eps``, ``gd`` or ``map``.

    ``quantile`` is that of the median over the restarts that fitted, with its standard error; ``q25`` and ``q75`` are
    the quartiles over restarts of their own quantiles. Ties count half. None where there is nothing to compare.
    """
    if group not in tree.children or "posterior" not in tree.children:
        return None
    found, posterior = tree[group].to_dataset(), tree["posterior"].to_dataset()
    fitted = found["converged"].values.astype(bool)
    if not fitted.any():
        return None
    return {
        name: _place(tree, posterior[name].values, found[name].values[fitted])
        if name in found and name in posterior
        else None
        for name in quantities(tree)
    }


def unexplained(result: Json, restarts: Json) -> str:
    """By which functions of the matrix ``restarts`` are unlike the draws of a result object, in words; else nothing.

    That is where their median is outside the posterior's central 90 %: what fits does not account for. Norms tell
    nothing where draws are normalised, which no descent is.
    """
    found = {"lower": list[str](), "higher": list[str]()}
    for name in _OF_MATRICES[:1] if result["model"].get("normalize") else _OF_MATRICES:
        law, spread = result["posterior"].get(name), restarts.get(name)
        if law is None or spread is None:
            continue
        value = f"{_ARTICLES[name]} {name.replace('_', ' ')} of {rounded(spread['median'])}"
        found["lower"] += [value] if spread["median"] < law["q05"] else []
        found["higher"] += [value] if spread["median"] > law["q95"] else []
    parts = [f"{' and '.join(values)}, {side} than in 95 % of the draws" for side, values in found.items() if values]
    return " and ".join(parts)


_ARTICLES = {"effective_rank": "an", "nuclear_norm": "a"}


def _place(tree: xr.DataTree, draws: np.ndarray, solutions: np.ndarray) -> Json:
    below = _mid_distribution(draws, float(np.median(solutions)))
    quantile, error = mean_and_error(tree, "posterior", below)
    each = [float(_mid_distribution(draws, float(value)).mean()) for value in solutions]
    low, high = np.quantile(each, [0.25, 0.75])
    return {"quantile": quantile, "mcse": error, "q25": float(low), "q75": float(high)}


def _mid_distribution(draws: np.ndarray, value: float) -> np.ndarray:
    """1 for each draw below the value, ½ for each at it."""
    return (draws < value) + 0.5 * (draws == value)

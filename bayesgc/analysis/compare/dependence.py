"""Whether fitting says anything about what is held out: fit and generalisation under the prior.

At infinite width they are independent, which is the mechanism of Theorem 1 of Alexander et al. (2025): then the
posterior of the held-out loss is its prior, however small the threshold.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy import stats

from bayesgc.analysis.measures import measures_in

_DRAWS_IN_A_CELL = 20
"""Expected draws in each cell of the table, were the losses independent."""
_MOST_BINS = 12


def loss_dependence(tree: xr.DataTree) -> dict[str, Any] | None:
    """Spearman's ρ, a G-test of independence and the mutual information, from the independent draws of the prior.

    The test is on a table of equally filled classes of the two ranks, so it sees dependence of any form; the mutual
    information of the classes, in bits, is corrected for its bias. None where generalisation is not known or does not
    vary.
    """
    prior = tree["prior"].to_dataset()
    measures = measures_in(tree)
    names = (measures.fit.name, measures.generalisation.name)
    if names[1] not in prior:
        return None
    pair = np.stack([prior[name].values.ravel().astype(np.float64) for name in names])
    bins = min(_MOST_BINS, math.isqrt(pair.shape[1] // _DRAWS_IN_A_CELL))
    if bins < 2 or (np.ptp(pair, axis=1) == 0).any():
        return None
    table = _contingency(pair, bins)
    test = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    nats = (float(test.statistic) - test.dof) / (2 * pair.shape[1])
    rho = float(stats.spearmanr(*pair).statistic)
    return {
        "draws": int(pair.shape[1]),
        "spearman": rho,
        # The delta method on Fisher's z, with the factor of Fieller, Hartley and Pearson (1957) for ranks.
        "spearman_mcse": (1 - rho**2) * math.sqrt(1.06 / (pair.shape[1] - 3)),
        "mutual_information_bits": max(nats, 0.0) / math.log(2),
        "p_value": float(test.pvalue),
    }


def _contingency(pair: Float[np.ndarray, "loss draw"], bins: int) -> np.ndarray:
    """Counts over equally filled classes of the ranks; classes that ties leave empty are dropped."""
    classes = [np.minimum((stats.rankdata(row, "average") - 0.5) * bins / row.size, bins - 1) for row in pair]
    row, col = (each.astype(np.int64) for each in classes)
    table = np.bincount(row * bins + col, minlength=bins**2).reshape(bins, bins)
    return table[np.ix_(table.any(axis=1), table.any(axis=0))]

"""Singular values under each law: do long products collapse to rank one, as in Theorem 2?"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from bayesgc.analysis.equal_fit import group_of
from bayesgc.analysis.plots.canvas import Drawn, axes_on, plot_of_result, unsuited
from bayesgc.analysis.plots.look import COLOURS, NAMES, title_and_legend
from bayesgc.analysis.spectra import LAWS, singular_values, spectrum
from bayesgc.analysis.words.numerals import rounded

LEAST = 1e-6
"""Shares of the largest singular value below this are drawn at it."""


@plot_of_result
def plot_spectrum(tree: xr.DataTree, ax: Axes | None = None) -> Drawn:
    """The singular values relative to the largest: medians, and quartiles as bars, of each law."""
    bands = {law: band for law in LAWS if (band := spectrum_band(tree, law)) is not None}
    if not bands:
        raise unsuited("plot_spectrum", "a matrix, which has singular values", tree)
    axes = axes_on(ax)
    for place, (law, (low, middle, high)) in enumerate(bands.items()):
        index = np.arange(1, len(middle) + 1) + 0.08 * (place - (len(bands) - 1) / 2)
        axes.errorbar(
            index, middle, yerr=[middle - low, high - middle], color=COLOURS[law], label=NAMES[group_of(tree, law)],
            marker="s" if law == "truth" else "o", ms=3.5, ls=":" if law == "truth" else "-", elinewidth=1, capsize=1.5,
        )  # fmt: skip
    axes.set(yscale="log", xlabel="singular value, by rank", ylabel="share of the largest, $σ_i/σ_1$")
    axes.set_xticks(range(1, len(middle) + 1))
    title_and_legend(axes, spectrum_title(tree))
    return axes


def spectrum_band(tree: xr.DataTree, law: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Quartiles and median of each σ_i/σ₁, floored; None where the law has none."""
    found = singular_values(tree, law)
    if found is None or (found[:, 0] <= 0).all():
        return None
    found = found[found[:, 0] > 0]
    low, middle, high = np.quantile(np.maximum(found / found[:, :1], LEAST), [0.25, 0.5, 0.75], axis=0)
    return low, middle, high


def spectrum_title(tree: xr.DataTree) -> str:
    """How near to rank one the matrices are that fit."""
    found = spectrum(tree)
    law = found["posterior"] or found["prior"]
    if law is None:
        return "Singular values"
    subject = "weights that fit" if found["posterior"] else "draws of the prior"
    return f"In {subject}, σ₂ is {rounded(100 * law['ratio']['median'], 2)} % of σ₁\n(median; 0 % is rank one)"

"""Training against held-out loss: does fitting say anything about what is held out, as in Theorem 1?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from bayesgc.analysis.compare.dependence import loss_dependence
from bayesgc.analysis.measures import Measure, measures_in
from bayesgc.analysis.plots.canvas import Drawn, axes_on, plot_of_result, unsuited
from bayesgc.analysis.plots.curve import curve_change, curve_of, without_law
from bayesgc.analysis.plots.look import COLOURS, names_in, title_and_legend
from bayesgc.analysis.tree.groups import fitted, has, values
from bayesgc.intervals import Standing

_POINTS = 1500
"""Draws shown of each law, spread evenly over it."""
_NONE, _WEAK = 0.01, 0.1
"""|ρ| below which ranks say nothing of one another, or little."""
_RESTARTED = ("gd_at_eps", "gd", "map")
_SAME = 2
"""Decimals of the decimal logarithm of a loss that a picture can show: 2 %."""
LEAST = 1e-8
"""Losses below this are drawn at it: how exact an exact fit is, is of no interest."""


@plot_of_result
def plot_joint(tree: xr.DataTree, ax: Axes | None = None) -> Drawn:
    """Each draw of prior and posterior and each restart of descent at ε and at its end, by both losses."""
    measures = measures_in(tree)
    if not has(tree, "prior", measures.generalisation.name):
        raise unsuited("plot_joint", f"a known {measures.generalisation.name}", tree)
    axes = axes_on(ax)
    for law, size in (("prior", 3), ("posterior", 3), ("gd_at_eps", 14), ("gd", 14), ("map", 14)):
        if law in tree.children:
            _scatter(axes, tree, law, size)
    eps = float(tree.attrs["eps"])
    if not measures.exact(eps):
        eps = eps + 0.5 if measures.counted else eps
        axes.axvline(eps, color=COLOURS["reference"], lw=0.8, ls=(0, (4, 3)), zorder=1)
        axes.annotate(
            "fit" if measures.counted else "ε",
            (eps, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, -8),
            textcoords="offset points",
        )
    axes.set(xlabel=measures.fit.axis, ylabel=measures.generalisation.axis)
    for scale, ticks, limits, measure in (
        (axes.set_xscale, axes.set_xticks, axes.get_xlim, measures.fit),
        (axes.set_yscale, axes.set_yticks, axes.get_ylim, measures.generalisation),
    ):
        if not measure.whole:
            scale("log")
            _mark_least(ticks, *limits())
    title_and_legend(axes, joint_title(tree))
    return axes


def _mark_least(ticks: Callable[..., object], low: float, high: float) -> None:
    """Say on an axis where what is drawn at the least may be less."""
    if low < LEAST:
        powers = range(-8, int(np.floor(np.log10(high))) + 1, 2)
        ticks([10.0**power for power in powers], [f"$10^{{{p}}}$" if p > -8 else "≤$10^{-8}$" for p in powers])


def joint_points(tree: xr.DataTree, law: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit and generalisation of at most some hundreds of draws, spread evenly, or of the restarts that fitted.

    Whole numbers are drawn a little apart, so that equal ones are seen to be many. Restarts whose losses no eye can
    tell apart are one point; the last array says how many each point stands for.
    """
    measures = measures_in(tree)
    pair = (measures.fit, measures.generalisation)
    found = [np.asarray(each.scaled(values(tree, law, each.name).astype(np.float64))) for each in pair]
    if law in _RESTARTED:
        found = [each[fitted(tree, law)] for each in found]
    train, gen = (each.ravel() for each in found)
    shown = np.linspace(0, len(train) - 1, min(len(train), _POINTS)).astype(int)
    first, second = (
        each[shown] + _apart(len(shown), place, of) if of.whole else np.maximum(each[shown], LEAST)
        for place, (each, of) in enumerate(zip((train, gen), pair, strict=True))
    )
    if law not in _RESTARTED or any(of.whole for of in pair):
        return first, second, np.ones(len(first), dtype=int)
    _, kept, count = np.unique(
        np.round(np.log10([first, second]), _SAME), axis=1, return_index=True, return_counts=True
    )
    order = np.argsort(kept)
    return first[kept[order]], second[kept[order]], count[order]


def shared_points(tree: xr.DataTree) -> str:
    """How many restarts stand in how few points, in a sentence; empty where each has its own."""
    names, parts = names_in(tree), []
    for law in (law for law in _RESTARTED if law in tree.children):
        count = joint_points(tree, law)[2]
        if count.sum() > count.size:
            parts.append(f"{names[law]}, {count.sum()} in {count.size}")
    return f"Restarts that came to the same place share a point: {'; '.join(parts)}." if parts else ""


def _apart(count: int, place: int, measure: Measure) -> np.ndarray:
    """Less than the distance of whole numbers, by two irrational ratios, so that no random stream is touched."""
    width = 0.7 if measure.counts else 0.6
    return np.asarray(width * ((np.arange(count) * (0.618034, 0.754878)[place]) % 1.0 - 0.5))


def joint_title(tree: xr.DataTree) -> str:
    """How closely the two losses go together under the prior."""
    found, measures = loss_dependence(tree), measures_in(tree)
    tested = f"test {'error' if measures.classes else 'loss'}" if measures.labelled else "held-out loss"
    if found is None:
        return f"Training and {tested}"
    rho = found["spearman"]
    close = close_fits(tree)
    if found["p_value"] > _NONE and abs(rho) < _WEAK:
        but = f",\nbut close fits generalise {close}" if close else ""
        return f"Under the prior, fit and {tested}\nare nearly independent (ρ = {rho:.2f}){but}"
    direction = "better" if rho > 0 else "worse"
    strength = "slightly " if abs(rho) < _WEAK * 2 else ""
    but = f",\nbut close fits generalise {close}" if close and close != direction else ""
    return f"Under the prior, draws that fit better\ngeneralise {strength}{direction} (ρ = {rho:.2f}){but}"


def close_fits(tree: xr.DataTree) -> str:
    """Whether fits generalise better or worse as they become tight, as the ε-curve says; empty where it does not.

    Ranks are of all draws of the prior, most of which fit badly, and may go the other way.
    """
    if curve_of(tree) is None or without_law(tree) is not None:
        return ""
    standing = curve_change(tree).standing
    return {Standing.LOWER: "better", Standing.HIGHER: "worse"}.get(standing, "")


def _scatter(axes: Axes, tree: xr.DataTree, law: str, size: float) -> None:
    train, gen, _ = joint_points(tree, law)
    if train.size:
        axes.scatter(
            train, gen, s=size, color=COLOURS[law], alpha=0.35 if law in ("prior", "posterior") else 0.9, lw=0,
            label=names_in(tree)[law], marker={"map": "*", "gd": "D"}.get(law, "o"),
            rasterized=law not in _RESTARTED,
        )  # fmt: skip

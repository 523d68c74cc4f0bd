"""The shares of votes against how often they are right."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from bayesgc.analysis.calibration import LAWS, calibration
from bayesgc.analysis.plots.canvas import Drawn, axes_on, plot_of_result, unsuited
from bayesgc.analysis.plots.look import COLOURS, names_in, title_and_legend
from bayesgc.analysis.tree.summary import Json
from bayesgc.analysis.words.numerals import NORMAL_95


@plot_of_result
def plot_calibration(tree: xr.DataTree, ax: Axes | None = None) -> Drawn:
    """Of all test examples and classes with a share of the votes, how many are right: the diagonal if calibrated.

    An example counts once for each class; of two classes the curve is therefore its own image turned by half a turn.
    """
    found = calibration(tree)
    if found is None or found["posterior"] is None:
        raise unsuited("plot_calibration", "draws that fit with their votes on test labels", tree)
    axes = axes_on(ax)
    axes.plot([0, 1], [0, 1], color=COLOURS["reference"], lw=0.8, ls=(0, (4, 3)))
    for name, group in LAWS.items():
        if found[name] is not None and name != "prior":
            bins = {key: np.array([each[key] for each in found[name]["bins"]], float) for key in _DRAWN}
            axes.errorbar(
                bins["share"], bins["frequency"], yerr=NORMAL_95 * bins["frequency_se"],
                xerr=NORMAL_95 * np.nan_to_num(bins["share_mcse"]), color=COLOURS[group], marker="o", ms=3, lw=1.2,
                elinewidth=0.7, label=names_in(tree)[group],
            )  # fmt: skip
    axes.set_xlabel("share of the draws that give an example the class\n(an example counts once for each class)")
    axes.set_ylabel("share of these that are right")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    title_and_legend(axes, calibration_title(found["posterior"]))
    return axes


_DRAWN = ("share", "share_mcse", "frequency", "frequency_se")


def calibration_title(found: Json) -> str:
    """Whether the shares are off by more than calibrated ones would be on so many examples, and to which side."""
    if found["ece"] <= found["ece_by_chance_q95"]:
        return "No difference between the vote's shares\nand how often it is right can be told"
    return (
        f"The vote is right {'more' if found['accuracy'] > found['confidence'] else 'less'} often than its shares say"
    )

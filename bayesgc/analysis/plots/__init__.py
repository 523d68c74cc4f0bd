"""Figures of results: each function takes DataTrees and returns a matplotlib ``Figure``, one family a module."""

from __future__ import annotations

from bayesgc.analysis.plots.calibration import plot_calibration
from bayesgc.analysis.plots.cells import plot_cells
from bayesgc.analysis.plots.chains import plot_ranks
from bayesgc.analysis.plots.curve import plot_curve
from bayesgc.analysis.plots.forest import plot_forest
from bayesgc.analysis.plots.functions import plot_functions
from bayesgc.analysis.plots.joint import plot_joint
from bayesgc.analysis.plots.levels import plot_levels
from bayesgc.analysis.plots.look import save_figure
from bayesgc.analysis.plots.losses import plot_losses
from bayesgc.analysis.plots.spectrum import plot_spectrum
from bayesgc.analysis.plots.sweep import plot_sweep
from bayesgc.analysis.plots.whole import plot_result

__all__ = [
    "plot_calibration",
    "plot_cells",
    "plot_curve",
    "plot_forest",
    "plot_functions",
    "plot_joint",
    "plot_levels",
    "plot_losses",
    "plot_ranks",
    "plot_result",
    "plot_spectrum",
    "plot_sweep",
    "save_figure",
]

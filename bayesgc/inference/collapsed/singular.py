"""Where the measurements have no density given the hidden layers, so that collapsed methods do not serve."""

from __future__ import annotations

import numpy as np
import torch

from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.models.factorization.collapse import Collapsed
from bayesgc.task import ArrayTask


def why_no_density(task: ArrayTask, collapsed: Collapsed, eps: float) -> str | None:
    """Why collapsed methods do not serve, in a few words; None where they do.

    S must not be singular for every draw. At ε > 0 it must not be so for a share of them either: an activation that
    is constant on an interval gives networks of a lower rank with positive probability, whose measurements lie in a
    subspace and yet can fit. At exactly zero loss those do not count, their density at y is zero. Nor may S be singular
    by rounding alone, as it is for products of many layers: those weights have a density, which is then not known.
    """
    activation = collapsed.whitened.network.activation
    if eps > 0 and len(collapsed.whitened.shapes) > 1 and activation.has_plateau:
        return f"with {activation.name} hidden units can die, so that a share of the weights that fit has no density"
    if eps > 0 and collapsed.has_atoms:
        return "weights with atoms can be of low rank, so that a share of the weights that fit has no density"
    return why_singular(task, collapsed)


def why_singular(task: ArrayTask, collapsed: Collapsed) -> str | None:
    """Why S is singular whatever the hidden layers, or by rounding for a share of them, in a few words; None if not."""
    rows, cols = task.unfolding
    count, rank = task.measurements.count, min(collapsed.feature_count, cols)
    if task.measurements.rank < count:
        return f"the measurements are dependent ({count} of rank {task.measurements.rank})"
    if task.cells is not None:
        most = int(np.bincount(task.cells // cols).max())
        if most > rank:
            return f"a row has {most} observed cells, more than the rank {rank} of the model"
    elif count > rows * rank:
        return f"there are {count} measurements, more than the {rows * rank} that a width of {rank} can fit"
    share, depth = _singular_share(task, collapsed), len(collapsed.whitened.shapes)
    if share == 1:
        return "the measurements share directions that the width of the model cannot tell apart"
    truly = collapsed.has_atoms or collapsed.whitened.network.activation.has_plateau
    if share == 0 or truly:
        return None
    return (
        f"with {depth} layers {share:.0%} of the weights are, to sixteen digits, of too low a rank for the measurements"
    )


def _singular_share(task: ArrayTask, collapsed: Collapsed) -> float:
    """The share of a batch of draws for which S is singular, in truth or by rounding."""
    criterion = CollapsedCriterion(task, collapsed, 0.0, torch.device("cpu"))
    normals = criterion.draw(torch.Generator().manual_seed(0), min(_TRIALS, criterion.chunk))
    return float(criterion.system(normals).singular.double().mean())


_TRIALS = 128

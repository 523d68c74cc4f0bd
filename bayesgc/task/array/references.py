"""Reference points that a result is read against: zero, least squares, minimum nuclear norm, chance on the sphere."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from bayesgc.task.array.affine import BestFits, best_fits
from bayesgc.task.array.array import ArrayTask
from bayesgc.task.array.nuclear import minimum_nuclear_norm
from bayesgc.task.task import Reference


def reference_points(
    task: ArrayTask, *, normalize: bool, stop: Callable[[], bool] = lambda: False
) -> dict[str, Reference]:
    """The reference points of ``task`` by name, in float64.

    ``zero``, ``least_squares`` (of minimum norm) and ``nuclear_norm`` (of a tensor, the mean over its unfoldings) are
    always there, ``chance`` with ``normalize`` where it exists (see ``chance_level``). The nuclear norm is as near as
    it came when ``stop()`` says so.
    """
    fits = best_fits(task)
    points = {
        "zero": _reference(task, np.zeros(task.shape)),
        "least_squares": _reference(task, fits.point.reshape(task.shape)),
    }
    points["nuclear_norm"] = _nuclear_norm_point(task, stop)
    chance = chance_level(task, fits) if normalize else None
    if chance is not None:
        points["chance"] = chance
    return points


def chance_level(task: ArrayTask, fits: BestFits) -> Reference | None:
    """E[L_gen] = (ρ² + ‖b‖²)/|B| under the uniform law on the unit sphere given L_train = 0.

    ρ² = 1 − yᵀ(A Aᵀ)⁺y is what the least-squares fit leaves of the unit length, and b = B vec W*; the free part of
    length ρ is uniform in direction, so it adds ρ² on average. None where no unit-norm matrix fits exactly, nothing is
    held out, or the truth is unknown.
    """
    left = 1.0 - float(fits.point @ fits.point)
    if task.zero_gen_loss is None or fits.misfit > 0.0 or left < 0.0:
        return None
    return Reference(None, 0.0, left / task.held_out.count + task.zero_gen_loss)


def why_no_chance(task: ArrayTask, *, normalize: bool) -> str:
    """Why `reference_points` has no chance level for a task for which it has none."""
    if not normalize:
        return "the model is not normalised"
    if task.held_out.count == 0:
        return "nothing is held out"
    if task.truth is None:
        return "the truth is unknown"
    return "no array of norm 1 fits exactly"


def _nuclear_norm_point(task: ArrayTask, stop: Callable[[], bool]) -> Reference:
    fit = minimum_nuclear_norm(task, stop=stop)
    point = _reference(task, fit.end_to_end)
    if not fit.converged and stop():
        return replace(point, note=f"stopped in time, with a norm up to {fit.relative_gap:.1%} above the least")
    if not fit.converged:
        warnings.warn(
            f"The minimum-nuclear-norm reference stopped after {fit.iterations} steps with a norm that may exceed the "
            f"least one by {fit.relative_gap:.1e} of itself.",
            RuntimeWarning,
            stacklevel=3,
        )
    return point


def _reference(task: ArrayTask, matrix: Float[np.ndarray, "*shape"]) -> Reference:
    vectors = torch.from_numpy(np.array(matrix, dtype=np.float64).reshape(-1, 1))
    gen_loss = task.gen_loss(vectors)
    return Reference(matrix, float(task.train_loss(vectors)), None if gen_loss is None else float(gen_loss))

"""Synthetic tasks from a seed: sensing and completion of low-rank matrices and tensors (Alexander et al. 2025)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bayesgc.task.array.array import ArrayTask, dimension_names
from bayesgc.task.array.measurements import DenseMeasurements, Measurements, ObservedCells
from bayesgc.task.named import register_task
from bayesgc.validate import InputError, integer_in, positive_integer

# Stream constants. SeedSequence pads with zeros, so that a stream numbered 0 would be no stream of its own.
_TRUTH = 1
_MEASUREMENTS = 2
_SIDE = 5


@register_task("sensing")
def sensing(
    rows: int | None = None,
    cols: int | None = None,
    rank: int = 1,
    measurements: int | None = None,
    seed: int = 0,
    *,
    shape: Sequence[int] | None = None,
) -> ArrayTask:
    """Sensing of a random array of the given rank and norm 1 by Gaussian arrays, each scaled to norm 1.

    A matrix of ``rows`` and ``cols`` (5 by default), or with ``shape`` an array of any order from 2: a sum of ``rank``
    outer products of Gaussian vectors. ``measurements`` defaults to 60 % of the entries. With the same seed and size,
    fewer measurements are the first of more.
    """
    sides, rank, count, seed = _validated(rows, cols, shape, rank, measurements, seed)
    matrix = _generator(seed, _MEASUREMENTS).standard_normal((count, math.prod(sides)))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    truth = _low_rank(sides, rank, seed)
    return _task("sensing", truth, DenseMeasurements(sides, matrix), matrix @ truth.ravel(), rank, seed)


@register_task("completion")
def completion(
    rows: int | None = None,
    cols: int | None = None,
    rank: int = 1,
    measurements: int | None = None,
    seed: int = 0,
    *,
    shape: Sequence[int] | None = None,
) -> ArrayTask:
    """Completion of a random array of the given rank and norm 1 from distinct cells, chosen uniformly.

    The arguments are those of :func:`sensing`, and so is the truth. With the same seed and size, the cells of fewer
    measurements are among those of more.
    """
    sides, rank, count, seed = _validated(rows, cols, shape, rank, measurements, seed)
    cells = np.sort(_generator(seed, _MEASUREMENTS).permutation(math.prod(sides))[:count])
    truth = _low_rank(sides, rank, seed)
    return _task("completion", truth, ObservedCells(sides, cells), truth.ravel()[cells], rank, seed)


def _validated(
    rows: int | None, cols: int | None, shape: Sequence[int] | None, rank: int, measurements: int | None, seed: int
) -> tuple[tuple[int, ...], int, int, int]:
    sides = _sides(rows, cols, shape)
    entries = math.prod(sides)
    # All axes but the longest: no array is a sum of more outer products than they have entries.
    rank = integer_in("rank", rank, 1, entries // max(sides))
    count = round(0.6 * entries) if measurements is None else measurements
    return sides, rank, integer_in("measurements", count, 1, entries), integer_in("seed", seed, 0)


def _sides(rows: int | None, cols: int | None, shape: Sequence[int] | None) -> tuple[int, ...]:
    if shape is None:
        return (
            positive_integer("rows", _SIDE if rows is None else rows),
            positive_integer("cols", _SIDE if cols is None else cols),
        )
    if rows is not None or cols is not None:
        raise InputError(f"shape is {shape!r}, which takes the place of rows and cols; give one or the other.")
    if len(shape) < 2:
        raise InputError(f"shape is {shape!r}; it must be two or more whole numbers, such as (4, 4, 4).")
    return tuple(positive_integer("side of shape", side) for side in shape)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, stream]))


def _low_rank(shape: tuple[int, ...], rank: int, seed: int) -> Float[np.ndarray, "*shape"]:
    """A sum of ``rank`` outer products of Gaussian vectors, scaled to Frobenius norm 1."""
    generator = _generator(seed, _TRUTH)
    first = generator.standard_normal((shape[0], rank))
    rest = generator.standard_normal((rank, shape[1]))
    for side in shape[2:]:
        rest = (rest[:, :, None] * generator.standard_normal((rank, side))[:, None]).reshape(rank, -1)
    product = (first @ rest).reshape(shape)
    return product / np.linalg.norm(product)


def _task(
    kind: str,
    truth: Float[np.ndarray, "*shape"],
    measurements: Measurements,
    targets: Float[np.ndarray, " n"],
    rank: int,
    seed: int,
) -> ArrayTask:
    dims = dimension_names(truth.ndim)
    return ArrayTask(kind, measurements.shape, measurements, targets, truth, {"rank": rank, "seed": seed}, dims)

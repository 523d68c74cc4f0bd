"""Synthetic tasks from a seed: low-rank matrix sensing and completion (Alexander et al. 2025)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from bayesgc.task.measurements import DenseMeasurements, Measurements, ObservedCells
from bayesgc.task.task import Task
from bayesgc.validate import integer_in, positive_integer

# Stream constants. SeedSequence pads with zeros, so that a stream numbered 0 would be no stream of its own.
_TRUTH = 1
_MEASUREMENTS = 2


def sensing(rows: int = 5, cols: int = 5, rank: int = 1, measurements: int | None = None, seed: int = 0) -> Task:
    """Sensing of a random matrix of the given rank and norm 1 by Gaussian matrices, each scaled to norm 1.

    ``measurements`` defaults to 60 % of the entries. With the same seed and size, fewer measurements are the first
    of more.
    """
    rows, cols, rank, count, seed = _validated(rows, cols, rank, measurements, seed)
    matrix = _generator(seed, _MEASUREMENTS).standard_normal((count, rows * cols))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    truth = _low_rank(rows, cols, rank, seed)
    return _task("sensing", truth, DenseMeasurements((rows, cols), matrix), matrix @ truth.ravel(), rank, seed)


def completion(rows: int = 5, cols: int = 5, rank: int = 1, measurements: int | None = None, seed: int = 0) -> Task:
    """Completion of a random matrix of the given rank and norm 1 from distinct cells, chosen uniformly.

    ``measurements`` defaults to 60 % of the entries. With the same seed and size, the cells of fewer measurements
    are among those of more, and the truth is that of :func:`sensing`.
    """
    rows, cols, rank, count, seed = _validated(rows, cols, rank, measurements, seed)
    cells = np.sort(_generator(seed, _MEASUREMENTS).permutation(rows * cols)[:count])
    truth = _low_rank(rows, cols, rank, seed)
    return _task("completion", truth, ObservedCells((rows, cols), cells), truth.ravel()[cells], rank, seed)


SYNTHETIC = {"sensing": sensing, "completion": completion}
"""The synthetic tasks by name."""


def _validated(rows: int, cols: int, rank: int, measurements: int | None, seed: int) -> tuple[int, int, int, int, int]:
    rows, cols = positive_integer("rows", rows), positive_integer("cols", cols)
    rank = integer_in("rank", rank, 1, min(rows, cols))
    count = round(0.6 * rows * cols) if measurements is None else measurements
    return rows, cols, rank, integer_in("measurements", count, 1, rows * cols), integer_in("seed", seed, 0)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, stream]))


def _low_rank(rows: int, cols: int, rank: int, seed: int) -> Float[np.ndarray, "rows cols"]:
    """A product of Gaussian factors, scaled to Frobenius norm 1."""
    generator = _generator(seed, _TRUTH)
    product = generator.standard_normal((rows, rank)) @ generator.standard_normal((rank, cols))
    return product / np.linalg.norm(product)


def _task(
    kind: str,
    truth: Float[np.ndarray, "rows cols"],
    measurements: Measurements,
    targets: Float[np.ndarray, " n"],
    rank: int,
    seed: int,
) -> Task:
    return Task(kind, measurements.shape, measurements, targets, truth, {"rank": rank, "seed": seed})

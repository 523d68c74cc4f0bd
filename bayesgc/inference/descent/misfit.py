"""Residuals of end-to-end matrices and their way back, for starts on one task or on several of one shape.

Rows stand in front here: each row is one start on one task.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bayesgc.task import ArrayTask

_DENSE = 2**13
"""Measurements × entries up to which a matrix is faster than whatever else the measurements of one task are."""


@runtime_checkable
class Misfit(Protocol):
    """The residuals of rows of vectorised matrices."""

    def residual(self, vectors: Float[Tensor, "row entry"]) -> Float[Tensor, "row n"]:
        """<A_i, W> − y_i of each row."""
        ...

    def gradient(self, residual: Float[Tensor, "row n"]) -> Float[Tensor, "row entry"]:
        """(2/n) Σ_i r_i A_i of each row, the gradient of its training loss with respect to W."""
        ...

    def keep(self, rows: Bool[Tensor, " row"]) -> Misfit:
        """The same for some of the rows."""
        ...


@dataclass(frozen=True)
class OneTask:
    """Every row is a start on the same task, however many its measurements."""

    task: ArrayTask

    def residual(self, vectors: Float[Tensor, "row entry"]) -> Float[Tensor, "row n"]:
        return self.task.residual(vectors.T).T

    def gradient(self, residual: Float[Tensor, "row n"]) -> Float[Tensor, "row entry"]:
        return self.task.measurements.adjoint(residual.T * (2 / residual.shape[1])).T

    def keep(self, rows: Bool[Tensor, " row"]) -> OneTask:
        return self


@dataclass(frozen=True)
class DenseTasks:
    """Rows are starts on one task after another, ``counts`` on each, whose measurements are dense matrices.

    All starts of a task are multiplied at once. Where tasks have different numbers of them, each has the places of the
    most; those that are left over hold the first row.
    """

    matrices: Float[Tensor, "task entry n"]
    targets: Float[Tensor, "task 1 n"]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, tasks: Sequence[ArrayTask], starts: int, like: Tensor) -> DenseTasks:
        """On the device and in the dtype of ``like``."""
        matrices = torch.as_tensor(np.stack([task.measurements.dense().T for task in tasks])).to(like)
        targets = torch.as_tensor(np.stack([task.targets[None] for task in tasks])).to(like)
        return cls(matrices, targets, (starts,) * len(tasks))

    def residual(self, vectors: Float[Tensor, "row entry"]) -> Float[Tensor, "row n"]:
        tasks, entries, measured = self.matrices.shape
        placed = self._placed(vectors).view(tasks, -1, entries)
        return self._in_rows(torch.baddbmm(self.targets, placed, self.matrices, beta=-1).view(-1, measured))

    def gradient(self, residual: Float[Tensor, "row n"]) -> Float[Tensor, "row entry"]:
        tasks, entries, measured = self.matrices.shape
        placed = self._placed(residual).view(tasks, -1, measured)
        return self._in_rows(torch.bmm(placed, self._back).view(-1, entries))

    def keep(self, rows: Bool[Tensor, " row"]) -> DenseTasks:
        counts = [int(part.sum()) for part in rows.cpu().split(self.counts)]
        tasks = [task for task, count in enumerate(counts) if count]
        return DenseTasks(self.matrices[tasks], self.targets[tasks], tuple(counts[task] for task in tasks))

    def _placed(self, rows: Float[Tensor, "row number"]) -> Float[Tensor, "place number"]:
        return rows if self._places is None else rows.index_select(0, self._places[0])

    def _in_rows(self, placed: Float[Tensor, "place number"]) -> Float[Tensor, "row number"]:
        return placed if self._places is None else placed.index_select(0, self._places[1])

    @cached_property
    def _places(self) -> tuple[Int[Tensor, " place"], Int[Tensor, " row"]] | None:
        """The row in each place, and the place of each row; None where they are the same."""
        most, device = max(self.counts), self.targets.device
        if most == min(self.counts):
            return None
        places = [task * most + start for task, count in enumerate(self.counts) for start in range(count)]
        rows = torch.zeros(len(self.counts) * most, dtype=torch.int64)
        rows[places] = torch.arange(len(places))
        return rows.to(device), torch.tensor(places, device=device)

    @cached_property
    def _back(self) -> Float[Tensor, "task n entry"]:
        return (self.matrices * (2 / self.matrices.shape[2])).mT


def misfit(tasks: Sequence[ArrayTask], starts: int, like: Tensor) -> Misfit:
    """The residuals of ``starts`` starts on each task, those of one task together, like the weights ``like``."""
    size = tasks[0].measurements.count * math.prod(tasks[0].shape)
    return DenseTasks.of(tasks, starts, like) if len(tasks) > 1 or size <= _DENSE else OneTask(tasks[0])

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
from jaxtyping import Bool, Float
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
    """Rows are so many starts on one task after another, whose measurements are dense matrices."""

    matrices: Float[Tensor, "task entry n"]
    targets: Float[Tensor, "task 1 n"]

    @classmethod
    def of(cls, tasks: Sequence[ArrayTask], like: Tensor) -> DenseTasks:
        """On the device and in the dtype of ``like``."""
        matrices = torch.as_tensor(np.stack([task.measurements.dense().T for task in tasks])).to(like)
        return cls(matrices, torch.as_tensor(np.stack([task.targets[None] for task in tasks])).to(like))

    def residual(self, vectors: Float[Tensor, "row entry"]) -> Float[Tensor, "row n"]:
        tasks, entries, measured = self.matrices.shape
        residuals = torch.baddbmm(self.targets, vectors.view(tasks, -1, entries), self.matrices, beta=-1)
        return residuals.view(-1, measured)

    def gradient(self, residual: Float[Tensor, "row n"]) -> Float[Tensor, "row entry"]:
        tasks, entries, measured = self.matrices.shape
        return torch.bmm(residual.view(tasks, -1, measured), self._back).view(-1, entries)

    def keep(self, rows: Bool[Tensor, " row"]) -> DenseTasks:
        if len(self.matrices) == 1:
            return self
        task = torch.arange(len(self.matrices), device=rows.device).repeat_interleave(len(rows) // len(self.matrices))
        return DenseTasks(self.matrices[task[rows]], self.targets[task[rows]])

    @cached_property
    def _back(self) -> Float[Tensor, "task n entry"]:
        return (self.matrices * (2 / self.matrices.shape[2])).mT


def misfit(tasks: Sequence[ArrayTask], like: Tensor) -> Misfit:
    """The residuals of so many starts on each task, those of one task together, like the weights ``like``."""
    size = tasks[0].measurements.count * math.prod(tasks[0].shape)
    return DenseTasks.of(tasks, like) if len(tasks) > 1 or size <= _DENSE else OneTask(tasks[0])

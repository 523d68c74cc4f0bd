"""Residuals of end-to-end matrices and their way back, for starts on one task or on several of one shape.

Rows stand in front here: each row is one start on one task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bayesgc.task import ArrayTask


@runtime_checkable
class Misfit(Protocol):
    """The residuals of rows of vectorised matrices."""

    def residual(self, vectors: Float[Tensor, "row entry"]) -> Float[Tensor, "row n"]:
        """<A_i, W> − y_i of each row."""
        ...

    def adjoint(self, residual: Float[Tensor, "row n"]) -> Float[Tensor, "row entry"]:
        """Σ_i r_i A_i of each row."""
        ...

    def keep(self, rows: Bool[Tensor, " row"]) -> Misfit:
        """The same for some of the rows."""
        ...


@dataclass(frozen=True)
class OneTask:
    """Every row is a start on the same task."""

    task: ArrayTask

    def residual(self, vectors: Float[Tensor, "row entry"]) -> Float[Tensor, "row n"]:
        return self.task.residual(vectors.T).T

    def adjoint(self, residual: Float[Tensor, "row n"]) -> Float[Tensor, "row entry"]:
        return self.task.measurements.adjoint(residual.T).T

    def keep(self, rows: Bool[Tensor, " row"]) -> OneTask:
        return self


@dataclass(frozen=True)
class ManyTasks:
    """Each row has measurements of its own, as a dense matrix."""

    matrices: Float[Tensor, "row n entry"]
    targets: Float[Tensor, "row n"]

    @classmethod
    def of(cls, tasks: Sequence[ArrayTask], starts: int, like: Tensor) -> ManyTasks:
        """The rows of ``starts`` starts on the first task, then on the second, and so on."""
        matrices = torch.as_tensor(np.stack([task.measurements.dense() for task in tasks])).to(like)
        targets = torch.as_tensor(np.stack([task.targets for task in tasks])).to(like)
        return cls(matrices.repeat_interleave(starts, 0), targets.repeat_interleave(starts, 0))

    def residual(self, vectors: Float[Tensor, "row entry"]) -> Float[Tensor, "row n"]:
        return torch.baddbmm(self.targets[:, :, None], self.matrices, vectors[:, :, None], beta=-1)[:, :, 0]

    def adjoint(self, residual: Float[Tensor, "row n"]) -> Float[Tensor, "row entry"]:
        return torch.bmm(residual[:, None], self.matrices)[:, 0]

    def keep(self, rows: Bool[Tensor, " row"]) -> ManyTasks:
        return ManyTasks(self.matrices[rows], self.targets[rows])


def misfit(tasks: Sequence[ArrayTask], starts: int, like: Tensor) -> Misfit:
    """The residuals of ``starts`` starts on each task, on the device and in the dtype of ``like``."""
    return OneTask(tasks[0]) if len(tasks) == 1 else ManyTasks.of(tasks, starts, like)

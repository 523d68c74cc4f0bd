"""Small problems to condition on, and what it takes to condition on them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch

from bayesgc.inference import Control, Criterion, Request, Run
from bayesgc.models import MatrixFactorization, as_model
from bayesgc.task import ArrayTask, ObservedCells, sensing

CPU = torch.device("cpu")

MILD_TASK = sensing(3, 3, 1, 4, seed=1)
MILD_MODEL = MatrixFactorization(depth=2, width=4, normalize=False)
MILD_EPS = 0.02
"""A volume of about e^(−4), which rejection and splitting both reach within a second."""


def power_law(measurements):
    """How far it is between two training losses of so many measurements."""
    return lambda high, low: 0.5 * measurements * math.log(high / low)


def criterion(
    model: Any = MILD_MODEL,
    task: ArrayTask = MILD_TASK,
    eps: float = MILD_EPS,
    dtype: torch.dtype = torch.float32,
    device: torch.device = CPU,
) -> Criterion:
    return Criterion(task, as_model(model).whiten(task.shape), eps, device, dtype)


def condition(method: Any, problem: Criterion | None = None, control: Control | None = None, **request: Any) -> Run:
    return method.run(problem or criterion(), Request(**request), control or Control())


def integers():
    """A prior with atoms: a 2×2 matrix of rounded standard normals."""
    return pyro.sample("w", dist.Normal(0.0, 1.0).expand([2, 2]).to_event(2)).round()


INTEGER_TASK = ArrayTask("completion", (2, 2), ObservedCells((2, 2), np.array([0, 3])), np.array([0.9, 0.2]))
"""Entries (0, 0) and (1, 1) of a 2×2 matrix; the nearest integers (1, 0) have a training loss of 0.025."""


def share_a_draw(first: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two posteriors of 3×3 matrices have one in common; single numbers may agree by chance in float32."""
    rows = [{tuple(matrix) for matrix in draws.reshape(-1, 9).tolist()} for draws in (first, other)]
    return not rows[0].isdisjoint(rows[1])


def errors_apart(value: float, expected: float, *mcse: float) -> float:
    """How many combined standard errors lie between two numbers."""
    return abs(value - expected) / math.hypot(*mcse)

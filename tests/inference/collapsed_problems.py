"""Problems for the methods that integrate the last layer out, and slow twins of the Gaussian algebra they rest on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from problems import CPU
from scipy import stats

from bayesgc.inference import Control, Criterion, Request, Run
from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.streams import Stream, generator
from bayesgc.models import MatrixFactorization
from bayesgc.models.factorization.collapse import collapse
from bayesgc.task import ArrayTask, DenseMeasurements, completion, sensing

SENSING = sensing(3, 4, 1, 5, seed=2)
COMPLETION = completion(3, 4, 1, 5, seed=2)
DENSE_COMPLETION = ArrayTask(
    "data",
    COMPLETION.shape,
    DenseMeasurements(COMPLETION.shape, COMPLETION.measurements.dense()),
    COMPLETION.targets,
    COMPLETION.truth,
)
"""The same cells as rows of a matrix, to go through the algebra of measurements of any kind."""
TASKS = {"sensing": SENSING, "completion": COMPLETION, "completion as rows": DENSE_COMPLETION}


def unnormalised(depth: int = 2, width: int | tuple[int, ...] = 4, activation: str = "linear") -> MatrixFactorization:
    return MatrixFactorization(depth, width, activation, normalize=False)


def collapsed_problem(
    model: MatrixFactorization, task: ArrayTask = SENSING, eps: float = 0.0, *, weights: bool = False
) -> Criterion:
    """As `infer` would put it together."""
    collapsed = collapse(model, task.shape, weights=weights)
    whitened = model.whiten(task.shape, weights=weights) if collapsed is None else collapsed.whitened
    return Criterion(task, whitened, eps, CPU, torch.float32, collapsed)


def collapsed_target(model: MatrixFactorization, task: ArrayTask = SENSING, eps: float = 0.0) -> CollapsedCriterion:
    return CollapsedCriterion(task, collapse(model, task.shape), eps, CPU)


def run(method: Any, problem: Criterion, control: Control | None = None, **request: Any) -> Run:
    return method.run(problem, Request(**request), control or Control())


def task_of(matrices: np.ndarray, truth: np.ndarray) -> ArrayTask:
    """The task of measuring ``truth`` by ``matrices`` (n, rows, cols)."""
    flat = np.asarray(matrices).reshape(len(matrices), -1)
    return ArrayTask("data", truth.shape, DenseMeasurements(truth.shape, flat), flat @ truth.ravel(), truth)


def matrices_of(task: ArrayTask) -> np.ndarray:
    """(n, rows, cols)."""
    return task.measurements.dense().reshape(-1, *task.shape)


def source(block: int = 0) -> torch.Generator:
    return generator(0, Stream.PRIOR, block, CPU)


class Twin:
    """One draw's Gaussian algebra with full matrices: C = I ⊗ K, S = Ā C Āᵀ."""

    def __init__(self, task: ArrayTask, gram: np.ndarray) -> None:
        self.seen, self.held_out = task.measurements.dense(), task.held_out.dense()
        self.task = task
        self.prior = np.kron(np.eye(task.shape[0]), gram)
        shaped = self.seen.reshape(-1, *task.shape)
        self.covariance = np.array([[np.trace(a @ gram @ b.T) for b in shaped] for a in shaped])

    def log_density(self, values: np.ndarray) -> float:
        return float(stats.multivariate_normal(np.zeros(len(values)), self.covariance).logpdf(values))

    def solve(self, values: np.ndarray) -> np.ndarray:
        return np.linalg.solve(self.covariance, values)

    def mean(self, values: np.ndarray) -> np.ndarray:
        return self.prior @ self.seen.T @ self.solve(values)

    @property
    def posterior(self) -> np.ndarray:
        """The covariance of vec W given the measurements."""
        return self.prior - self.prior @ self.seen.T @ np.linalg.solve(self.covariance, self.seen @ self.prior)

    def held_out_variance(self) -> float:
        return float(np.trace(self.held_out @ self.posterior @ self.held_out.T))

    def gen_loss(self, values: np.ndarray) -> float:
        missed = self.held_out @ (self.mean(values) - self.task.truth.ravel())
        return float(missed @ missed + self.held_out_variance()) / len(self.held_out)


def gram(target: CollapsedCriterion, normals: torch.Tensor) -> np.ndarray:
    """(draw, col, col): K of each draw by plain products of its features."""
    features = target.collapsed.features(normals[: target.collapsed.size]).movedim(-1, 0).numpy()
    return np.stack([each.T @ each for each in features])

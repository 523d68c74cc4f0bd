"""Factorised weights of many restarts and the gradient of their training loss, written by hand.

Automatic differentiation records a graph at every step, which at the paper's sizes costs several times the
arithmetic; the gradient of a product of matrices is short enough to write down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.criterion import Criterion
from bayesgc.models import Activation, MatrixFactorization
from bayesgc.models.activations import activation_named
from bayesgc.models.products import product
from bayesgc.task import Task


@dataclass(frozen=True)
class Factors:
    """W_1, …, W_d of every restart; ``layers`` and ``gradients`` are views into ``flat`` and ``gradient``."""

    task: Task
    activation: Activation
    flat: Float[Tensor, "weight restart"]
    gradient: Float[Tensor, "weight restart"]
    layers: list[Float[Tensor, "_ _ restart"]]
    gradients: list[Float[Tensor, "_ _ restart"]]

    @classmethod
    def zeros(cls, model: MatrixFactorization, criterion: Criterion, restarts: int) -> Factors:
        """All weights zero, for ``restarts`` restarts on the criterion's device."""
        shapes = model.layer_shapes(criterion.task.shape)
        sizes = [math.prod(shape) for shape in shapes]
        flat = torch.zeros(sum(sizes), restarts, device=criterion.device, dtype=criterion.dtype)
        gradient = torch.zeros_like(flat)

        def views(whole: Tensor) -> list[Tensor]:
            return [part.unflatten(0, shape) for part, shape in zip(whole.split(sizes), shapes, strict=True)]

        activation = activation_named(model.activation)
        return cls(criterion.task, activation, flat, gradient, views(flat), views(gradient))

    def vectors(self) -> Float[Tensor, "entry restart"]:
        """The raw end-to-end matrices, vectorised row by row."""
        return self._forward()[-1].flatten(0, 1)

    def backpropagate(self) -> Float[Tensor, " restart"]:
        """Fill ``gradient`` with that of the training loss; returns the loss."""
        values = self._forward()
        residual = self.task.residual(values[-1].flatten(0, 1))
        back = self.task.measurements.adjoint(residual).mul_(2 / len(residual)).unflatten(0, self.task.shape)
        for j in range(len(self.layers) - 1, 0, -1):
            product(back, values[j - 1].transpose(0, 1), out=self.gradients[j])
            back = product(self.layers[j].transpose(0, 1), back)
            if self.activation.name != "linear":
                back = back.mul_(self.activation.slope(values[j - 1]))
        self.gradients[0].copy_(back)
        return residual.square().mean(0)

    def _forward(self) -> list[Float[Tensor, "_ _ restart"]]:
        """σ(W_1), σ(W_2 σ(W_1)), …, and last the end-to-end matrix, which no activation follows."""
        values = [self.layers[0]]
        for _, layer in pairwise(self.layers):
            values[-1] = self.activation(values[-1])
            values.append(product(layer, values[-1]))
        return values

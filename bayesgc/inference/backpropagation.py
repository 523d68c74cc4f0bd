"""Factorised weights of many starts and the gradient of their training loss, written by hand.

Automatic differentiation records a graph at every step, which at the paper's sizes costs several times the
arithmetic; the gradient of a product of matrices is short enough to write down. Starts are rows: there are tens of
them and not thousands of draws, and then batched matrix products serve every width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bayesgc.inference.misfit import Misfit, misfit
from bayesgc.models import Activation, MatrixFactorization
from bayesgc.models.activations import activation_named
from bayesgc.task import Task


@dataclass(frozen=True)
class Factors:
    """W_1, …, W_d of every start; ``layers`` and ``gradients`` are views into ``flat`` and ``gradient``."""

    shapes: list[tuple[int, int]]
    misfit: Misfit
    activation: Activation
    flat: Float[Tensor, "start weight"]
    gradient: Float[Tensor, "start weight"]

    @classmethod
    def zeros(
        cls, model: MatrixFactorization, tasks: Sequence[Task], starts: int, device: torch.device, dtype: torch.dtype
    ) -> Factors:
        """All weights zero, for ``starts`` starts on each task, those of one task together."""
        shapes = model.layer_shapes(tasks[0].shape)
        size = sum(math.prod(shape) for shape in shapes)
        flat = torch.zeros(starts * len(tasks), size, device=device, dtype=dtype)
        fit = misfit(tasks, starts, flat)
        return cls(shapes, fit, activation_named(model.activation), flat, torch.zeros_like(flat))

    @property
    def layers(self) -> list[Float[Tensor, "start _ _"]]:
        """W_1, …, W_d."""
        return self._views(self.flat)

    @property
    def gradients(self) -> list[Float[Tensor, "start _ _"]]:
        """The gradient with respect to W_1, …, W_d."""
        return self._views(self.gradient)

    def keep(self, starts: Bool[Tensor, " start"]) -> Factors:
        """Some of the starts, as a copy."""
        return replace(self, misfit=self.misfit.keep(starts), flat=self.flat[starts], gradient=self.gradient[starts])

    def vectors(self) -> Float[Tensor, "start entry"]:
        """The raw end-to-end matrices, vectorised row by row."""
        return self._forward(self.layers)[-1].flatten(1)

    def backpropagate(self) -> Float[Tensor, " start"]:
        """Fill ``gradient`` with that of the training loss; returns the loss."""
        layers, gradients = self.layers, self.gradients
        values = self._forward(layers)
        residual = self.misfit.residual(values[-1].flatten(1))
        back = self.misfit.adjoint(residual * (2 / residual.shape[1])).reshape(values[-1].shape)
        for j in range(len(layers) - 1, 0, -1):
            torch.bmm(back, values[j - 1].mT, out=gradients[j])
            back = torch.bmm(layers[j].mT, back)
            if self.activation.name != "linear":
                back = back.mul_(self.activation.slope(values[j - 1]))
        gradients[0].copy_(back)
        return residual.square().mean(1)

    def _forward(self, layers: list[Tensor]) -> list[Float[Tensor, "start _ _"]]:
        """σ(W_1), σ(W_2 σ(W_1)), …, and last the end-to-end matrix, which no activation follows."""
        values = [layers[0]]
        for _, layer in pairwise(layers):
            values[-1] = self.activation(values[-1])
            values.append(torch.bmm(layer, values[-1]))
        return values

    def _views(self, whole: Tensor) -> list[Tensor]:
        sizes = [math.prod(shape) for shape in self.shapes]
        return [part.unflatten(1, shape) for part, shape in zip(whole.split(sizes, 1), self.shapes, strict=True)]

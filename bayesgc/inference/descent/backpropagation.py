"""Weights of many starts and the gradient of their training loss: by hand for matrices, else by differentiation.

Automatic differentiation records a graph at every step, which at the paper's sizes costs several times the
arithmetic; the gradient of a product of matrices is short enough to write down. Starts are rows: there are tens of
them and not thousands of draws, and then batched matrix products serve every width.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bayesgc.inference.descent.misfit import Misfit, misfit
from bayesgc.models import Activation, Factorization, MatrixFactorization
from bayesgc.models.activations import activation_named
from bayesgc.models.factorization.architectures import Network
from bayesgc.task import ArrayTask

Layers = list[Float[Tensor, "start _ _"]]


@dataclass(frozen=True)
class Weights(ABC):
    """The weights of every start; ``layers`` and ``gradients`` are views into ``flat`` and ``gradient``."""

    shapes: list[tuple[int, int]]
    misfit: Misfit
    flat: Float[Tensor, "start weight"]
    gradient: Float[Tensor, "start weight"]

    @abstractmethod
    def vectors(self) -> Float[Tensor, "start entry"]:
        """The raw end-to-end arrays, vectorised row-major."""

    @abstractmethod
    def backpropagate(self) -> tuple[Float[Tensor, " start"], Float[Tensor, "start entry"]]:
        """Fill ``gradient`` with that of the training loss; returns the loss and the raw end-to-end arrays."""

    @cached_property
    def layers(self) -> Layers:
        """The weight matrices, in the order in which they act."""
        return self._views(self.flat)

    @cached_property
    def gradients(self) -> Layers:
        """The gradient with respect to each."""
        return self._views(self.gradient)

    def keep(self, starts: Bool[Tensor, " start"]) -> Weights:
        """Some of the starts, as a copy."""
        return replace(self, misfit=self.misfit.keep(starts), flat=self.flat[starts], gradient=self.gradient[starts])

    def _views(self, whole: Tensor) -> Layers:
        sizes = [math.prod(shape) for shape in self.shapes]
        return [part.unflatten(1, shape) for part, shape in zip(whole.split(sizes, 1), self.shapes, strict=True)]


@dataclass(frozen=True)
class Factors(Weights):
    """W_1, …, W_d of a matrix factorisation, with its gradient written by hand."""

    activation: Activation

    def vectors(self) -> Float[Tensor, "start entry"]:
        """The raw end-to-end matrices, vectorised row by row."""
        return self._forward(self.layers)[-1].flatten(1)

    def backpropagate(self) -> tuple[Float[Tensor, " start"], Float[Tensor, "start entry"]]:
        """Fill ``gradient`` with that of the training loss; returns the loss and the raw end-to-end arrays."""
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
        return residual.square().mean(1), values[-1].flatten(1)

    def _forward(self, layers: Layers) -> Layers:
        """σ(W_1), σ(W_2 σ(W_1)), …, and last the end-to-end matrix, which no activation follows."""
        values = [layers[0]]
        for _, layer in pairwise(layers):
            values[-1] = self.activation(values[-1])
            values.append(torch.bmm(layer, values[-1]))
        return values


@dataclass(frozen=True)
class DifferentiatedWeights(Weights):
    """The weights of any model, with the gradient by automatic differentiation.

    ``assemble`` makes the raw end-to-end arrays of the weight matrices, differentiably and each start by itself.
    """

    assemble: Callable[[Layers], Float[Tensor, "start entry"]]

    def vectors(self) -> Float[Tensor, "start entry"]:
        """The raw end-to-end arrays, vectorised row-major."""
        return self.assemble(self.layers)

    def backpropagate(self) -> tuple[Float[Tensor, " start"], Float[Tensor, "start entry"]]:
        """Fill ``gradient`` with that of the training loss; returns the loss and the raw end-to-end arrays."""
        with torch.enable_grad():
            flat = self.flat.detach().requires_grad_()
            vectors = self.assemble(self._views(flat))
        residual = self.misfit.residual(vectors.detach())
        back = self.misfit.adjoint(residual * (2 / residual.shape[1]))
        self.gradient.copy_(torch.autograd.grad(vectors, flat, back)[0])
        return residual.square().mean(1), vectors.detach()


def weights_of(
    model: Factorization, tasks: Sequence[ArrayTask], starts: int, device: torch.device, dtype: torch.dtype
) -> Weights:
    """All weights zero, for ``starts`` starts on each task, those of one task together."""
    shape = tasks[0].shape
    shapes = model.layer_shapes(shape)
    flat = torch.zeros(starts * len(tasks), sum(math.prod(size) for size in shapes), device=device, dtype=dtype)
    parts = (shapes, misfit(tasks, starts, flat), flat, torch.zeros_like(flat))
    if isinstance(model, MatrixFactorization):
        return Factors(*parts, activation_named(model.activation))
    return DifferentiatedWeights(*parts, _raw(model.network(shape)))


def _raw(network: Network) -> Callable[[Layers], Float[Tensor, "start entry"]]:
    """What a network makes, not normalised, with the starts in front."""

    def assemble(layers: Layers) -> Float[Tensor, "start entry"]:
        return network.forward([layer.movedim(0, -1) for layer in layers], normalize=False).flatten(0, 1).T

    return assemble

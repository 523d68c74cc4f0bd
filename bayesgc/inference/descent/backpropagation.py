"""Weights of many starts and the gradient of their training loss: by hand for matrices, else by differentiation.

Automatic differentiation records a graph at every step, which at the paper's sizes costs several times the
arithmetic; the gradient of a product of matrices is short enough to write down (`passes`). Starts are rows, whatever
their order in memory.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bayesgc.inference.descent.misfit import Misfit, misfit
from bayesgc.inference.descent.passes import Passes
from bayesgc.inference.descent.products import matrices, starts_are_last, starts_belong_last, zeros
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
        """The raw end-to-end arrays, vectorised row-major; the next call may write over them."""

    @abstractmethod
    def backpropagate(self) -> tuple[Float[Tensor, "start n"], Float[Tensor, "start entry"]]:
        """Fill ``gradient`` with that of the training loss; returns the residuals and the `vectors`."""

    @cached_property
    def layers(self) -> Layers:
        """The weight matrices, in the order in which they act."""
        return matrices(self.flat, self.shapes)

    @cached_property
    def gradients(self) -> Layers:
        """The gradient with respect to each."""
        return matrices(self.gradient, self.shapes)

    def keep(self, starts: Bool[Tensor, " start"]) -> Weights:
        """Some of the starts, as a copy."""
        flat = self.room(int(starts.sum())).copy_(self.flat[starts])
        return replace(self, misfit=self.misfit.keep(starts), flat=flat, gradient=torch.zeros_like(flat))

    def room(self, starts: int) -> Float[Tensor, "start weight"]:
        """Zeros in place of the weights of so many starts."""
        return zeros(starts, self.flat.shape[1], self.flat, starts_last=starts_are_last(self.flat))


@dataclass(frozen=True)
class Factors(Weights):
    """W_1, …, W_d of a matrix factorisation, with its gradient written by hand."""

    activation: Activation

    def vectors(self) -> Float[Tensor, "start entry"]:
        """The raw end-to-end matrices, vectorised row by row; the next call may write over them."""
        self._passes.forward()
        return self._passes.end_to_end.flatten(1)

    def backpropagate(self) -> tuple[Float[Tensor, "start n"], Float[Tensor, "start entry"]]:
        """Fill ``gradient`` with that of the training loss; returns the residuals and the `vectors`."""
        vectors, error = self.vectors(), self._passes.error
        residual = self.misfit.residual(vectors)
        error.copy_(self.misfit.gradient(residual).reshape(error.shape))
        self._passes.backward()
        return residual, vectors

    def room(self, starts: int) -> Float[Tensor, "start weight"]:
        """Zeros in place of the weights of so many starts, in the order in memory that is fastest for them."""
        return room_for_factors(self.shapes, starts, self.flat)

    @cached_property
    def _passes(self) -> Passes:
        return Passes(self.shapes, self.flat, self.gradient, self.activation)


@dataclass(frozen=True)
class DifferentiatedWeights(Weights):
    """The weights of any model, with the gradient by automatic differentiation.

    ``assemble`` makes the raw end-to-end arrays of the weight matrices, differentiably and each start by itself.
    """

    assemble: Callable[[Layers], Float[Tensor, "start entry"]]

    def vectors(self) -> Float[Tensor, "start entry"]:
        """The raw end-to-end arrays, vectorised row-major."""
        return self.assemble(self.layers)

    def backpropagate(self) -> tuple[Float[Tensor, "start n"], Float[Tensor, "start entry"]]:
        """Fill ``gradient`` with that of the training loss; returns the residuals and the `vectors`."""
        with torch.enable_grad():
            vectors = self.assemble(self._leaves)
        residual = self.misfit.residual(vectors.detach())
        found = torch.autograd.grad(vectors, self._leaves, self.misfit.gradient(residual))
        for place, gradient in zip(self.gradients, found, strict=True):
            place.copy_(gradient)
        return residual, vectors.detach()

    @cached_property
    def _leaves(self) -> Layers:
        return [layer.detach().requires_grad_() for layer in self.layers]


def weights_of(
    model: Factorization, tasks: Sequence[ArrayTask], starts: int, device: torch.device, dtype: torch.dtype
) -> Weights:
    """All weights zero, for ``starts`` starts on each task, those of one task together."""
    shape, rows = tasks[0].shape, starts * len(tasks)
    shapes, like = model.layer_shapes(shape), torch.empty(0, device=device, dtype=dtype)
    if isinstance(model, MatrixFactorization):
        flat = room_for_factors(shapes, rows, like)
        return Factors(
            shapes, misfit(tasks, starts, like), flat, torch.zeros_like(flat), activation_named(model.activation)
        )
    # As networks take them.
    flat = zeros(rows, sum(map(math.prod, shapes)), like, starts_last=True)
    return DifferentiatedWeights(
        shapes, misfit(tasks, starts, like), flat, torch.zeros_like(flat), _raw(model.network(shape))
    )


def room_for_factors(shapes: list[tuple[int, int]], starts: int, like: Tensor) -> Float[Tensor, "start weight"]:
    """Zeros in place of the weights of so many starts, in the order in memory in which they are multiplied fastest."""
    multiplications = max(map(math.prod, shapes)) * shapes[0][1]
    last = starts_belong_last(multiplications, starts, like.device)
    return zeros(starts, sum(map(math.prod, shapes)), like, starts_last=last)


def _raw(network: Network) -> Callable[[Layers], Float[Tensor, "start entry"]]:
    """What a network makes, not normalised, with the starts in front."""

    def assemble(layers: Layers) -> Float[Tensor, "start entry"]:
        return network.forward([layer.movedim(0, -1) for layer in layers], normalize=False).flatten(0, 1).T

    return assemble

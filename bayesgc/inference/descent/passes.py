"""Forward through the layers of a matrix factorisation and back: the gradient of its product, written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby

from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.descent.products import Products, Run, matrices, stacks, starts_are_last, zeros
from bayesgc.models import Activation

Shapes = list[tuple[int, int]]

_AT_ONCE = 2**17
"""Scalar products of several layers that are made at once: half a MiB in float32."""


class Passes:
    """From weights to ``end_to_end``, W = W_d σ(W_{d−1} σ(… σ(W_1))), and from ``error``, a gradient in W, to theirs.

    Args:
        shapes: those of W_1, …, W_d.
        flat: the weights of every start.
        gradient: where their gradient goes, in the same order in memory.
        activation: σ.
    """

    def __init__(
        self,
        shapes: Shapes,
        flat: Float[Tensor, "start weight"],
        gradient: Float[Tensor, "start weight"],
        activation: Activation,
    ) -> None:
        self._activation = None if activation.identity else activation
        made = [(rows, shapes[0][1]) for rows, _ in shapes]
        numbers, last = sum(map(math.prod, made)), starts_are_last(flat)
        self._made, self._slopes, errors = (zeros(len(flat), numbers, flat, starts_last=last) for _ in range(3))
        layers, values, slopes, back = (
            matrices(flat, shapes),
            *(matrices(each, made) for each in (self._made, self._slopes, errors)),
        )
        self.end_to_end, self.error = values[-1], back[-1]
        self._first, self._last = (layers[0], values[0]), (back[0], matrices(gradient, shapes)[0])
        products = Products(_most_terms(shapes, len(flat)) if last else None, flat)
        self._up = [
            (below, products.into(above, layer, below))
            for layer, below, above in zip(layers[1:], values[:-1], values[1:], strict=True)
        ]
        self._down = [
            (products.into(below, layer.mT, above), below, slope)
            for layer, above, below, slope in zip(layers[:0:-1], back[:0:-1], back[-2::-1], slopes[-2::-1], strict=True)
        ]
        self._across = _gradients(products, shapes, self._made, errors, gradient)

    def forward(self) -> None:
        """Compute ``end_to_end``."""
        layer, value = self._first
        value.copy_(layer)
        for below, multiply in self._up:
            if self._activation is not None:
                below.copy_(self._activation(below))
            multiply()

    def backward(self) -> None:
        """Compute the gradient with respect to the weights from that with respect to W, which ``error`` holds."""
        if self._activation is not None:
            self._slopes.copy_(self._activation.slope(self._made))
        for multiply, below, slope in self._down:
            multiply()
            if self._activation is not None:
                below.mul_(slope)
        error, gradient = self._last
        gradient.copy_(error)
        for multiply in self._across:
            multiply()


def _gradients(
    products: Products,
    shapes: Shapes,
    made: Float[Tensor, "start number"],
    errors: Float[Tensor, "start number"],
    gradient: Float[Tensor, "start weight"],
) -> list[Callable[[], object]]:
    """What makes the gradients of all layers but the first, where the order in memory allows it of several at once."""
    cols, (first, *others) = shapes[0][1], shapes
    together = starts_are_last(made) or len(made) == 1
    runs = _runs(others, cols, len(made)) if together else [(shape, 1) for shape in others]
    above = stacks(errors[:, first[0] * cols :], [((rows, cols), count) for (rows, _), count in runs])
    below = stacks(
        made[:, : made.shape[1] - shapes[-1][0] * cols], [((inner, cols), count) for (_, inner), count in runs]
    )
    places = stacks(gradient[:, math.prod(first) :], runs)
    return [products.into(place, error, value.mT) for error, value, place in zip(above, below, places, strict=True)]


def _most_terms(shapes: Shapes, starts: int) -> int:
    return max(_AT_ONCE, max(map(math.prod, shapes)) * shapes[0][1] * starts)


def _runs(shapes: Shapes, cols: int, starts: int) -> list[Run]:
    """Shapes that follow each other, as many as their products for all starts still fit into the cache."""
    runs: list[Run] = []
    for shape, run in groupby(shapes):
        left = len(list(run))
        most = max(1, _AT_ONCE // (math.prod(shape) * cols * starts))
        runs += [(shape, min(most, left - done)) for done in range(0, left, most)]
    return runs

"""Passes over the layers of a network, of which one changes at a time: what the others make of it is kept.

Between them the layers of a linear chain are one matrix below the layer at hand and one above it, so that a change of
any layer costs two products, however deep the network. With an activation what lies below is kept, and what lies above
acts anew.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from bayesgc.models.activations import Activation
from bayesgc.models.factorization.products import RESCALE_EVERY, Scaled, chain, product, unit_norm

Layer = Float[Tensor, "_ _ draw"]


class LayerPass(ABC):
    """One pass over the layers, in the order in which they are listed."""

    @abstractmethod
    def value(self, layer: Layer) -> Scaled:
        """What the network makes with another layer in place of the one at hand."""

    @abstractmethod
    def advance(self, layer: Layer) -> None:
        """Go on to the next layer: the one at hand is to be this."""


class Anew(LayerPass):
    """Of a network of which nothing is kept."""

    def __init__(self, network: Callable[[list[Layer]], Scaled], layers: list[Layer]) -> None:
        self._network, self._layers, self._place = network, layers, 0

    def value(self, layer: Layer) -> Scaled:
        """What the network makes of all layers."""
        return self._network([*self._layers[: self._place], layer, *self._layers[self._place + 1 :]])

    def advance(self, layer: Layer) -> None:
        """Keep the layer."""
        self._layers[self._place] = layer
        self._place += 1


class Upward(LayerPass):
    """Of a chain with an activation: what lies below the layer at hand is made once."""

    def __init__(self, activation: Activation, layers: list[Layer]) -> None:
        self._activation, self._layers, self._place = activation, layers, 0
        self._below: Scaled | None = None

    def value(self, layer: Layer) -> Scaled:
        """The layer, and those above it, on what lies below."""
        return self._through([layer, *self._layers[self._place + 1 :]])

    def advance(self, layer: Layer) -> None:
        """Put the layer on what lies below."""
        self._below = self._through([layer])
        self._place += 1

    def _through(self, layers: list[Layer]) -> Scaled:
        if self._below is None:
            return chain(layers[0], layers[1:], self._activation)
        value, log_scale = self._below
        return chain(value, layers, self._activation, log_scale, start=self._place + 1)


class Between(LayerPass):
    """Of a linear chain: one matrix lies below the layer at hand, and one above it."""

    def __init__(self, layers: list[Layer]) -> None:
        self._long = len(layers) > RESCALE_EVERY
        self._below: Scaled | None = None
        self._above: list[Scaled | None] = [None]
        for layer in reversed(layers[1:]):
            self._above.append(self._rescaled(_times(self._above[-1], (layer, None)), len(self._above)))
        self._place = 0

    def value(self, layer: Layer) -> Scaled:
        """The layer between the two."""
        return _times(self._above[-1], _times((layer, None), self._below))

    def advance(self, layer: Layer) -> None:
        """Put the layer on what lies below, and take the next one off what lies above."""
        self._place += 1
        self._below = self._rescaled(_times((layer, None), self._below), self._place)
        self._above.pop()

    def _rescaled(self, scaled: Scaled, layers: int) -> Scaled:
        """Often enough for both matrices and the layer between them to stay within the range of numbers together."""
        if not self._long or layers % (RESCALE_EVERY // 2):
            return scaled
        value, norm = unit_norm(scaled[0])
        return value, norm.log() if scaled[1] is None else scaled[1] + norm.log()


def _times(left: Scaled | None, right: Scaled | None) -> Scaled:
    """The product of two matrices, either of which may be missing."""
    if left is None or right is None:
        [known] = [each for each in (left, right) if each is not None]
        return known
    scales = [log_scale for _, log_scale in (left, right) if log_scale is not None]
    return product(left[0], right[0]), sum(scales[1:], scales[0]) if scales else None

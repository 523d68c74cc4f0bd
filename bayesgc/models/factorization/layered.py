"""Layers as functions of standard normals of their own, the draw axis last throughout."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from itertools import accumulate, pairwise

from jaxtyping import Float
from torch import Tensor

from bayesgc.models.factorization.architectures import Network
from bayesgc.models.factorization.products import finished, live
from bayesgc.models.whitening import OutputSweep, Whitened


class LayeredFactors(Whitened):
    """A network of layers, each a function of its own normals, which are blocks of a column."""

    shapes: list[tuple[int, int]]
    """(rows, cols) of each layer."""
    names: list[str]
    network: Network
    normalize: bool
    """Whether the array is divided by its Frobenius norm."""
    sizes: list[int]
    """The standard normals of each layer."""

    @property
    def gaussian_scales(self) -> tuple[float, ...] | None:
        """s of each layer where all are s times their own normals, row-major, and the array is their product."""
        return None

    @abstractmethod
    def layer(self, index: int, own: Float[Tensor, "own draw"]) -> Float[Tensor, "_ _ draw"]:
        """One layer of each draw, from its own normals."""

    @cached_property
    def blocks(self) -> tuple[slice, ...]:
        """The normals of each layer."""
        return tuple(slice(start, end) for start, end in pairwise(accumulate(self.sizes, initial=0)))

    @property
    def working(self) -> int:
        """Layers act one after another, so of a deep network only a few are in use."""
        return live(self.shapes, self.size)

    def layers(self, normals: Float[Tensor, "latent draw"]) -> list[Float[Tensor, "_ _ draw"]]:
        """The layers of each draw; only the first of them when the normals are theirs alone."""
        known = [rows for rows in self.blocks if rows.stop <= normals.shape[0]]
        return [self.layer(index, normals[rows]) for index, rows in enumerate(known)]

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The arrays, vectorised row-major."""
        return self.network.forward(self.layers(normals), normalize=self.normalize).flatten(0, 1)

    def sweep(self, normals: Float[Tensor, "latent draw"]) -> LayerSweep:
        """A pass over the layers of these columns."""
        return LayerSweep(self, normals)


class LayerSweep(OutputSweep):
    """A pass over the layers of columns."""

    def __init__(self, factors: LayeredFactors, normals: Float[Tensor, "latent draw"]) -> None:
        self.factors, self.normals = factors, normals
        self._pass, self._index = factors.network.layer_pass(factors.layers(normals)), 0

    def vectors(self, proposal: Float[Tensor, "row draw"]) -> Float[Tensor, "entry draw"]:
        """The arrays with other normals in the layer at hand."""
        value = self._pass.value(self.factors.layer(self._index, proposal))
        return finished(value, normalize=self.factors.normalize).flatten(0, 1)

    def advance(self) -> None:
        """Go on to the next layer."""
        own = self.normals[self.factors.blocks[self._index]]
        self._pass.advance(self.factors.layer(self._index, own))
        self._index += 1

"""Width-free draws: a linear Gaussian factorisation in law, from matrices no larger than the task's sides.

A Gaussian matrix with at least as many rows as columns is Q R in law: Q has orthonormal columns and is independent of
R, which is upper triangular with R_ii ~ χ_{rows−i+1} and N(0, 1) above (Bartlett 1933). The next layer times Q is
Gaussian again, so from the input on each layer can give way to its R: W_1 to one with cols columns and rows, then W_2,
and so on; a layer that is narrower than what enters it stays a Gaussian matrix. The last one always does. Read from
the output on, by transposition, the first one does. The cost of a draw does not depend on the widths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.models.activations import activation_named
from bayesgc.models.factorization.architectures import ChainNetwork
from bayesgc.models.factorization.layered import LayeredFactors
from bayesgc.models.priors.laws import centred_gaussian_scale
from bayesgc.models.transports.chi import ChiTransport
from bayesgc.validate import InputError

Size = tuple[int, int]


@dataclass(frozen=True)
class ReducedLayer:
    """``scale`` times a Gaussian matrix, or a triangular one with chi variables on its diagonal.

    ``freedoms`` are their degrees of freedom; none for a Gaussian matrix. ``lower`` says on which side of the diagonal
    a triangular one has its normals.
    """

    shape: Size
    scale: float
    freedoms: tuple[int, ...] = ()
    lower: bool = False

    @property
    def size(self) -> int:
        """Standard normals that make one draw."""
        side = len(self.freedoms)
        return side * (side + 1) // 2 if side else math.prod(self.shape)

    @property
    def transposed(self) -> ReducedLayer:
        """The layer whose draws are the transposes."""
        return replace(self, shape=self.shape[::-1], lower=not self.lower)

    def draw(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "row col draw"]:
        """The matrix of each draw: a triangular one takes its diagonal from the first normals, then the rest by row."""
        if not self.freedoms:
            return self.scale * normals.unflatten(0, self.shape)
        side = len(self.freedoms)
        places = self._places.like(normals)
        entries = torch.cat([self._diagonal.push(normals[:side]), self.scale * normals[side:]])
        return normals.new_zeros(side * side, normals.shape[1]).index_copy(0, places, entries).unflatten(0, self.shape)

    @cached_property
    def _diagonal(self) -> ChiTransport:
        return ChiTransport(self.freedoms, self.scale)

    @cached_property
    def _places(self) -> DeviceCopies:
        """The flat place of each entry in the matrix."""
        side = len(self.freedoms)
        row, col = np.tril_indices(side, -1) if self.lower else np.triu_indices(side, 1)
        return DeviceCopies(np.concatenate([np.arange(side) * (side + 1), row * side + col]))


class TriangularFactors(LayeredFactors):
    """A linear Gaussian factorisation as a function of few standard normals.

    The end-to-end matrix has the law of the model's; the weights are not those of the model, and there is no way back.

    Args:
        layers: in the order in which they act.
        normalize: divide the end-to-end matrix by its Frobenius norm.
    """

    def __init__(self, layers: Sequence[ReducedLayer], *, normalize: bool) -> None:
        self.reduced = tuple(layers)
        self.shapes = [layer.shape for layer in layers]
        self.names = [f"W{j}" for j in range(1, len(layers) + 1)]
        self.network = ChainNetwork(activation_named("linear"))
        self.normalize = normalize
        self.sizes = [layer.size for layer in layers]
        self.size = sum(self.sizes)

    @property
    def last_gaussian(self) -> bool:
        """Whether the last layer is a Gaussian matrix, given which the rows of W are Gaussian too."""
        return not self.reduced[-1].freedoms

    def layer(self, index: int, own: Float[Tensor, "own draw"]) -> Float[Tensor, "row col draw"]:
        """One reduced layer of each draw, from its own normals."""
        return self.reduced[index].draw(own)

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Float[Tensor, "draw row col"]]:
        """Refused: the draws are made without the model's weights.

        Raises:
            InputError: always.
        """
        raise InputError("these draws are made without the weights; whiten the model with weights=True to have them.")


def from_input(sizes: Sequence[Size], scales: Sequence[float]) -> list[ReducedLayer]:
    """The reduced layers of Gaussian matrices of these (rows, cols) and scales, from the input on.

    The last one is a Gaussian matrix with the scale of the model's last layer.
    """
    layers, entering = [], sizes[0][1]
    for (rows, _), scale in zip(sizes[:-1], scales[:-1], strict=True):
        leaving = min(rows, entering)
        freedoms = tuple(rows - i for i in range(entering)) if rows >= entering else ()
        layers.append(ReducedLayer((leaving, entering), scale, freedoms))
        entering = leaving
    return [*layers, ReducedLayer((sizes[-1][0], entering), scales[-1])]


def from_output(sizes: Sequence[Size], scales: Sequence[float]) -> list[ReducedLayer]:
    """The same from the output on; here the first one is a Gaussian matrix."""
    turned = from_input([(cols, rows) for rows, cols in reversed(sizes)], scales[::-1])
    return [layer.transposed for layer in reversed(turned)]


def triangular_factors(
    sizes: Sequence[Size], laws: Sequence[dist.Distribution], *, normalize: bool
) -> TriangularFactors | None:
    """A reduced form of a linear factorisation with at most half its normals, or None.

    There is none where a law is not Gaussian around zero, and none worth its chi variables where the widths are about
    the sides. From the input on where that will do, since a Gaussian last layer can be integrated out.
    """
    scales = [scale for law in laws if (scale := centred_gaussian_scale(law)) is not None]
    if len(scales) < len(laws):
        return None
    full = sum(math.prod(size) for size in sizes)
    for reduce in (from_input, from_output):
        layers = reduce(sizes, scales)
        if 2 * sum(layer.size for layer in layers) <= full:
            return TriangularFactors(layers, normalize=normalize)
    return None

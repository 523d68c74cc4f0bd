"""Networks whose outputs are divided by the size of their weights, so that a threshold on a loss is none on that size.

A network of layers that are homogeneous in their weights gives one label whatever their size, and any cross-entropy.
Chiang et al. 2023 divide its outputs by the product over layers of ‖W‖_F/3, Peleg and Hein 2024 by that of the spectral
norms, which bounds its Lipschitz constant, for convolutions up to a factor that is the architecture's own. The norms
are those of the weight matrices without biases, a convolution's being (channels out) × (channels in and window), and
the outputs are divided whole, those of biases too. A label depends on none of it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from bayesgc.models.whitening import OutputSweep, Whitened
from bayesgc.validate import one_of

_SQUARINGS = 12
"""Of a Gram matrix: singular values further apart than the 2⁻¹²th part are told apart, and others need not be."""


def frobenius(weight: Float[Tensor, "draw row col"]) -> Float[Tensor, " draw"]:
    """‖W‖_F/3."""
    return torch.linalg.vector_norm(weight, dim=(1, 2)) / 3


def spectral(weight: Float[Tensor, "draw row col"]) -> Float[Tensor, " draw"]:
    """The largest singular value, by the Rayleigh quotient of a high power of the Gram matrix."""
    size = frobenius(weight).clamp_min(_TINY)
    weight = weight / size[:, None, None]
    gram = weight @ weight.mT if weight.shape[1] <= weight.shape[2] else weight.mT @ weight
    power = gram
    for _ in range(_SQUARINGS):
        power = power @ power
        power = power / power.diagonal(dim1=1, dim2=2).sum(1).clamp_min(_TINY)[:, None, None]
    largest = power.diagonal(dim1=1, dim2=2).argmax(1)
    vector = power[torch.arange(len(power), device=power.device), :, largest]
    quotient = torch.linalg.vecdot(vector, (gram @ vector[:, :, None])[:, :, 0])
    return size * (quotient / vector.square().sum(1).clamp_min(_TINY)).sqrt()


_TINY = 1e-30

NORMALIZATIONS = {"frobenius": frobenius, "lipschitz": spectral}
NORMALIZATION_SUMMARIES = {
    "frobenius": "a network's outputs divided by the product of ‖W‖_F/3 over its layers (Chiang et al. 2023)",
    "lipschitz": "by the product of the spectral norms of its layers (Peleg and Hein 2024)",
}


def check_normalization(name: str | None) -> None:
    """Refuse what is no normalisation.

    Raises:
        InputError: for an unknown name.
    """
    if name is not None:
        one_of("normalize_weights", name, NORMALIZATIONS)


def log_size(matrices: list[Float[Tensor, "draw _ _"]], name: str) -> Float[Tensor, " draw"] | float:
    """log of the product of the sizes of some weight matrices."""
    measure = NORMALIZATIONS[name]
    return sum((measure(each).clamp_min(_TINY).log() for each in matrices), start=0.0)


class NormalizedNetwork(Whitened):
    """A whitened network with its outputs divided by the size of its weights."""

    tests_apart = True

    def __init__(self, network: Whitened, name: str) -> None:
        self.network, self.name, self.size = network, name, network.size

    @property
    def blocks(self) -> tuple[slice, ...]:
        """Those of the network."""
        return self.network.blocks

    @property
    def working(self) -> int:
        """Those of the network."""
        return self.network.working

    @property
    def working_held_out(self) -> int:
        """Those of the network."""
        return self.network.working_held_out

    @property
    def work_held_out(self) -> int:
        """That of the network."""
        return self.network.work_held_out

    def draw(
        self, generator: torch.Generator, count: int, *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "latent draw"]:
        """Columns of the prior, laid out as the network's."""
        return self.network.draw(generator, count, device=device, dtype=dtype)

    def log_size(self, index: int, own: Float[Tensor, "own draw"]) -> Float[Tensor, " draw"] | float:
        """That of one block."""
        return log_size(self.network.matrices(index, own), self.name)  # type: ignore[attr-defined]

    def scale(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, " draw"]:
        """What the outputs are divided by."""
        sizes = [self.log_size(index, normals[rows]) for index, rows in enumerate(self.blocks)]
        return (normals.new_zeros(normals.shape[1]) + sum(sizes)).exp()

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The normalised outputs at the training inputs."""
        return self.network.vectors(normals) / self.scale(normals)

    def held_out(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "held_out draw"] | None:
        """The normalised outputs at the test inputs."""
        found = self.network.held_out(normals, generator)
        return None if found is None else found / self.scale(normals)

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Shaped[Tensor, "draw *site"]]:
        """The weights as they are."""
        return self.network.weights(normals)

    def sweep(self, normals: Float[Tensor, "latent draw"]) -> OutputSweep:
        """A pass over the blocks, with the sizes of those that rest kept."""
        return _NormalizedSweep(self, normals)


class _NormalizedSweep(OutputSweep):
    def __init__(self, whitened: NormalizedNetwork, normals: Float[Tensor, "latent draw"]) -> None:
        self.whitened, self.normals, self._index = whitened, normals, 0
        self._sweep = whitened.network.sweep(normals)
        self._sizes = [whitened.log_size(index, normals[rows]) for index, rows in enumerate(whitened.blocks)]

    def vectors(self, proposal: Float[Tensor, "row draw"]) -> Float[Tensor, "entry draw"]:
        others = sum(size for index, size in enumerate(self._sizes) if index != self._index)
        own = self.whitened.log_size(self._index, proposal)
        return self._sweep.vectors(proposal) * (-(others + own) + proposal.new_zeros(proposal.shape[1])).exp()

    def advance(self) -> None:
        own = self.normals[self.whitened.blocks[self._index]]
        self._sizes[self._index] = self.whitened.log_size(self._index, own)
        self._sweep.advance()
        self._index += 1

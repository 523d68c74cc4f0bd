"""Torch modules as functions of standard normals: whole, or one layer changed at a time."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.models.networks.stages import Chain
from bayesgc.models.placement import push_beside
from bayesgc.models.transports.registry import transport_of
from bayesgc.models.whitening import OutputSweep, Whitened


class WhitenedModule(Whitened):
    """A module as a function of standard normals.

    Args:
        chain: the module.
        layers: the names of the parameters of each layer, in the order in which layers act.
        shapes: the axes of each parameter.
        laws: the prior of each parameter as a matrix.
        train: the training inputs as the module takes them.
        test: the test inputs; None for none.
        work: multiplications for one example.
    """

    tests_apart = True

    def __init__(
        self,
        chain: Chain,
        layers: list[list[str]],
        shapes: dict[str, tuple[int, ...]],
        laws: dict[str, dist.Distribution],
        train: DeviceCopies,
        test: DeviceCopies | None,
        work: int,
    ) -> None:
        self.chain, self.layers, self.shapes, self.laws = chain, layers, shapes, laws
        self.train, self.test, self.work = train, test, work
        self._transports = {name: transport_of(law, name) for name, law in laws.items()}
        self._normals = {name: self._transports[name].normals(law) for name, law in laws.items()}
        ends = [0, *accumulate(sum(math.prod(self._normals[name]) for name in layer) for layer in layers)]
        self._blocks = tuple(slice(start, end) for start, end in pairwise(ends))
        self.size = ends[-1]
        # The stage that each layer is in.
        self.stage = [next(i for i, stage in enumerate(chain.stages) if layer[0] in stage.names) for layer in layers]

    @property
    def blocks(self) -> tuple[slice, ...]:
        """The normals of each layer."""
        return self._blocks

    def draw(
        self, generator: torch.Generator, count: int, *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "latent draw"]:
        """Columns of the prior, each whole in memory, as the draws come first inside."""
        return torch.randn(count, self.size, generator=generator, device=device, dtype=dtype).T

    def sweep(self, normals: Float[Tensor, "latent draw"]) -> ModuleSweep:
        """A pass over the layers of these columns."""
        return ModuleSweep(self, normals)

    @property
    def working(self) -> int:
        """All weights, or the largest result at the training inputs."""
        return max(self.size, self.chain.largest * min(len(self.train.array), self.chain.at_once))

    @property
    def working_held_out(self) -> int:
        """The same at as many test inputs as are passed through together."""
        tested = 0 if self.test is None else len(self.test.array)
        return max(self.working, self.chain.largest * min(tested, self.chain.at_once))

    @property
    def work_held_out(self) -> int:
        """Those of all test inputs."""
        return 0 if self.test is None else self.work * len(self.test.array)

    def layer(self, index: int, own: Float[Tensor, "own draw"]) -> dict[str, Float[Tensor, "draw ..."]]:
        """The parameters of one layer, from its own normals."""
        names = self.layers[index]
        pieces = own.split([math.prod(self._normals[name]) for name in names])
        return {name: self._parameter(name, piece) for name, piece in zip(names, pieces, strict=True)}

    def _parameter(self, name: str, own: Float[Tensor, "own draw"]) -> Float[Tensor, "draw ..."]:
        piece = own.T.reshape(own.shape[1], *self._normals[name])
        value = push_beside(self._transports[name].push, self.laws[name], piece).to(own.dtype)
        return value.reshape(own.shape[1], *self.shapes[name])

    def matrices(self, index: int, own: Float[Tensor, "own draw"]) -> list[Float[Tensor, "draw _ _"]]:
        """The weight matrices of one layer, biases and other vectors left out."""
        return matrices(self.layer(index, own))

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Float[Tensor, "draw ..."]]:
        """The parameters of each draw, by name."""
        layers = (self.layer(index, normals[rows]) for index, rows in enumerate(self.blocks))
        return {name: value for layer in layers for name, value in layer.items()}

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The outputs at the training inputs, vectorised example by example."""
        return _vectorised(self.chain.outputs(self.weights(normals), self.train.like(normals)))

    def held_out(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "held_out draw"] | None:
        """The outputs at the test inputs, vectorised likewise."""
        if self.test is None:
            return None
        return _vectorised(self.chain.outputs(self.weights(normals), self.test.like(normals)))


def matrices(parameters: dict[str, Float[Tensor, "draw ..."]]) -> list[Float[Tensor, "draw _ _"]]:
    """Those of some parameters with two axes or more, as matrices: of a convolution with a row for each channel."""
    return [each.flatten(2) for each in parameters.values() if each.ndim > 2]


def _vectorised(outputs: Float[Tensor, "draw example output"]) -> Float[Tensor, "entry draw"]:
    return outputs.flatten(1).T


class ModuleSweep(OutputSweep):
    """A pass over the layers of columns: what lies below the stage of a layer is made once, the rest anew."""

    def __init__(self, whitened: WhitenedModule, normals: Float[Tensor, "latent draw"]) -> None:
        self.whitened, self.normals = whitened, normals
        self._index = self._stage = 0
        self._parameters = whitened.weights(normals)
        self._below, self._shared = whitened.train.like(normals), True

    def vectors(self, proposal: Float[Tensor, "row draw"]) -> Float[Tensor, "entry draw"]:
        """The outputs with other weights in the layer at hand."""
        changed = self._parameters | self.whitened.layer(self._index, proposal)
        chain, stages = self.whitened.chain, slice(self._stage, len(self.whitened.chain.stages))
        return _vectorised(chain.through(stages, changed, self._below, shared=self._shared))

    def advance(self) -> None:
        """Go on to the next layer."""
        whitened, index = self.whitened, self._index
        self._parameters |= whitened.layer(index, self.normals[whitened.blocks[index]])
        self._index += 1
        stage = whitened.stage[self._index]
        if stage > self._stage:
            passed = slice(self._stage, stage)
            self._below = whitened.chain.through(passed, self._parameters, self._below, shared=self._shared)
            self._stage, self._shared = stage, False

"""Perceptrons as functions of standard normals: whole, or one layer changed at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
import pyro.distributions as dist
import scipy.linalg
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.models.activations import Activation, activation_named
from bayesgc.models.placement import push_beside
from bayesgc.models.priors.laws import centred_gaussian_scale
from bayesgc.models.transports.registry import transport_of
from bayesgc.models.whitening import OutputSweep, Whitened
from bayesgc.task import Inputs


class WhitenedMLP(Whitened):
    """A perceptron as a function of standard normals.

    Inside, draws come first: the first layer is then one matrix product for all of them, and the others are batched
    products. With ``reduce`` a Gaussian first layer W acts on the training inputs X = Q R as (W Q) R, and W Q is
    Gaussian too, with as many columns as X has dimensions; on test inputs what Q does not span is drawn from the prior.
    """

    tests_apart = True

    def __init__(
        self, laws: dict[str, dist.Distribution], activation: str, inputs: Inputs, *, bias: bool, reduce: bool
    ) -> None:
        self.bias, self.inputs = bias, inputs
        self.activation: Activation = activation_named(activation)
        self.names, self._laws = list(laws), list(laws.values())
        self._scale = centred_gaussian_scale(self._laws[0]) if reduce else None
        self._seen = _seen(inputs, bias, self._scale is not None)
        if self._seen.reduced:
            self._laws[0] = (
                dist.Normal(0.0, self._scale).expand([self._laws[0].event_shape[0], self._seen.rank]).to_event(2)
            )
        self.shapes = [(law.event_shape[0], law.event_shape[1]) for law in self._laws]
        self._transports = [transport_of(law, name) for name, law in zip(self.names, self._laws, strict=True)]
        self._normals = [each.normals(law) for each, law in zip(self._transports, self._laws, strict=True)]
        self.size = sum(math.prod(normals) for normals in self._normals)
        self._last_scale = centred_gaussian_scale(self._laws[-1])
        self.last_is_linear = self._last_scale is not None and len(self._laws) > 1

    @cached_property
    def blocks(self) -> tuple[slice, ...]:
        """The normals of each layer."""
        ends = np.cumsum([0, *(math.prod(normals) for normals in self._normals)])
        return tuple(slice(int(start), int(end)) for start, end in pairwise(ends))

    def draw(
        self, generator: torch.Generator, count: int, *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "latent draw"]:
        """Columns of the prior, each whole in memory, as the draws come first inside."""
        return torch.randn(count, self.size, generator=generator, device=device, dtype=dtype).T

    def sweep(self, normals: Float[Tensor, "latent draw"]) -> LayerSweep:
        """A pass over the layers of these columns."""
        return LayerSweep(self, normals)

    @property
    def working(self) -> int:
        """A layer, and what it makes of the training inputs."""
        return self._largest(self.inputs.count)

    @property
    def working_held_out(self) -> int:
        """A layer, and what it makes of the test inputs."""
        return self._largest(max(self.inputs.count, 0 if self.inputs.test is None else len(self.inputs.test)))

    @property
    def work_held_out(self) -> int:
        """Those of all layers, and of what the training inputs miss."""
        tested = 0 if self.inputs.test is None else len(self.inputs.test)
        missed = 0 if self._seen.missed is None else self.shapes[0][0] * len(self._seen.missed.array)
        return tested * (missed + sum(rows * cols for rows, cols in self.shapes))

    def _largest(self, examples: int) -> int:
        return max(max(rows * cols, rows * examples) for rows, cols in self.shapes)

    def layer(self, index: int, own: Float[Tensor, "own draw"]) -> Float[Tensor, "draw row col"]:
        """One weight matrix of each draw, from its own normals."""
        piece = own.T.unflatten(1, self._normals[index])
        law, transport = self._laws[index], self._transports[index]
        return push_beside(transport.push, law, piece).to(own.dtype)

    def matrices(self, index: int, own: Float[Tensor, "own draw"]) -> list[Float[Tensor, "draw _ _"]]:
        """The weight matrix of one layer without its bias."""
        weight = self.layer(index, own)
        return [weight[:, :, : weight.shape[2] - self.bias]]

    def through(
        self, index: int, below: Float[Tensor, "draw inner example"] | None, own: Float[Tensor, "own draw"]
    ) -> Float[Tensor, "draw row example"]:
        """What a layer with these normals makes of what the one below it made; the first of the training inputs."""
        weight = self.layer(index, own)
        if below is None:
            return weight @ self._seen.train.like(own)
        value = self.activation(below)
        if not self.bias:
            return torch.bmm(weight, value)
        return torch.baddbmm(weight[:, :, -1:], weight[:, :, :-1], value)

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The outputs at the training inputs, vectorised example by example."""
        return self.rest(1, self.through(0, None, normals[self.blocks[0]]), normals)

    def features(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "draw feature example"]:
        """What the last layer sees, with the scale of its weights; a bias sees ones."""
        value = self.through(0, None, normals[self.blocks[0]])
        for index in range(1, len(self._laws) - 1):
            value = self.through(index, value, normals[self.blocks[index]])
        seen = self.activation(value) * float(self._last_scale or 0.0)
        if not self.bias:
            return seen
        return torch.cat([seen, seen.new_full((len(seen), 1, seen.shape[2]), float(self._last_scale or 0.0))], dim=1)

    def held_out(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "held_out draw"] | None:
        """The outputs at the test inputs, vectorised likewise; ``generator`` serves what the training inputs miss."""
        if self._seen.test is None:
            return None
        value = self.layer(0, normals[self.blocks[0]]) @ self._seen.test.like(normals)
        if self._seen.missed is not None:
            missed = self._seen.missed.like(normals)
            shape = (*value.shape[:2], len(missed))
            fresh = torch.randn(shape, generator=generator, device=normals.device, dtype=normals.dtype)
            value += (fresh @ missed).mul_(float(self._scale or 0.0))
        return self.rest(1, value, normals)

    def rest(
        self, start: int, value: Float[Tensor, "draw row example"], normals: Float[Tensor, "latent draw"]
    ) -> Float[Tensor, "entry draw"]:
        """The outputs, from what the layers before ``start`` made."""
        for index in range(start, len(self._laws)):
            value = self.through(index, value, normals[self.blocks[index]])
        return value.permute(2, 1, 0).flatten(0, 1)

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Float[Tensor, "draw row col"]]:
        """The weight matrices of each draw, by name; of a reduced first layer W Q."""
        layers = (self.layer(index, normals[rows]) for index, rows in enumerate(self.blocks))
        return dict(zip(self.names, layers, strict=True))


class LayerSweep(OutputSweep):
    """A pass over the layers of columns: what lies below a layer is made once, what lies above anew."""

    def __init__(self, whitened: WhitenedMLP, normals: Float[Tensor, "latent draw"]) -> None:
        self.whitened, self.normals = whitened, normals
        self._index = 0
        self._below: Tensor | None = None

    def vectors(self, proposal: Float[Tensor, "row draw"]) -> Float[Tensor, "entry draw"]:
        """The outputs with other weights in the layer at hand."""
        value = self.whitened.through(self._index, self._below, proposal)
        return self.whitened.rest(self._index + 1, value, self.normals)

    def advance(self) -> None:
        """Go on to the next layer."""
        own = self.normals[self.whitened.blocks[self._index]]
        self._below = self.whitened.through(self._index, self._below, own)
        self._index += 1


@dataclass(frozen=True)
class _Seen:
    """The inputs as the first layer sees them, (column, example), and what the training inputs miss of the test's."""

    train: DeviceCopies
    test: DeviceCopies | None
    missed: DeviceCopies | None
    rank: int
    reduced: bool

    @classmethod
    def of(cls, inputs: Inputs, *, bias: bool, reduce: bool) -> _Seen:
        train = _with_constant(inputs.flat_train, bias)
        test = None if inputs.flat_test is None else _with_constant(inputs.flat_test, bias)
        if reduce:
            basis, known = _independent(train)
            rank = len(known)
            if 0 < rank < len(train):
                if test is None:
                    return cls(DeviceCopies(known), None, None, rank, reduced=True)
                inside = basis.T @ test
                _, missed = _independent(test - basis @ inside)
                rest = DeviceCopies(missed) if len(missed) else None
                return cls(DeviceCopies(known), DeviceCopies(inside), rest, rank, reduced=True)
        return cls(DeviceCopies(train), None if test is None else DeviceCopies(test), None, len(train), reduced=False)


_KNOWN: WeakKeyDictionary[Inputs, dict[tuple[bool, bool], _Seen]] = WeakKeyDictionary()


def _seen(inputs: Inputs, bias: bool, reduce: bool) -> _Seen:
    """`_Seen.of`, once for the inputs of a task: a sweep makes many networks for it, and QR of images is slow."""
    known = _KNOWN.setdefault(inputs, {})
    if (bias, reduce) not in known:
        known[bias, reduce] = _Seen.of(inputs, bias=bias, reduce=reduce)
    return known[bias, reduce]


def _independent(
    columns: Float[np.ndarray, "feature example"],
) -> tuple[Float[np.ndarray, "feature rank"], Float[np.ndarray, "rank example"]]:
    """An orthonormal basis of these columns, and their coordinates in it: by pivoted QR, which never fails."""
    basis, triangle, order = scipy.linalg.qr(columns, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    rank = int(np.count_nonzero(sizes > sizes.max(initial=0.0) * max(columns.shape) * _EPS))
    return basis[:, :rank], triangle[:rank, np.argsort(order)]


_EPS = float(np.finfo(np.float64).eps)


def _with_constant(columns: Float[np.ndarray, "feature example"], bias: bool) -> Float[np.ndarray, "_ example"]:
    return np.concatenate([columns, np.ones((1, columns.shape[1]))]) if bias else columns

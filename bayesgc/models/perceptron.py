"""Multilayer perceptrons: h ← σ(W h + b) from the inputs on, and a linear last layer, with a prior on the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.models.activations import Activation, activation_named
from bayesgc.models.layout import Program
from bayesgc.models.placement import push_beside
from bayesgc.models.priors import SCALINGS, Prior, each_layer, hyperparameters, layer_prior, listed_priors
from bayesgc.models.products import product, shared_product
from bayesgc.models.transports import transport_of
from bayesgc.models.triangular import centred_gaussian_scale
from bayesgc.models.whitening import Whitened
from bayesgc.task import Domain, Inputs
from bayesgc.validate import InputError, one_of, positive_integer

Size = tuple[int, int]


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron with independent weights.

    Args:
        width: of each hidden layer, from the inputs on; a number for one hidden layer, none for a linear model.
        activation: ``relu``, ``tanh``, ``leaky-relu``, ``linear`` or a registered name.
        bias: whether each layer has one. It is one more column of the layer's weight matrix, for an input that is
            always 1: same law, same scale.
        prior: a name with options, a function (rows, cols) → Pyro distribution, or a tuple with one for each layer, as
            for `MatrixFactorization`.
        scaling: how shipped priors scale a layer: ``fan-in`` divides by the root of its inputs (the constant one not
            counted), ``fan-out`` by that of its outputs, ``kaiming`` by that of half its inputs, ``unit`` not at all.

    Raises:
        InputError: for a value outside of these.
    """

    width: int | tuple[int, ...] = (20, 10, 5)
    activation: str = "relu"
    bias: bool = False
    prior: str | Prior | tuple[Any, ...] = "gaussian"
    scaling: str = "fan-in"
    family: ClassVar[str] = "mlp"
    normalize: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for width in self.hidden:
            positive_integer("width", width)
        activation_named(self.activation)
        one_of("scaling", self.scaling, SCALINGS)
        if not isinstance(self.bias, bool):
            raise InputError(f"bias is {self.bias!r}; it must be True or False.")
        for prior in listed_priors(self.prior):
            if prior is not ...:
                layer_prior(prior, self.scaling)

    @property
    def facts(self) -> dict[str, Any]:
        """The family and its hyperparameters."""
        return {"family": self.family, **hyperparameters(self)}

    @property
    def hidden(self) -> tuple[int, ...]:
        """The width of each hidden layer."""
        return self.width if isinstance(self.width, tuple) else (self.width,)

    def layer_shapes(self, domain: Domain) -> list[Size]:
        """(rows, cols) of every weight matrix, the column of the bias included, in the order in which they act.

        Raises:
            InputError: where there are no inputs.
        """
        inputs = _inputs_of(domain)
        sides = (math.prod(inputs.features), *self.hidden, inputs.outputs)
        return [(after, before + self.bias) for before, after in pairwise(sides)]

    def laws(self, domain: Domain) -> dict[str, dist.Distribution]:
        """The distribution of each weight matrix, W1, W2 and so on."""
        shapes = self.layer_shapes(domain)
        names = [f"W{j}" for j in range(1, len(shapes) + 1)]
        priors = (layer_prior(prior, self._scale) for prior in each_layer(self.prior, names))
        return {name: prior(*shape, name) for name, prior, shape in zip(names, priors, shapes, strict=True)}

    def _scale(self, rows: int, cols: int) -> float:
        return SCALINGS[self.scaling](rows, cols - self.bias)

    def raw(
        self, layers: list[Float[Tensor, "start _ _"]], inputs: Float[Tensor, "start example feature"]
    ) -> Float[Tensor, "start example output"]:
        """The outputs of every start, differentiably."""
        activation, value = activation_named(self.activation), inputs
        for index, layer in enumerate(layers):
            value = activation(value) if index else value
            linear = value @ layer[:, :, : layer.shape[2] - self.bias].mT
            value = linear + layer[:, None, :, -1] if self.bias else linear
        return value

    def program(self, domain: Domain) -> Program:
        """The generative model of the outputs (example, output) as a Pyro program; a batch dimension passes through."""
        inputs, laws, activation = _inputs_of(domain), self.laws(domain), activation_named(self.activation)
        columns = DeviceCopies(inputs.flat_train)

        def perceptron() -> Tensor:
            value: Tensor | None = None
            for name, law in laws.items():
                weight = pyro.sample(name, law)
                value = columns.like(weight) if value is None else activation(value)
                linear = weight[..., : weight.shape[-1] - self.bias] @ value
                value = linear + weight[..., -1:] if self.bias else linear
            return value.mT  # type: ignore[union-attr]

        return perceptron

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The outputs as a fast function of standard normals.

        Without ``weights``, and with a Gaussian first layer, that layer is drawn in the span of the training inputs
        alone, where this takes fewer normals.
        """
        return WhitenedMLP(self, _inputs_of(domain), reduce=not weights)


class WhitenedMLP(Whitened):
    """A perceptron as a function of standard normals, with the draw axis last throughout.

    With ``reduce`` a Gaussian first layer W acts on the training inputs X = Q R as (W Q) R, and W Q is Gaussian too,
    with as many columns as X has dimensions; on test inputs what Q does not span is drawn from the prior.
    """

    tests_apart = True

    def __init__(self, model: MLP, inputs: Inputs, *, reduce: bool) -> None:
        self.bias, self.inputs = model.bias, inputs
        self.activation: Activation = activation_named(model.activation)
        laws = model.laws(inputs)
        self.names, self._laws = list(laws), list(laws.values())
        self._scale = centred_gaussian_scale(self._laws[0]) if reduce else None
        self._seen = _Seen.of(inputs, bias=model.bias, reduce=self._scale is not None)
        if self._seen.reduced:
            self._laws[0] = (
                dist.Normal(0.0, self._scale).expand([self._laws[0].event_shape[0], self._seen.rank]).to_event(2)
            )
        self.shapes = [(law.event_shape[0], law.event_shape[1]) for law in self._laws]
        self._transports = [transport_of(law, name) for name, law in zip(self.names, self._laws, strict=True)]
        self._normals = [each.normals(law) for each, law in zip(self._transports, self._laws, strict=True)]
        self.size = sum(math.prod(normals) for normals in self._normals)

    @cached_property
    def blocks(self) -> list[slice]:
        """The normals of each layer."""
        ends = np.cumsum([0, *(math.prod(normals) for normals in self._normals)])
        return [slice(int(start), int(end)) for start, end in pairwise(ends)]

    @property
    def working(self) -> int:
        """A layer, and what it makes of the training inputs."""
        return self._largest(self.inputs.count)

    @property
    def working_held_out(self) -> int:
        """A layer, and what it makes of the test inputs."""
        return self._largest(max(self.inputs.count, 0 if self.inputs.test is None else len(self.inputs.test)))

    def _largest(self, examples: int) -> int:
        return max(max(rows * cols, rows * examples) for rows, cols in self.shapes)

    def layer(self, index: int, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "row col draw"]:
        """One weight matrix of each draw."""
        piece = normals[self.blocks[index]].unflatten(0, self._normals[index]).movedim(-1, 0)
        law, transport = self._laws[index], self._transports[index]
        return push_beside(transport.push, law, piece).movedim(0, -1).to(normals.dtype)

    def first(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "row train draw"]:
        """What the first layer makes of the training inputs."""
        return shared_product(self.layer(0, normals), self._seen.train.like(normals))

    def after(
        self, index: int, value: Float[Tensor, "inner example draw"], normals: Float[Tensor, "latent draw"]
    ) -> Float[Tensor, "row example draw"]:
        """What a later layer makes of what the one before it made."""
        weight, value = self.layer(index, normals), self.activation(value)
        if not self.bias:
            return product(weight, value)
        return product(weight[:, :-1], value).add_(weight[:, -1:])

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The outputs at the training inputs, vectorised example by example."""
        return self._rest(self.first(normals), normals)

    def held_out(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "held_out draw"] | None:
        """The outputs at the test inputs, vectorised likewise; ``generator`` serves what the training inputs miss."""
        if self._seen.test is None:
            return None
        value = shared_product(self.layer(0, normals), self._seen.test.like(normals))
        if self._seen.missed is not None:
            missed = self._seen.missed.like(normals)
            shape = (value.shape[0], missed.shape[0], normals.shape[1])
            fresh = torch.randn(shape, generator=generator, device=normals.device, dtype=normals.dtype)
            value += shared_product(fresh, missed).mul_(float(self._scale or 0.0))
        return self._rest(value, normals)

    def _rest(
        self, value: Float[Tensor, "row example draw"], normals: Float[Tensor, "latent draw"]
    ) -> Float[Tensor, "entry draw"]:
        for index in range(1, len(self._laws)):
            value = self.after(index, value, normals)
        return value.transpose(0, 1).flatten(0, 1)

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Float[Tensor, "draw row col"]]:
        """The weight matrices of each draw, by name; of a reduced first layer W Q."""
        return {name: self.layer(index, normals).movedim(-1, 0) for index, name in enumerate(self.names)}


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
            basis, singular, right = np.linalg.svd(train, full_matrices=False)
            rank = int(np.count_nonzero(singular > singular.max(initial=0.0) * max(train.shape) * _EPS))
            if 0 < rank < len(train):
                basis = basis[:, :rank]
                known = DeviceCopies(singular[:rank, None] * right[:rank])
                if test is None:
                    return cls(known, None, None, rank, reduced=True)
                inside = basis.T @ test
                missed = _root(test - basis @ inside)
                return cls(known, DeviceCopies(inside), None if missed is None else DeviceCopies(missed), rank, True)
        return cls(DeviceCopies(train), None if test is None else DeviceCopies(test), None, len(train), reduced=False)


def _root(columns: Float[np.ndarray, "feature example"]) -> Float[np.ndarray, "some example"] | None:
    """A matrix of as few rows as possible with the same inner products of its columns; None where they are all zero."""
    _, singular, right = np.linalg.svd(columns, full_matrices=False)
    kept = singular > singular.max(initial=0.0) * max(columns.shape) * _EPS
    return singular[kept, None] * right[kept] if kept.any() else None


_EPS = float(np.finfo(np.float64).eps)


def _with_constant(columns: Float[np.ndarray, "feature example"], bias: bool) -> Float[np.ndarray, "_ example"]:
    return np.concatenate([columns, np.ones((1, columns.shape[1]))]) if bias else columns


def _inputs_of(domain: Domain) -> Inputs:
    if not isinstance(domain, Inputs):
        raise InputError(
            f"the task asks for an array of shape {domain}; an mlp is for labelled examples, and "
            "--family matrix, cp or tensor-train for arrays."
        )
    return domain

"""Multilayer perceptrons: h ← σ(W h + b) from the inputs on, and a linear last layer, with a prior on the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import pyro
import pyro.distributions as dist
from jaxtyping import Float
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.models.activations import activation_named
from bayesgc.models.layout import Program
from bayesgc.models.networks.normalized import NormalizedNetwork, check_normalization
from bayesgc.models.networks.trainable import Parameter, Weights, scale_of
from bayesgc.models.networks.whitened_mlp import WhitenedMLP
from bayesgc.models.priors.prior import SCALINGS, Prior, each_layer, given_priors, hyperparameters, layer_prior
from bayesgc.models.whitening import Whitened
from bayesgc.task.domain import Domain, inputs_for
from bayesgc.validate import InputError, one_of, positive_integer

Size = tuple[int, int]


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron with independent weights; `InfiniteMLP` is its limit of infinite width.

    Args:
        width: of each hidden layer, from the inputs on; a number for one hidden layer, none for a linear model.
        activation: ``relu``, ``tanh``, ``leaky-relu``, ``linear`` or a registered name.
        bias: whether each layer has one. It is one more column of the layer's weight matrix, for an input that is
            always 1: same law, same scale.
        prior: a name with options, a function (rows, cols) → Pyro distribution, or a tuple with one for each layer, as
            for `MatrixFactorization`.
        scaling: how shipped priors scale a layer: ``fan-in`` divides by the root of its inputs (the constant one not
            counted), ``fan-out`` by that of its outputs, ``kaiming`` by that of half its inputs, ``unit`` not at all.
        normalize_weights: divide the outputs by the size of the weights: ``frobenius`` by the product over layers of
            ‖W‖_F/3 (Chiang et al. 2023), ``lipschitz`` by that of the spectral norms (Peleg and Hein 2024), both
            without biases. It changes no label.

    Raises:
        InputError: for a value outside of these.
    """

    width: int | tuple[int, ...] = (20, 10, 5)
    activation: str = "relu"
    bias: bool = False
    prior: str | Prior | tuple[Any, ...] = "gaussian"
    scaling: str = "fan-in"
    normalize_weights: str | None = None
    family: ClassVar[str] = "mlp"
    normalize: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for width in self.hidden:
            if width == math.inf:
                raise InputError(f"width is {self.width!r}; InfiniteMLP has infinitely wide layers, all of them.")
            positive_integer("width", width)
        activation_named(self.activation)
        one_of("scaling", self.scaling, SCALINGS)
        if not isinstance(self.bias, bool):
            raise InputError(f"bias is {self.bias!r}; it must be True or False.")
        check_normalization(self.normalize_weights)
        for prior in given_priors(self.prior):
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
        inputs = inputs_for(domain, "an mlp")
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

    def network(self, domain: Domain) -> MLPNetwork:
        """The network for these inputs, as gradient descent takes it."""
        return MLPNetwork(self, dict(zip(self.laws(domain), self.layer_shapes(domain), strict=True)))

    def program(self, domain: Domain) -> Program:
        """The generative model of the outputs (example, output) as a Pyro program; a batch dimension passes through."""
        inputs, laws, activation = (
            inputs_for(domain, "an mlp"),
            self.laws(domain),
            activation_named(self.activation),
        )
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
        inputs, whole = inputs_for(domain, "an mlp"), weights or self.normalize_weights is not None
        whitened = WhitenedMLP(self.laws(inputs), self.activation, inputs, bias=self.bias, reduce=not whole)
        return whitened if self.normalize_weights is None else NormalizedNetwork(whitened, self.normalize_weights)


@dataclass(frozen=True)
class MLPNetwork:
    """A multilayer perceptron for some inputs, as a function of its weight matrices."""

    model: MLP
    shapes: dict[str, Size]

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The weight matrices by name."""
        bias = self.model.bias
        return {name: Parameter(shape, shape[1] - bias, biased=bias) for name, shape in self.shapes.items()}

    def raw(
        self, weights: Weights, inputs: Float[Tensor, "start example *features"]
    ) -> Float[Tensor, "start example output"]:
        """The outputs of every start, differentiably, before any normalisation."""
        activation, bias, value = activation_named(self.model.activation), self.model.bias, inputs.flatten(2)
        for index, layer in enumerate(weights.values()):
            value = activation(value) if index else value
            linear = value @ layer[:, :, : layer.shape[2] - bias].mT
            value = linear + layer[:, None, :, -1] if bias else linear
        return value

    def scale(self, weights: Weights) -> Float[Tensor, " start"] | None:
        """What the outputs are divided by."""
        bias = self.model.bias
        return scale_of([each[:, :, : each.shape[2] - bias] for each in weights.values()], self.model.normalize_weights)

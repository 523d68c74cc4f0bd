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
from bayesgc.models.priors import SCALINGS, Prior, each_layer, hyperparameters, layer_prior, listed_priors
from bayesgc.models.whitened_mlp import WhitenedMLP
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
        inputs = _inputs_of(domain)
        return WhitenedMLP(self.laws(inputs), self.activation, inputs, bias=self.bias, reduce=not weights)


def _inputs_of(domain: Domain) -> Inputs:
    if not isinstance(domain, Inputs):
        raise InputError(
            f"the task asks for an array of shape {domain}; an mlp is for labelled examples, and "
            "`family=matrix`, cp or tensor-train for arrays."
        )
    return domain

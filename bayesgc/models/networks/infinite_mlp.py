"""Infinitely wide perceptrons: Gaussian processes, whose kernel goes through the layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.models.activations import activation_named
from bayesgc.models.kernels import expected_products, why_no_kernel
from bayesgc.models.layout import Program
from bayesgc.models.networks.whitened_process import WhitenedProcess
from bayesgc.models.priors.laws import centred_gaussian_scale
from bayesgc.models.priors.prior import PRIORS, SCALINGS, each_layer, hyperparameters, label, prior_named
from bayesgc.models.whitening import Whitened
from bayesgc.task.domain import Domain, inputs_for
from bayesgc.validate import InputError, one_of, positive_integer

INFINITE = "inf"
"""A width in records and options."""
_WHO = "an infinitely wide mlp"
_MOST = 10_000
"""Inputs; a kernel of them takes 0.8 GB."""


@dataclass(frozen=True)
class InfiniteMLP:
    """The limit of `MLP` as the widths of its hidden layers go to infinity, one after the other from the inputs on.

    Its outputs at any inputs are jointly Gaussian and independent of each other, with one kernel (Neal 1996, chapter 2;
    Lee et al. 2018): inner products of inputs go through the layers as E σ(x)σ(y), see `kernels`. With
    ``fan-in`` and ``kaiming`` the prior of a bias shrinks as the layer below it grows, as in `MLP`, so that the biases
    of the first layer alone are left; with ``fan-out`` all of them count.

    Args:
        layers: hidden layers, at least 1.
        activation: a positively homogeneous one, as ``relu``, ``leaky-relu`` and ``linear`` are, or ``tanh``.
        bias: whether each layer has one.
        prior: a name with options, or a tuple with one for each layer, of centred normals that take their scale from
            the model, as ``gaussian``.
        scaling: ``fan-in``, ``kaiming``, or ``fan-out``.

    Raises:
        InputError: for a value outside of these, with the reason.
    """

    layers: int = 3
    activation: str = "relu"
    bias: bool = False
    prior: str | tuple[Any, ...] = "gaussian"
    scaling: str = "fan-in"
    family: ClassVar[str] = "mlp"
    normalize: ClassVar[bool] = False
    why_untrainable: ClassVar[str] = "an infinitely wide network has no weights to train"

    def __post_init__(self) -> None:
        positive_integer("layers", self.layers)
        if reason := why_no_kernel(activation_named(self.activation)):
            raise InputError(f"activation is {self.activation!r}; of an infinitely wide network {reason}.")
        if one_of("scaling", self.scaling, SCALINGS) not in _WEIGHT:
            raise InputError(
                f"scaling is {self.scaling!r}, with which the outputs of an infinitely wide network are infinite; "
                f"choose one of {', '.join(_WEIGHT)}."
            )
        if not isinstance(self.bias, bool):
            raise InputError(f"bias is {self.bias!r}; it must be True or False.")
        self._scales  # noqa: B018 - which checks the priors

    @property
    def facts(self) -> dict[str, Any]:
        """The family and its hyperparameters, as those of `MLP`."""
        return {"family": self.family, "width": [INFINITE] * self.layers, **hyperparameters(self, but=("layers",))}

    @property
    def _scales(self) -> list[float]:
        """The standard deviation of the weights of each layer where the model's scale is 1."""
        names = [f"W{j}" for j in range(1, self.layers + 2)]
        return [_scale(prior, name) for prior, name in zip(each_layer(self.prior, names), names, strict=True)]

    def kernel(self, columns: Float[np.ndarray, "feature input"], outputs: int) -> Float[np.ndarray, "input input"]:
        """The covariance of an output, of so many, at some inputs.

        Raises:
            InputError: for too many inputs.
        """
        if columns.shape[1] > _MOST:
            raise InputError(f"{_WHO} has a kernel of all inputs, {columns.shape[1]} here; choose {_MOST} at most.")
        activation, bias = activation_named(self.activation), float(self.bias)
        of_weights, fan_out = _WEIGHT[self.scaling], self.scaling == "fan-out"
        linear = fan_out and not activation.homogeneous  # as the preactivations shrink with the width
        seen = torch.from_numpy(np.ascontiguousarray(columns, dtype=np.float64))
        gram = seen.mT @ seen + bias
        gram *= of_weights / (1 if fan_out else len(columns))
        first, *others = self._scales
        gram *= first**2
        for scale in others:
            gram = gram if linear else expected_products(activation, gram)
            gram = scale**2 * (of_weights * gram + (bias if fan_out else 0.0))
        return (gram / (outputs if fan_out else 1)).numpy()

    def _process(self, domain: Domain) -> WhitenedProcess:
        inputs = inputs_for(domain, _WHO)
        return WhitenedProcess(lambda columns: self.kernel(columns, inputs.outputs), inputs, _WHO)

    def program(self, domain: Domain) -> Program:
        """The generative model of the outputs (example, output) as a Pyro program; a batch dimension passes through.

        Its one site are the standard normals that the outputs are made of.
        """
        process = self._process(domain)
        law = dist.Normal(0.0, 1.0).expand([process.rank, process.outputs]).to_event(2)

        def gaussian_process() -> Tensor:
            value = pyro.sample("normals", law)
            return process.root(value) @ value

        return gaussian_process

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The outputs as a function of standard normals, as many for each output as the kernel has rank.

        ``weights`` changes nothing: there are none.
        """
        return self._process(domain)


_WEIGHT = {name: SCALINGS[name](1, 1) ** 2 for name in ("fan-in", "kaiming", "fan-out")}
"""The variance of a weight by scaling, times what grows with the width."""


def _scale(prior: Any, name: str) -> float:
    """The standard deviation that a prior gives the weights of a layer for each unit of scale.

    Raises:
        InputError: for a prior of which the kernel does not know.
    """
    who = f"prior is {label(prior)!r}; an infinitely wide network"
    if not isinstance(prior, str) or not PRIORS.find(prior)[0].scaled:
        raise InputError(f"{who} takes one by name that has its scale from the model, as gaussian.")
    found = centred_gaussian_scale(prior_named(prior, lambda rows, cols: 1.0)(3, 2, name))
    if found is None:
        raise InputError(
            f"{who} has a kernel that is known here where weights are centred normals, as then the inputs of the first "
            "hidden units are normal too: choose gaussian."
        )
    return found

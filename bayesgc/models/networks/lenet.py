"""LeNet at any width: two convolutions and three linear layers, for images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bayesgc.models.activations import Activation, activation_named
from bayesgc.models.layout import Program
from bayesgc.models.networks.module import Module, ModuleNetwork
from bayesgc.models.priors.prior import Prior, hyperparameters
from bayesgc.models.whitening import Whitened
from bayesgc.task.domain import Domain
from bayesgc.validate import InputError, positive_integer, real_in

_FULL = (6, 16, 120, 84)
_LARGE, _LEAST = 16, 4
"""Sides of an image from which kernels of 5 fit, and from which there is anything left to pool."""


@dataclass(frozen=True)
class LeNet:
    """A convolution net for images, LeNet-5 at any width (LeCun et al. 1998), with independent weights.

    A convolution, maxima over 2 × 2 and the activation, all again, and three linear layers; an activation that does not
    decrease may as well come before the maxima. Kernels are 5 × 5 without padding, or 3 × 3 padded by one where a side
    of the image is below 16. At width 0.5 there are 3 and 8 channels and 60 and 42 units, with
    biases 11 074 weights for two classes of 28 × 28 pixels, as in Chiang et al. 2023.

    Args:
        width: the share of 6 and 16 channels and of 120 and 84 units, rounded half up; or a tuple of those four.
        activation: as for `MLP`.
        bias: whether each layer has one, of the scale of its weights.
        prior, scaling, normalize_weights: as for `Module`; the layers are conv1, conv2, fc1, fc2 and fc3.

    Raises:
        InputError: for a value outside of these.
    """

    width: float | tuple[int, ...] = 0.5
    activation: str = "relu"
    bias: bool = False
    prior: str | Prior | tuple[Any, ...] | dict[str, Any] = "gaussian"
    scaling: str = "fan-in"
    normalize_weights: str | None = None
    family: ClassVar[str] = "lenet"
    normalize: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.width, tuple) and len(self.width) != len(_FULL):
            raise InputError(f"width is {self.width}; a lenet has one share, as 0.5, or 4 numbers, as 3,8,60,42.")
        for size in self.sizes:
            positive_integer("width", size)
        activation_named(self.activation)
        if not isinstance(self.bias, bool):
            raise InputError(f"bias is {self.bias!r}; it must be True or False.")
        self._module  # noqa: B018 - which checks the rest

    @property
    def sizes(self) -> tuple[int, ...]:
        """Channels of both convolutions and units of both hidden linear layers."""
        if isinstance(self.width, tuple):
            return self.width
        share = real_in("width", self.width, 0, 100, open_low=True)
        return tuple(max(1, math.floor(share * size + 0.5)) for size in _FULL)

    @property
    def facts(self) -> dict[str, Any]:
        """The family and its hyperparameters."""
        return {"family": self.family, **hyperparameters(self)}

    @property
    def _module(self) -> Module:
        return Module(self._made, self.prior, self.scaling, self.normalize_weights, self.family)

    def _made(self, features: tuple[int, ...], outputs: int) -> nn.Module:
        """The module for images of one shape."""
        if len(features) not in (2, 3) or (len(features) == 3 and features[2] <= _LEAST < features[0]):
            raise InputError(
                f"a lenet is for images, (height, width) or (channels, height, width); the examples are {features}."
            )
        channels, (height, width) = 1 if len(features) == 2 else features[0], features[-2:]
        if min(height, width) < _LEAST:
            raise InputError(f"a lenet is for images of at least {_LEAST} × {_LEAST}; these are {height} × {width}.")
        kernel, padding = (5, 0) if min(height, width) >= _LARGE else (3, 1)
        first, second, third, fourth = self.sizes
        left = math.prod(_pooled(_pooled(side, kernel, padding), kernel, padding) for side in (height, width))
        made = nn.Sequential()
        for name, layer in {
            "conv1": nn.Conv2d(channels, first, kernel, padding=padding, bias=self.bias),
            "conv2": nn.Conv2d(first, second, kernel, padding=padding, bias=self.bias),
            "fc1": nn.Linear(second * left, third, bias=self.bias),
            "fc2": nn.Linear(third, fourth, bias=self.bias),
            "fc3": nn.Linear(fourth, outputs, bias=self.bias),
        }.items():
            made.add_module(name, layer)
            if isinstance(layer, nn.Conv2d):
                made.append(nn.MaxPool2d(2))
            if name != "fc3":
                made.append(_Activated(activation_named(self.activation)))
            if name == "conv2":
                made.append(nn.Flatten())
        return made

    def network(self, domain: Domain) -> ModuleNetwork:
        """The network for these images, as gradient descent takes it.

        Raises:
            InputError: where these are no images.
        """
        return self._module.network(domain)

    def program(self, domain: Domain) -> Program:
        """The generative model of the outputs (example, output) as a Pyro program."""
        return self._module.program(domain)

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The outputs as a fast function of standard normals."""
        return self._module.whiten(domain, weights=weights)


class _Activated(nn.Module):
    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, value: Tensor) -> Tensor:
        return self.activation(value)


def _pooled(side: int, kernel: int, padding: int) -> int:
    """A side after a convolution and maxima over pairs."""
    return (side + 2 * padding - kernel + 1) // 2

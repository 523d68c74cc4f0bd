"""What gradient descent must know of a network: its weights by name, and its outputs as a function of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from bayesgc.models.whitening import Whitened
from bayesgc.task.domain import Domain

Weights = Mapping[str, Float[Tensor, "start ..."]]


@dataclass(frozen=True)
class Parameter:
    """One array of weights.

    Args:
        shape: its axes.
        fan_in: the inputs of a unit, which a Kaiming start divides by; None where it does not start at random.
        biased: its last column is a bias, which is no part of the fan-in and starts at zero.
        start: where it starts otherwise; None for zero.
    """

    shape: tuple[int, ...]
    fan_in: int | None
    biased: bool = False
    start: Tensor | None = None


@runtime_checkable
class Network(Protocol):
    """A network as a function of its weights, for many starts at once."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Its weights, by the names that draws of its prior give them."""
        ...

    def raw(
        self, weights: Weights, inputs: Float[Tensor, "start example *features"]
    ) -> Float[Tensor, "start example output"]:
        """The outputs of every start, differentiably, before any normalisation."""
        ...

    def scale(self, weights: Weights) -> Float[Tensor, " start"] | None:
        """What the outputs are divided by where they are judged; None for nothing."""
        ...


@runtime_checkable
class Trainable(Protocol):
    """A model of networks that gradient descent can train from any start."""

    def network(self, domain: Domain) -> Network:
        """The network for these inputs."""
        ...

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The prior of the weights as a function of standard normals."""
        ...


def scale_of(matrices: list[Float[Tensor, "start _ _"]], name: str | None) -> Float[Tensor, " start"] | None:
    """What the outputs of networks with these weight matrices are divided by."""
    from bayesgc.models.networks.normalized import log_size  # which knows whitened networks

    if name is None:
        return None
    return log_size(matrices, name).exp()  # type: ignore[union-attr]

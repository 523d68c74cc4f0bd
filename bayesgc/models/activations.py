"""Entrywise activations σ, with the derivative written in terms of the output, which is what backpropagation has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.validate import one_of

LEAKY_SLOPE = 0.2


@dataclass(frozen=True)
class Activation:
    """An entrywise nonlinearity σ.

    ``slope`` maps the output σ(x) to σ'(x). ``homogeneous`` says that σ(cx) = cσ(x) for c > 0, so a long product may
    be rescaled as it goes; ``odd`` that σ(−x) = −σ(x), the condition of the paper's Theorem 1.
    """

    name: str
    summary: str
    function: Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]]
    slope: Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]]
    odd: bool
    homogeneous: bool

    def __call__(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """σ, entry by entry."""
        return self.function(value)


ACTIVATIONS: dict[str, Activation] = {}


def register_activation(activation: Activation) -> Activation:
    """Make ``activation`` available by its name, in Python and on the command line."""
    ACTIVATIONS[activation.name] = activation
    return activation


def activation_named(name: str) -> Activation:
    """The registered activation of that name."""
    return ACTIVATIONS[one_of("activation", name, ACTIVATIONS)]


register_activation(
    Activation("linear", "the identity", lambda x: x, torch.ones_like, odd=True, homogeneous=True),
)
register_activation(
    Activation("tanh", "hyperbolic tangent", torch.tanh, lambda out: 1 - out * out, odd=True, homogeneous=False),
)
register_activation(
    Activation(
        "leaky-relu",
        f"x for x > 0, {LEAKY_SLOPE:g} x below",
        lambda x: torch.nn.functional.leaky_relu(x, LEAKY_SLOPE),
        lambda out: 1 - (1 - LEAKY_SLOPE) * (out <= 0).to(out.dtype),
        odd=False,
        homogeneous=True,
    ),
)
register_activation(
    Activation(
        "relu",
        "x for x > 0, zero below",
        torch.relu,
        lambda out: (out > 0).to(out.dtype),
        odd=False,
        homogeneous=True,
    ),
)

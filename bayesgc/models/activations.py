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

    ``slope`` maps the output σ(x) to σ'(x). ``odd`` says that σ(−x) = −σ(x), the condition of the paper's Theorem 1.
    ``homogeneous`` says that σ(cx) = cσ(x) for c > 0; ``tangent`` that σ(x) = x + O(x²) near zero. Either lets a long
    product be rescaled as it goes.
    """

    name: str
    summary: str
    function: Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]]
    slope: Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]]
    odd: bool = False
    homogeneous: bool = False
    tangent: bool = False

    def __call__(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """σ, entry by entry."""
        return self.function(value)

    @property
    def has_plateau(self) -> bool:
        """Whether σ is constant on an interval, so that hidden units die with positive probability."""
        grid = torch.linspace(-3, 3, 61, dtype=torch.float64)
        return bool((self.function(grid).diff() == 0).any())

    @property
    def identity(self) -> bool:
        """Whether σ(x) = x."""
        return self.name == "linear"

    @property
    def rescalable(self) -> bool:
        """Whether a product through this activation can be rescaled on the way."""
        return self.homogeneous or self.tangent

    def at_scale(
        self, value: Float[Tensor, "row col draw"], log_scale: Float[Tensor, " draw"] | None
    ) -> Float[Tensor, "row col draw"]:
        """σ(sx)/s for the scale s of each draw, which is σ itself for no scale or a homogeneous activation."""
        if log_scale is None or self.homogeneous:
            return self.function(value)
        scale = log_scale.exp()
        # So near zero σ is the identity to the last digit, and s itself may have no digits left.
        tiny = scale * value.abs().amax((0, 1)) < torch.finfo(value.dtype).eps
        return torch.where(tiny, value, self.function(value * scale) / torch.where(tiny, torch.ones_like(scale), scale))


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
    Activation("tanh", "hyperbolic tangent", torch.tanh, lambda out: 1 - out * out, odd=True, tangent=True),
)
register_activation(
    Activation(
        "leaky-relu",
        f"x for x > 0, {LEAKY_SLOPE:g} x below",
        lambda x: torch.nn.functional.leaky_relu(x, LEAKY_SLOPE),
        lambda out: 1 - (1 - LEAKY_SLOPE) * (out <= 0).to(out.dtype),
        homogeneous=True,
    ),
)
register_activation(
    Activation(
        "relu",
        "x for x > 0, zero below",
        torch.relu,
        lambda out: (out > 0).to(out.dtype),
        homogeneous=True,
    ),
)

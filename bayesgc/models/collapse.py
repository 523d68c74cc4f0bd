"""Collapse: where the last layer is Gaussian given the rest, the rows of W are Gaussian given the hidden layers.

With W = W_d H, H = σ(W_{d−1} … σ(W_1)), and entries of W_d independent N(0, s_d²), the rows of W are independent
N(0, K) given H, with K = s_d² HᵀH (Alexander et al. 2025, section 4; the starting point of their Theorem 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.models.factorization import MatrixFactorization, WhitenedFactors
from bayesgc.models.products import forward


@dataclass(frozen=True)
class Collapsed:
    """The hidden layers of a factorisation as a function of standard normals, the draw axis last.

    The last weight matrix is W_d = ``scale``·Z with Z standard normal, (rows, features).
    """

    whitened: WhitenedFactors
    scale: float

    @property
    def size(self) -> int:
        """Standard normals of the hidden layers."""
        return self.whitened.size - math.prod(self.whitened.shapes[-1])

    @property
    def feature_count(self) -> int:
        """Rows of H: the last hidden width, or the columns of W at depth one."""
        return self.whitened.shapes[-1][1]

    def features(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "feature col draw"]:
        """F = s_d H of each draw, so that K = FᵀF; at depth one H is the identity."""
        if len(self.whitened.shapes) == 1:
            eye = torch.eye(self.feature_count, device=normals.device, dtype=normals.dtype)
            return (self.scale * eye)[..., None].expand(-1, -1, normals.shape[1])
        value = forward(self.whitened.layers(normals), self.whitened.activation, normalize=False)
        return self.scale * self.whitened.activation(value)

    def weights(
        self, normals: Float[Tensor, "latent draw"], last: Float[Tensor, "row feature draw"]
    ) -> dict[str, Float[Tensor, "draw row col"]]:
        """W1, …, Wd of each draw, given the standard normals Z of the last layer after conditioning."""
        layers = [*self.whitened.layers(normals), self.scale * last]
        return {f"W{j}": layer.movedim(-1, 0) for j, layer in enumerate(layers, start=1)}


def collapse(model: object, shape: tuple[int, ...], *, weights: bool = False) -> Collapsed | None:
    """The collapsed form of a model, or None where it has none: see `why_not_collapsible`."""
    if why_not_collapsible(model, shape) is not None or not isinstance(model, MatrixFactorization):
        return None
    whitened = WhitenedFactors(model, shape)
    law = list(model.laws(shape).values())[-1].base_dist
    return Collapsed(whitened, float(law.scale.flatten()[0]))


def why_not_collapsible(model: object, shape: tuple[int, ...]) -> str | None:
    """Why a model has no collapsed form, in a few words; None where it has one."""
    if not isinstance(model, MatrixFactorization):
        return "it is not a matrix factorisation"
    if model.normalize:
        return "its output is normalised"
    law = list(model.laws(shape).values())[-1]
    base = getattr(law, "base_dist", law)
    if not isinstance(base, dist.Normal):
        return "its last layer is not Gaussian"
    if (base.loc != 0).any() or (base.scale != base.scale.flatten()[0]).any():
        return "the entries of its last layer differ in mean or scale, or their mean is not zero"
    return None

"""Collapse: where the last layer is Gaussian given the rest, the rows of W are Gaussian given the hidden layers.

With W = W_d H, H = σ(W_{d−1} … σ(W_1)), and entries of W_d independent N(0, s_d²), the rows of W are independent
N(0, K) given H, with K = s_d² HᵀH (Alexander et al. 2025, section 4; the starting point of their Theorem 1). Tensors
are the same: unfolded with the first mode as rows they are W_last H, with H made of the factors of the other modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.models.factorization import Factorization, WhitenedFactors
from bayesgc.models.triangular import TriangularFactors, centred_gaussian_scale


@dataclass(frozen=True)
class Collapsed:
    """The hidden layers of a factorisation as a function of standard normals, the draw axis last.

    The last weight matrix is ``scale``·Z with Z standard normal, (rows, features). A tensor's rows are the indices of
    its first mode, its columns those of all the others.
    """

    whitened: WhitenedFactors | TriangularFactors
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
        return self.features_of(self.whitened.layers(normals))

    def features_of(self, hidden: list[Float[Tensor, "_ _ draw"]]) -> Float[Tensor, "feature col draw"]:
        """F of hidden layers, at least one."""
        return self.scale * self.whitened.network.features(hidden)

    def weights(
        self, normals: Float[Tensor, "latent draw"], last: Float[Tensor, "row feature draw"]
    ) -> dict[str, Float[Tensor, "draw _ _"]]:
        """The weight matrices of each draw, given the standard normals Z of the last layer after conditioning."""
        layers = [*self.whitened.layers(normals), self.scale * last]
        return {name: layer.movedim(-1, 0) for name, layer in zip(self.whitened.names, layers, strict=True)}


def collapse(model: object, shape: tuple[int, ...], *, weights: bool = False) -> Collapsed | None:
    """The collapsed form of a model, or None where it has none: see `why_not_collapsible`.

    With ``weights`` its hidden layers are the model's own, else they may be those of the width-free form.
    """
    if why_not_collapsible(model, shape) is not None or not isinstance(model, Factorization):
        return None
    whitened = model.whiten(shape, weights=weights)
    scale = centred_gaussian_scale(list(model.laws(shape).values())[-1])
    if isinstance(whitened, TriangularFactors) and not whitened.last_gaussian:
        whitened = model.whiten(shape, weights=True)
    if not isinstance(whitened, WhitenedFactors | TriangularFactors) or scale is None:
        return None
    return Collapsed(whitened, scale)


def why_not_collapsible(model: object, shape: tuple[int, ...]) -> str | None:
    """Why a model has no collapsed form, in a few words; None where it has one."""
    if not isinstance(model, Factorization):
        return "it is not a factorisation"
    if model.normalize:
        return "its output is normalised"
    if centred_gaussian_scale(list(model.laws(shape).values())[-1]) is None:
        return "its last layer is not a matrix of equal Gaussians around zero"
    return None

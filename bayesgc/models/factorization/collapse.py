"""Collapse: where the last layer is Gaussian given the rest, the rows of W are Gaussian given the hidden layers.

With W = W_d H, H = σ(W_{d−1} … σ(W_1)), and entries of W_d independent N(0, s_d²), the rows of W are independent
N(0, K) given H, with K = s_d² HᵀH (Alexander et al. 2025, section 4; the starting point of their Theorem 1). Where the
entries of W_d are a Gaussian scale mixture, with a random scale s_ij each, that holds given the scales too, and each
row has K_i = Hᵀ diag(s_i)² H. Tensors are the same: unfolded with the first mode as rows they are W_last H, with H
made of the factors of the other modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.models.factorization.matrices import Factorization, WhitenedFactors
from bayesgc.models.factorization.triangular import TriangularFactors
from bayesgc.models.placement import push_beside
from bayesgc.models.priors.laws import centred_gaussian_scale, has_atoms
from bayesgc.models.transports.registry import Transport, find_transport, innermost


@dataclass(frozen=True)
class Scales:
    """The scales of a last weight matrix W_d = scale·Z, with Z standard normal: one number, or random, by entry."""

    shape: tuple[int, int]
    constant: float | None
    law: dist.Distribution | None = None
    transport: Transport | None = None

    @property
    def normals(self) -> int:
        """Standard normals that each random scale takes."""
        if self.transport is None:
            return 0
        return self.transport.normals(self.law)[-1] - 1

    @property
    def size(self) -> int:
        """Standard normals of all scales."""
        return math.prod(self.shape) * self.normals

    def of(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "*row_feature draw"]:
        """The scales of each draw, (row, feature, draw); without the first two axes where they are one number."""
        if self.transport is None or self.transport.scales is None:
            return normals.new_full((normals.shape[1],), float(self.constant or 0.0))
        each = normals.unflatten(0, (*self.shape, self.normals)).movedim(-1, 0)
        return push_beside(self.transport.scales, self.law, each).movedim(0, -1)


def scales_of(law: dist.Distribution, shape: tuple[int, int]) -> Scales | None:
    """The scales given which a matrix law is Gaussian around zero and independent by entry; None for any other law."""
    constant = centred_gaussian_scale(law)
    if constant is not None:
        return Scales(shape, constant)
    entry, transport = innermost(law), find_transport(law)
    if transport is None or len(entry.event_shape) or tuple(entry.batch_shape) != shape:
        return None
    inner = find_transport(entry)
    if inner is None or inner.scales is None or (entry.loc != 0).any():
        return None
    return Scales(shape, None, entry, inner)


@dataclass(frozen=True)
class Collapsed:
    """What a factorisation has beside the Gaussian part of its last layer, as a function of standard normals.

    The normals are those of the hidden layers, then those of the scales of the last one; the draw axis is last. A
    tensor's rows are the indices of its first mode, its columns those of all the others.
    """

    whitened: WhitenedFactors | TriangularFactors
    scales: Scales

    @property
    def size(self) -> int:
        """Standard normals of the hidden layers and of the scales."""
        return self._hidden + self.scales.size

    @property
    def _hidden(self) -> int:
        return self.whitened.size - self.scales.size - math.prod(self.whitened.shapes[-1])

    @property
    def feature_count(self) -> int:
        """Rows of H: the last hidden width, or the columns of W at depth one."""
        return self.whitened.shapes[-1][1]

    @property
    def per_row(self) -> bool:
        """Whether each row has features of its own."""
        return self.scales.constant is None

    @property
    def has_atoms(self) -> bool:
        """Whether some weights take single values with positive probability."""
        laws = self.whitened.laws if isinstance(self.whitened, WhitenedFactors) else []
        return any(has_atoms(law) for law in laws)

    def split(
        self, normals: Float[Tensor, "latent draw"]
    ) -> tuple[Float[Tensor, "own draw"], Float[Tensor, "row feature draw"]]:
        """The normals of the whole model as those of the collapsed form, and Z."""
        last = normals[self._hidden :].unflatten(0, (*self.whitened.shapes[-1], 1 + self.scales.normals))
        own = normals[: self._hidden]
        return (torch.cat([own, last[:, :, 1:].flatten(0, 2)]) if self.scales.normals else own), last[:, :, 0]

    def join(
        self, own: Float[Tensor, "own draw"], last: Float[Tensor, "row feature draw"]
    ) -> Float[Tensor, "latent draw"]:
        """The inverse of `split`."""
        scales = own[self._hidden :].unflatten(0, (*last.shape[:2], self.scales.normals))
        return torch.cat([own[: self._hidden], torch.cat([last[:, :, None], scales], dim=2).flatten(0, 2)])

    def features(self, normals: Float[Tensor, "own draw"]) -> Float[Tensor, "*row feature col draw"]:
        """F = s_d H of each draw, so that K = FᵀF, of all rows or of each; at depth one H is the identity."""
        return self.features_of(self.hidden_layers(normals), normals[self._hidden :])

    def features_of(
        self, hidden: list[Float[Tensor, "_ _ draw"]], scales: Float[Tensor, "latent draw"]
    ) -> Float[Tensor, "*row feature col draw"]:
        """F of the hidden layers and the normals of the scales."""
        if hidden:
            value = self.whitened.network.features(hidden)
        else:
            eye = torch.eye(self.feature_count, device=scales.device, dtype=scales.dtype)
            value = eye[..., None].expand(-1, -1, scales.shape[1])
        if self.scales.constant is not None:
            return self.scales.constant * value
        return self.scales.of(scales).unsqueeze(2) * value

    def weights(
        self, normals: Float[Tensor, "own draw"], last: Float[Tensor, "row feature draw"]
    ) -> dict[str, Float[Tensor, "draw _ _"]]:
        """The weight matrices of each draw, given the standard normals Z of the last layer after conditioning."""
        layers = [*self.hidden_layers(normals), self.last_layer(normals[self._hidden :], last)]
        return {name: layer.movedim(-1, 0) for name, layer in zip(self.whitened.names, layers, strict=True)}

    def last_layer(
        self, scales: Float[Tensor, "latent draw"], last: Float[Tensor, "row feature draw"]
    ) -> Float[Tensor, "row feature draw"]:
        """The last weight matrix given Z and the normals of the scales."""
        return self.scales.of(scales) * last

    @property
    def gaussian_scales(self) -> tuple[float, ...]:
        """s of each layer where the array is a product of Gaussian matrices, s times normals; else none."""
        return self.whitened.gaussian_scales or ()

    def around(
        self, layers: list[Float[Tensor, "_ _ draw"]], place: int
    ) -> tuple[Float[Tensor, "row out draw"], Float[Tensor, "in col draw"] | None]:
        """L and R where the array is L·layer·R, for a model with ``gaussian_scales`` and any layer but the last.

        On the right of the first layer there is none.
        """
        left = self.whitened.network.forward(layers[place + 1 :], normalize=False)
        return left, self.whitened.network.forward(layers[:place], normalize=False) if place else None

    def hidden_layers(self, normals: Float[Tensor, "own draw"]) -> list[Float[Tensor, "_ _ draw"]]:
        """The weight matrices of the hidden layers; none at depth one."""
        return self.whitened.layers(normals[: self._hidden]) if len(self.whitened.shapes) > 1 else []


def collapse(model: object, shape: tuple[int, ...], *, weights: bool = False) -> Collapsed | None:
    """The collapsed form of a model, or None where it has none: see `why_not_collapsible`.

    With ``weights`` its hidden layers are the model's own, else they may be those of the width-free form.
    """
    if why_not_collapsible(model, shape) is not None or not isinstance(model, Factorization):
        return None
    whitened = model.whiten(shape, weights=weights)
    if isinstance(whitened, TriangularFactors) and not whitened.last_gaussian:
        whitened = model.whiten(shape, weights=True)
    if not isinstance(whitened, WhitenedFactors | TriangularFactors):
        return None
    scales = scales_of(list(model.laws(shape).values())[-1], model.layer_shapes(shape)[-1])
    return None if scales is None else Collapsed(whitened, scales)


def why_not_collapsible(model: object, shape: tuple[int, ...]) -> str | None:
    """Why a model has no collapsed form, in a few words; None where it has one."""
    if not isinstance(model, Factorization):
        return "it is not a factorisation"
    if model.normalize:
        return "its output is normalised"
    if scales_of(list(model.laws(shape).values())[-1], model.layer_shapes(shape)[-1]) is None:
        return "its last layer is not Gaussian around zero, nor a mixture of such"
    for name, law in model.laws(shape).items():
        if find_transport(law) is None:
            return f"{name} has no transport from standard normals"
    return None

"""Factorisations: arrays made of independent weight matrices, with a prior on each; here of matrices.

Deep matrix factorisation is W = W_d σ(W_{d−1} σ(… σ(W_1))). Source: Alexander, Slutzky, Ran-Milo and Cohen 2025,
section 2 (model) and section 5 (normalised prior). Tensors are in `tensors`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.models.activations import activation_named
from bayesgc.models.factorization.architectures import ChainNetwork, Network
from bayesgc.models.factorization.layered import LayeredFactors
from bayesgc.models.factorization.triangular import triangular_factors
from bayesgc.models.layout import Program
from bayesgc.models.placement import push_beside
from bayesgc.models.priors.laws import centred_gaussian_scale
from bayesgc.models.priors.prior import (
    SCALINGS,
    LayerPrior,
    Prior,
    Scaling,
    each_layer,
    hyperparameters,
    layer_prior,
    listed_priors,
)
from bayesgc.models.transports.registry import find_transport, transport_of
from bayesgc.models.whitening import Whitened, WhitenedProgram
from bayesgc.task.domain import Domain, array_shape
from bayesgc.validate import InputError, one_of, positive_integer

Size = tuple[int, int]


@dataclass(frozen=True)
class Factorization(ABC):
    """What all factorisations share: independent weight matrices, and a network that makes an array of them.

    The fields are documented in each family.
    """

    depth: int = 2
    width: int | tuple[int, ...] = 5
    activation: str = "linear"
    prior: str | Prior | tuple[Any, ...] = "gaussian"
    scaling: str = "fan-out"
    normalize: bool = True
    family: ClassVar[str]

    def __post_init__(self) -> None:
        positive_integer("depth", self.depth)
        widths = self.width if isinstance(self.width, tuple) else (self.width,)
        for width in widths:
            positive_integer("width", width)
        if isinstance(self.width, tuple) and len(widths) != self.depth - 1:
            raise InputError(f"width is {self.width!r}; a depth of {self.depth} has {self.depth - 1} hidden layers.")
        activation_named(self.activation)
        one_of("scaling", self.scaling, SCALINGS)
        if not isinstance(self.normalize, bool):
            raise InputError(f"normalize is {self.normalize!r}; it must be True or False.")
        for prior in listed_priors(self.prior):
            if prior is not ...:
                layer_prior(prior, self.scaling)

    @property
    def facts(self) -> dict[str, Any]:
        """The family and its hyperparameters."""
        return {"family": self.family, **hyperparameters(self)}

    @property
    def hidden(self) -> tuple[int, ...]:
        """The width of each hidden layer, from the input on."""
        return self.width if isinstance(self.width, tuple) else (self.width,) * (self.depth - 1)

    @abstractmethod
    def layer_shapes(self, shape: tuple[int, ...]) -> list[Size]:
        """(rows, cols) of every weight matrix for an array of ``shape``, in the order in which they act."""

    @abstractmethod
    def layer_names(self, shape: tuple[int, ...]) -> list[str]:
        """Their names."""

    @abstractmethod
    def network(self, shape: tuple[int, ...]) -> Network:
        """What they make."""

    @abstractmethod
    def program(self, shape: tuple[int, ...]) -> Program:
        """The generative model as a Pyro program without arguments; a leading batch dimension passes through it."""

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The same law as a fast function of standard normals, where every layer has a transport."""
        shape = array_shape(domain, f"a {self.family}")
        if any(find_transport(law) is None for law in self.laws(shape).values()):
            return WhitenedProgram(self.program(shape), shape, batched=True)
        return WhitenedFactors(self, shape)

    def layer_scalings(self, shape: tuple[int, ...]) -> list[Scaling]:
        """The scale of each layer as a function of its shape, for priors that take it from the model."""
        return [SCALINGS[self.scaling]] * len(self.layer_shapes(shape))

    def layer_priors(self, shape: tuple[int, ...]) -> list[LayerPrior]:
        """The prior of each layer.

        Raises:
            InputError: where as many priors are listed as there are no layers.
        """
        priors = each_layer(self.prior, self.layer_names(shape))
        return [layer_prior(prior, rule) for prior, rule in zip(priors, self.layer_scalings(shape), strict=True)]

    def laws(self, shape: tuple[int, ...]) -> dict[str, dist.Distribution]:
        """The distribution of each weight matrix, by name.

        Raises:
            InputError: where a prior gives something else than a distribution over matrices of the layer's shape.
        """
        layers = zip(self.layer_names(shape), self.layer_priors(shape), self.layer_shapes(shape), strict=True)
        return {name: prior(*size, name) for name, prior, size in layers}


@dataclass(frozen=True)
class MatrixFactorization(Factorization):
    """A deep matrix factorisation with independent weights.

    Args:
        depth: number of weight matrices d, at least 1; with one there is no activation and no width.
        width: columns shared by all hidden layers, or one number for each of the d − 1 of them.
        activation: ``linear``, ``tanh``, ``leaky-relu``, ``relu`` or a registered name.
        prior: a name with options, such as ``"gaussian"``, ``"student-t:df=4"`` or ``"mine.py:spiky:share=0.1"``; or a
            function (rows, cols) → Pyro distribution, which is then the final law of that matrix; or a tuple with one
            of these for each layer, in which ``...`` repeats the one before it as needed.
        scaling: how shipped priors scale a layer: ``fan-out`` divides by √rows (the paper), ``fan-in`` by √cols,
            ``unit`` not at all.
        normalize: divide the end-to-end matrix by its Frobenius norm.

    Raises:
        InputError: for a value outside of these.
    """

    family: ClassVar[str] = "matrix-factorization"

    def layer_shapes(self, shape: tuple[int, ...]) -> list[Size]:
        """(rows, cols) of W_1, …, W_d for an end-to-end matrix of ``shape``."""
        if len(shape) != 2:
            raise InputError(f"the task has the shape {shape}; a matrix factorisation needs (rows, cols).")
        rows, cols = shape
        return [(after, before) for before, after in pairwise((cols, *self.hidden, rows))]

    def layer_names(self, shape: tuple[int, ...]) -> list[str]:
        """W1, …, Wd."""
        return [f"W{j}" for j in range(1, self.depth + 1)]

    def network(self, shape: tuple[int, ...]) -> Network:
        """W_d σ(W_{d−1} σ(… σ(W_1)))."""
        return ChainNetwork(activation_named(self.activation))

    def program(self, shape: tuple[int, ...]) -> Program:
        """The generative model as a Pyro program without arguments; a leading batch dimension passes through it."""
        activation = activation_named(self.activation)
        layers = list(self.laws(shape).items())

        def factorization() -> Tensor:
            value = pyro.sample(*layers[0])
            for name, law in layers[1:]:
                value = pyro.sample(name, law) @ activation(value)
            if self.normalize:
                norm = torch.linalg.matrix_norm(value, keepdim=True)
                value = value / torch.where(norm > 0, norm, torch.ones_like(norm))
            return value

        return factorization

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The same law as a fast function of standard normals.

        Linear with centred Gaussian layers, and wide: the width-free form of `TriangularFactors`, which has no weights
        to give, wherever it takes at most half as many normals. Otherwise, and with ``weights``, every weight has its
        own normal. So for such a model the bits of the draws of one seed, not their law, change with ``weights``.
        """
        short, shape = None, array_shape(domain, f"a {self.family}")
        if not weights and self.activation == "linear":
            short = triangular_factors(
                self.layer_shapes(shape), list(self.laws(shape).values()), normalize=self.normalize
            )
        return super().whiten(shape, weights=weights) if short is None else short


class WhitenedFactors(LayeredFactors):
    """A factorisation as a function of standard normals.

    It draws and multiplies exactly as the Pyro program run under the whitening handler does, only faster; long
    products of a homogeneous activation are rescaled on the way.
    """

    def __init__(self, model: Factorization, shape: tuple[int, ...]) -> None:
        self.shapes = model.layer_shapes(shape)
        self.network = model.network(shape)
        self.normalize = model.normalize
        laws = model.laws(shape)
        self.names, self.laws = list(laws), list(laws.values())
        self._transports = [transport_of(law, name) for name, law in laws.items()]
        self._normals = [each.normals(law) for each, law in zip(self._transports, self.laws, strict=True)]
        self.sizes = [math.prod(normals) for normals in self._normals]
        self.size = sum(self.sizes)
        self._scales = [centred_gaussian_scale(law) for law in self.laws]

    @property
    def gaussian_scales(self) -> tuple[float, ...] | None:
        """The standard deviation of each layer's weights."""
        known = [scale for scale in self._scales if scale is not None]
        return tuple(known) if self.network.is_product and len(known) == len(self._scales) else None

    def layer(self, index: int, own: Float[Tensor, "own draw"]) -> Float[Tensor, "row col draw"]:
        """One weight matrix of each draw, from its own normals."""
        scale = self._scales[index]
        if scale is not None:  # what the transport does, in one operation
            return own.unflatten(0, self._normals[index]) * scale
        # A view with the draws in front for the transport; the memory stays as it is.
        piece = own.unflatten(0, self._normals[index]).movedim(-1, 0)
        return push_beside(self._transports[index].push, self.laws[index], piece).movedim(0, -1).to(own.dtype)

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Float[Tensor, "draw row col"]]:
        """The weight matrices of each draw, by name."""
        return {name: layer.movedim(-1, 0) for name, layer in zip(self.names, self.layers(normals), strict=True)}


def factorised(model: object) -> Factorization | None:
    """A model as a factorisation of an array in weight matrices, where it is that, else None."""
    return model if isinstance(model, Factorization) else None

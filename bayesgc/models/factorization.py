"""Deep matrix factorisation: W = W_d σ(W_{d−1} σ(… σ(W_1))) with a prior on each weight matrix.

Source: Alexander, Slutzky, Ran-Milo and Cohen 2025, section 2 (model) and section 5 (normalised prior).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

from bayesgc.models.activations import Activation, activation_named
from bayesgc.models.priors import SCALINGS, Prior, prior_named
from bayesgc.models.products import forward
from bayesgc.models.transports import transport_of
from bayesgc.models.triangular import triangular_factors
from bayesgc.models.whitening import Program, Whitened
from bayesgc.validate import InputError, one_of, positive_integer


@dataclass(frozen=True)
class MatrixFactorization:
    """A deep matrix factorisation with independent weights.

    Args:
        depth: number of weight matrices d, at least 1; with one there is no activation and no width.
        width: columns shared by all hidden layers, or one number for each of the d − 1 of them.
        activation: ``linear``, ``tanh``, ``leaky-relu``, ``relu`` or a registered name.
        prior: a registered name with options, such as ``"gaussian"`` or ``"uniform:mean=0.5"``, or a function
            (rows, cols) → Pyro distribution, which is then the final law of that matrix.
        scaling: how shipped priors scale a layer: ``fan-out`` divides by √rows (the paper), ``fan-in`` by √cols,
            ``unit`` not at all.
        normalize: divide the end-to-end matrix by its Frobenius norm.

    Raises:
        InputError: for a value outside of these.
    """

    depth: int = 2
    width: int | tuple[int, ...] = 5
    activation: str = "linear"
    prior: str | Prior = "gaussian"
    scaling: str = "fan-out"
    normalize: bool = True

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
        self.layer_prior()

    @property
    def hidden(self) -> tuple[int, ...]:
        """The width of each hidden layer, from the input on."""
        return self.width if isinstance(self.width, tuple) else (self.width,) * (self.depth - 1)

    def layer_shapes(self, shape: tuple[int, ...]) -> list[tuple[int, int]]:
        """(rows, cols) of W_1, …, W_d for an end-to-end matrix of ``shape``."""
        if len(shape) != 2:
            raise InputError(f"the task has the shape {shape}; a matrix factorisation needs (rows, cols).")
        rows, cols = shape
        return [(after, before) for before, after in pairwise((cols, *self.hidden, rows))]

    def layer_prior(self) -> Prior:
        """The prior of one layer, as a function of its shape."""
        if isinstance(self.prior, str):
            return prior_named(self.prior, self.scaling)
        if not callable(self.prior):
            raise InputError(f"prior is {self.prior!r}; give a name or a function (rows, cols) → Pyro distribution.")
        return self.prior

    def laws(self, shape: tuple[int, ...]) -> dict[str, dist.Distribution]:
        """The distribution of each weight matrix W1, …, Wd.

        Raises:
            InputError: where a prior gives something else than a distribution over matrices of the layer's shape.
        """
        prior = self.layer_prior()
        sizes = self.layer_shapes(shape)
        return {f"W{j}": _checked_law(prior(*size), f"W{j}", size) for j, size in enumerate(sizes, start=1)}

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

    def whiten(self, shape: tuple[int, ...], *, weights: bool = False) -> Whitened:
        """The same law as a fast function of standard normals.

        Linear with centred Gaussian layers, and wide: the width-free form of `TriangularFactors`, which has no weights
        to give, wherever it takes at most half as many normals. Otherwise, and with ``weights``, every weight has its
        own normal. So for such a model the bits of the draws of one seed, not their law, change with ``weights``.
        """
        short = None
        if not weights and self.activation == "linear":
            short = triangular_factors(
                self.layer_shapes(shape), list(self.laws(shape).values()), normalize=self.normalize
            )
        return WhitenedFactors(self, shape) if short is None else short


def _checked_law(law: Any, name: str, size: tuple[int, int]) -> dist.Distribution:
    if not isinstance(law, TorchDistributionMixin):
        raise InputError(f"the prior gave {law!r} for {name}; it must give a Pyro distribution.")
    if tuple(law.shape()) != size:
        raise InputError(f"the prior gave {name} the shape {tuple(law.shape())}; the layer is {size}.")
    return law


class WhitenedFactors:
    """`MatrixFactorization` as a function of standard normals, with the draw axis last throughout.

    It draws and multiplies exactly as the Pyro program run under the whitening handler does, only faster; long
    products of a homogeneous activation are rescaled on the way.
    """

    def __init__(self, model: MatrixFactorization, shape: tuple[int, ...]) -> None:
        self.shapes = model.layer_shapes(shape)
        self.activation: Activation = activation_named(model.activation)
        self.normalize = model.normalize
        laws = model.laws(shape)
        self._laws = list(laws.values())
        self._transports = [transport_of(law, name) for name, law in laws.items()]
        self.size = sum(math.prod(size) for size in self.shapes)

    def layers(self, normals: Float[Tensor, "latent draw"]) -> list[Float[Tensor, "_ _ draw"]]:
        """W_1, …, W_d of each draw; only the first of them when the normals are theirs alone."""
        layers, start = [], 0
        for transport, law, size in zip(self._transports, self._laws, self.shapes, strict=True):
            end = start + math.prod(size)
            if end > normals.shape[0]:
                break
            # A view with the draws in front for the transport; the memory stays as it is.
            piece = normals[start:end].unflatten(0, size).movedim(-1, 0)
            layers.append(transport.push(law, piece).movedim(0, -1))
            start = end
        return layers

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The end-to-end matrices, vectorised row by row."""
        return forward(self.layers(normals), self.activation, normalize=self.normalize).flatten(0, 1)

    def weights(self, normals: Float[Tensor, "latent draw"]) -> dict[str, Float[Tensor, "draw row col"]]:
        """W1, …, Wd of each draw."""
        return {f"W{j}": layer.movedim(-1, 0) for j, layer in enumerate(self.layers(normals), start=1)}

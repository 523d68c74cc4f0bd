"""Factorised tensors of any order: sums of outer products (CP) and tensor trains, shallow or deep.

Both are a matrix factorisation of the tensor unfolded with its first mode as rows, W = W_last F, whose features F are
made mode by mode of the others. A tensor of order two is the matrix model itself, draw for draw.

CP (Hitchcock 1927; Kolda and Bader 2009) is the tensor factorisation of Razin, Maman and Cohen 2021; its deep form,
each factor a product of matrices, that of Hariz, Kadri, Ayache, Moakher and Artières 2022. The tensor train is that of
Oseledets 2011, deep in the way of Milanesi, Kadri, Ayache and Artières 2021. With an activation the factors of a mode
are a network of their own, as in the generalised decompositions of Cohen and Shashua 2016.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import pyro
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.models.activations import activation_named
from bayesgc.models.factorization.architectures import CPNetwork, TensorNetwork, TrainNetwork
from bayesgc.models.factorization.matrices import Factorization, Size
from bayesgc.models.layout import Program
from bayesgc.models.priors.prior import SCALINGS, Scaling
from bayesgc.validate import InputError


@dataclass(frozen=True)
class TensorFactorization(Factorization):
    """What CP and tensor trains share: a chain of d − 1 hidden layers for each mode but the first, and a last layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 2:
            raise InputError(f"depth is {self.depth}; a tensor factorisation has a depth of at least 2.")

    @abstractmethod
    def entering(self, shape: tuple[int, ...], mode: int) -> int:
        """The columns of the first layer of a mode, from 2 to N."""

    def layer_shapes(self, shape: tuple[int, ...]) -> list[Size]:
        """(rows, cols) of the hidden layers of the modes N, …, 2, from the index on, and of the last layer."""
        if len(shape) < 2:
            raise InputError(f"the task has the shape {shape}; a tensor factorisation needs two or more sides.")
        chains = [(self.entering(shape, mode), *self.hidden) for mode in range(len(shape), 1, -1)]
        hidden = [(after, before) for chain in chains for before, after in pairwise(chain)]
        return [*hidden, (shape[0], self.hidden[-1])]

    def layer_names(self, shape: tuple[int, ...]) -> list[str]:
        """A1 for the last layer; A2, …, AN for the factors of the other modes, or A2_1, A2_2, … where they are deep."""
        layers = [""] if self.depth == 2 else [f"_{j}" for j in range(1, self.depth)]
        return [f"A{mode}{layer}" for mode in range(len(shape), 1, -1) for layer in layers] + ["A1"]

    @abstractmethod
    def network(self, shape: tuple[int, ...]) -> TensorNetwork:
        """What the layers make."""

    def program(self, shape: tuple[int, ...]) -> Program:
        """The generative model as a Pyro program without arguments; a leading batch dimension passes through it."""
        laws, network, normalize = self.laws(shape), self.network(shape), self.normalize

        def factorization() -> Float[Tensor, "*array"]:
            layers = [pyro.sample(name, law) for name, law in laws.items()]
            batch = torch.broadcast_shapes(*(layer.shape[:-2] for layer in layers))
            alike = [layer.expand(*batch, *layer.shape[-2:]) for layer in layers]
            draws_last = [layer.reshape(-1, *layer.shape[-2:]).movedim(0, -1) for layer in alike]
            value = network.forward(draws_last, normalize=normalize)
            return value.movedim(-1, 0).reshape(*batch, *shape)

        return factorization


@dataclass(frozen=True)
class CPFactorization(TensorFactorization):
    """A sum of outer products: T = Σ_r a_r ⊗ b_r ⊗ c_r ⊗ …, with independent weights.

    The vectors of mode m are the rows of H_m, (width, side). At depth 2 H_m is one weight matrix, and deeper a product
    of d − 1 of them; the activation, if any, follows each. The first mode's are the columns of one matrix, (side,
    width), at any depth.

    With fan-out scaling, Gaussian and linear, every entry has mean zero and variance 1/n_1 whatever the order, the
    width and the depth, as the entries of the matrix model have: the Khatri–Rao product of the H_m takes the place of
    its last hidden layer, and the layers that are multiplied share that layer's scale, width^(−1/2), evenly. With
    fan-in it is 1/(n_2 ⋯ n_N), where the matrix model has one over its columns.

    Args:
        depth: weight matrices from an index of a mode to the sum, d, at least 2.
        width: the number of outer products and of all hidden units; or d − 1 widths of hidden layers, the same for
            every mode, the last of which is the number of outer products.
        activation: ``linear``, ``tanh``, ``leaky-relu``, ``relu`` or a registered name.
        prior: a registered name with options, or a function (rows, cols) → Pyro distribution, which is then the final
            law of that matrix.
        scaling: how shipped priors scale a layer, ``fan-out``, ``fan-in`` or ``unit``; see above.
        normalize: divide the tensor by its Frobenius norm.

    Raises:
        InputError: for a value outside of these.
    """

    family: ClassVar[str] = "cp-factorization"

    def entering(self, shape: tuple[int, ...], mode: int) -> int:
        """The side of the mode."""
        return shape[mode - 1]

    def layer_scalings(self, shape: tuple[int, ...]) -> list[Scaling]:
        """Layers that are multiplied entry by entry share the scale of one."""
        rules, sizes, length = super().layer_scalings(shape), self.layer_shapes(shape), self.depth - 1
        multiplied, modes = slice(length - 1, -1, length), len(shape) - 1
        cols = math.prod(cols for _, cols in sizes[multiplied])
        share = SCALINGS[self.scaling](self.hidden[-1], cols) ** (1 / modes)
        rules[multiplied] = [lambda *size: share] * modes
        return rules

    def network(self, shape: tuple[int, ...]) -> TensorNetwork:
        """The sum of outer products."""
        return CPNetwork(activation_named(self.activation), self.depth - 1)


@dataclass(frozen=True)
class TensorTrain(TensorFactorization):
    """A tensor train: T[i_1, …, i_N] = G_1[i_1] G_2[i_2] ⋯ G_N[i_N], a product of matrices, with independent weights.

    The core of mode m is one weight matrix, (width, side · width), linear in the index i_m and what comes from mode
    m + 1 on; in the last mode that is nothing, and its core is (width, side). At depth 2 that is all, and deeper d − 2
    square matrices follow each core; the activation, if any, follows each. The first core is (side, width).

    Every core is a layer like any other, so the scalings are those of the matrix model: with fan-out, Gaussian and
    linear, every entry has mean zero and variance 1/n_1 whatever the order, the width and the depth, and with fan-in
    1/(n_2 ⋯ n_N).

    Args:
        depth: weight matrices from one bond of the train to the next, d − 1, and the first core; d is at least 2.
        width: the bonds of the train and all hidden units; or d − 1 widths of hidden layers, the same for every mode,
            the last of which is the bond.
        activation: ``linear``, ``tanh``, ``leaky-relu``, ``relu`` or a registered name.
        prior: a registered name with options, or a function (rows, cols) → Pyro distribution, which is then the final
            law of that matrix.
        scaling: how shipped priors scale a layer, ``fan-out``, ``fan-in`` or ``unit``; see above.
        normalize: divide the tensor by its Frobenius norm.

    Raises:
        InputError: for a value outside of these.
    """

    family: ClassVar[str] = "tensor-train"

    def entering(self, shape: tuple[int, ...], mode: int) -> int:
        """The side of the mode, times the bond to the next one."""
        return shape[mode - 1] * (self.hidden[-1] if mode < len(shape) else 1)

    def network(self, shape: tuple[int, ...]) -> TensorNetwork:
        """The train."""
        return TrainNetwork(activation_named(self.activation), self.depth - 1)

"""How the layers of a factorisation make an array: the draw axis last throughout.

Every network ends in the same way: the array, unfolded into a matrix with its first mode as rows, is W = W_last F. The
features F, (feature, col), are a function of the layers before, the hidden ones. So where the last layer is Gaussian
the rows of W are independent N(0, s² FᵀF) given the features, whatever made them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce

from jaxtyping import Float
from torch import Tensor

from bayesgc.models.activations import Activation
from bayesgc.models.factorization.passes import Anew, Between, LayerPass, Upward
from bayesgc.models.factorization.products import Scaled, chain, finished, product

Layers = list[Float[Tensor, "_ _ draw"]]


@dataclass(frozen=True)
class Network(ABC):
    """Layers and an activation, from a list of weight matrices to an array."""

    activation: Activation

    @property
    def is_product(self) -> bool:
        """Whether the array is the plain product of the layers, the last one leftmost."""
        return False

    @abstractmethod
    def scaled_features(self, hidden: Layers) -> Scaled:
        """F over e^(log scale), and the log scale where a long product was rescaled."""

    def features(self, hidden: Layers) -> Float[Tensor, "feature col draw"]:
        """F of hidden layers, at least one."""
        return finished(self.scaled_features(hidden), normalize=False)

    def scaled(self, layers: Layers) -> Scaled:
        """The unfolded array over e^(log scale), and the log scale where a long product was rescaled."""
        *hidden, last = layers
        value, log_scale = self.scaled_features(hidden)
        return product(last, value), log_scale

    def forward(self, layers: Layers, *, normalize: bool) -> Float[Tensor, "row col draw"]:
        """The unfolded array; divided by its Frobenius norm when ``normalize``. A zero array stays zero."""
        return finished(self.scaled(layers), normalize=normalize)

    def layer_pass(self, layers: Layers) -> LayerPass:
        """A pass over the layers, one of which changes at a time."""
        return Anew(self.scaled, layers)

    def activated(self, scaled: Scaled) -> Scaled:
        """σ of what a chain of layers gave."""
        value, log_scale = scaled
        return self.activation.at_scale(value, log_scale), log_scale


class ChainNetwork(Network):
    """A matrix: W_d σ(W_{d−1} σ(… σ(W_1)))."""

    @property
    def is_product(self) -> bool:
        """Without an activation."""
        return self.activation.identity

    def scaled_features(self, hidden: Layers) -> Scaled:
        """σ(W_{d−1} … σ(W_1))."""
        return self.activated(chain(hidden[0], hidden[1:], self.activation))

    def scaled(self, layers: Layers) -> Scaled:
        """The end-to-end matrix; of one layer that layer itself."""
        return chain(layers[0], layers[1:], self.activation)

    def layer_pass(self, layers: Layers) -> LayerPass:
        """One that keeps what lies below a layer, and of a linear chain what lies above it too."""
        return Between(layers) if self.activation.identity else Upward(self.activation, layers)


@dataclass(frozen=True)
class TensorNetwork(Network):
    """A tensor of order N: one chain of ``length`` hidden layers for each of the modes N, N−1, …, 2, in this order."""

    length: int

    def chains(self, hidden: Layers) -> list[Layers]:
        """The hidden layers mode by mode, from the last mode to the second."""
        return [hidden[start : start + self.length] for start in range(0, len(hidden), self.length)]


class CPNetwork(TensorNetwork):
    """A sum over components r of outer products: F is the row-wise Khatri–Rao product of the modes' features.

    F[r, (i_2 … i_N)] = H_2[r, i_2] ⋯ H_N[r, i_N], with H_m the features of the chain of mode m.
    """

    def scaled_features(self, hidden: Layers) -> Scaled:
        """The Khatri–Rao product; the second mode's index is the slowest, as in a row-major vector."""
        parts = [self.activated(chain(first, rest, self.activation)) for first, *rest in self.chains(hidden)]
        return reduce(_khatri_rao, reversed(parts))


class TrainNetwork(TensorNetwork):
    """A tensor train: the first layer of mode m, a core, is linear in the index i_m and the features of mode m + 1."""

    def scaled_features(self, hidden: Layers) -> Scaled:
        """Mode by mode: F_m = σ(… σ(G_m (i_m, F_{m+1}))), (bond, i_m ⋯ i_N)."""
        first, *others = self.chains(hidden)
        value, log_scale = self.activated(chain(first[0], first[1:], self.activation))
        for core, *rest in others:
            value, log_scale = self.activated(chain(_contract(core, value), rest, self.activation, log_scale))
        return value, log_scale


def _khatri_rao(left: Scaled, right: Scaled) -> Scaled:
    value = (left[0][:, :, None] * right[0][:, None]).flatten(1, 2)
    scales = [log_scale for _, log_scale in (left, right) if log_scale is not None]
    return value, sum(scales[1:], scales[0]) if scales else None


def _contract(
    core: Float[Tensor, "bond side_entering draw"], features: Float[Tensor, "entering col draw"]
) -> Float[Tensor, "bond side_col draw"]:
    """Σ_b G[a, (i, b)] F[b, j] as a matrix with rows a and columns (i, j)."""
    bond, entering = core.shape[0], features.shape[0]
    value = product(core.unflatten(1, (-1, entering)).flatten(0, 1), features)
    return value.unflatten(0, (bond, -1)).flatten(1, 2)

"""Infinitely wide networks: the rows of W become independent N(0, K) with one K for all draws.

K = s_d² HᵀH is an average over the hidden units, so as the widths grow, one after the other from the input on, it tends
to its mean (Neal 1996, chapter 2; Lee et al. 2018), by the expectations in `kernels`. With the paper's scaling the
weights of a wide net are small, so that one that is the identity near zero becomes linear.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.models.activations import activation_named
from bayesgc.models.factorization.matrices import Factorization, MatrixFactorization
from bayesgc.models.kernels import expected_products
from bayesgc.models.priors.laws import centred_gaussian_scale


def wide_gram(model: object, shape: tuple[int, ...]) -> Float[Tensor, "col col"] | None:
    """K of the model as its widths go to infinity, in double precision; None where this module does not know it.

    It does for matrix factorisations that are not normalised, whose layers are all independent normals around zero
    with fan-out or fan-in scaling, of an activation that is homogeneous or, with fan-out, the identity near zero.
    """
    if not isinstance(model, MatrixFactorization) or model.normalize or not _known(model, shape):
        return None
    rows, cols = shape
    gram = torch.eye(cols, dtype=torch.float64)
    activation = activation_named(model.activation)
    if activation.homogeneous:
        for _ in range(model.depth - 1):
            gram = expected_products(activation, gram)
    return gram / {"fan-out": rows, "fan-in": cols}[model.scaling]


def _known(model: Factorization, shape: tuple[int, ...]) -> bool:
    activation = activation_named(model.activation)
    linear = model.depth == 1 or activation.homogeneous or (activation.tangent and model.scaling == "fan-out")
    if not linear or model.scaling not in ("fan-out", "fan-in"):
        return False
    pairs = zip(model.laws(shape).values(), model.layer_scalings(shape), model.layer_shapes(shape), strict=True)
    # A prior of one's own may be normal too, with a scale that is not the model's.
    return all(_is(centred_gaussian_scale(law), scaling(*size)) for law, scaling, size in pairs)


def _is(scale: float | None, expected: float) -> bool:
    return scale is not None and math.isclose(scale, expected, rel_tol=1e-6)

"""Gamma variables as a transport of standard normals: log x with x = F⁻¹(Φ(z)), F the gamma law of rate one.

In logarithms, since variables of a small concentration are beyond the range of any precision. One known concentration
is looked up in a table; concentrations that differ, as those of a hierarchical model do from draw to draw, are solved
for.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from jaxtyping import Float
from scipy import special
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.models.transports.splines import look_up, spline_cells
from bayesgc.models.transports.tails import log_tail

_TINY = 1e-30
"""Below it, F(x) = x^a/Γ(a + 1) to the last digit."""
_STEPS = 14
"""Newton steps: from the starts below they suffice for concentrations from 0.02 to 10⁴."""


def log_gamma_quantile(concentration: Float[Tensor, "*a"], z: Float[Tensor, "*b"]) -> Float[Tensor, "*both"]:
    """log F⁻¹(Φ(z)) for the gamma law of that concentration and rate one; the two broadcast.

    Where the concentration is one number for all it has a derivative in ``z``. It is read on the host, so for a law
    that was moved give the one `at_home`.
    """
    known = _one_number(concentration)
    if known is not None:
        return look_up(_table(known).like(z), z)
    wide = _solve(*torch.broadcast_tensors(concentration.to(z.device).double(), z.double()))
    return wide.to(z.dtype)


def _one_number(values: Tensor) -> float | None:
    """The number that all entries share, or None; inside ``vmap`` what differs from draw to draw cannot be read."""
    if values.requires_grad:
        return None
    try:
        first = float(values.flatten()[0])
        return first if bool((values == first).all()) else None
    except RuntimeError:
        return None


@functools.lru_cache(maxsize=256)
def _table(concentration: float) -> DeviceCopies:
    return DeviceCopies(spline_cells(functools.partial(_log_quantile, concentration)))


def _log_quantile(concentration: float, z: Float[np.ndarray, " point"]) -> Float[np.ndarray, " point"]:
    # Either tail by its own function: Φ(z) near 1 has lost the digits that tell large z apart.
    tail = special.ndtr(-np.abs(z))
    value = np.where(z < 0, special.gammaincinv(concentration, tail), special.gammainccinv(concentration, tail))
    small = (special.log_ndtr(z) + special.gammaln(concentration + 1)) / concentration
    return np.where(value < _TINY, small, np.log(np.maximum(value, _TINY)))


def _solve(concentration: Float[Tensor, "*shape"], z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Newton's method on the logarithm of the nearer tail, which is concave in log x."""
    lower, upper = log_tail(-z), log_tail(z)
    gamma = torch.lgamma(concentration)
    # Exact in the far lower tail; Wilson and Hilferty (1931) elsewhere.
    small = (lower + torch.lgamma(concentration + 1)) / concentration
    cube = 1 - 1 / (9 * concentration) + z / (3 * concentration.sqrt())
    middle = concentration.log() + 3 * cube.clamp(min=1e-9).log()
    start = torch.where((cube <= 0.1) | (small < -3), small, middle)
    value = start
    for _ in range(_STEPS):
        x = value.exp()
        below = torch.special.gammainc(concentration, x).clamp(min=_LEAST).log()
        above = torch.special.gammaincc(concentration, x).clamp(min=_LEAST).log()
        density = concentration * value - x - gamma
        step = torch.where(z < 0, (lower - below) * (below - density).exp(), (above - upper) * (above - density).exp())
        value = value + step.clamp(-1, 1)
    return torch.where(small < math.log(_TINY), small, value)


_LEAST = 1e-300

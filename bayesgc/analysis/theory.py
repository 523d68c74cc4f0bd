"""What is known exactly of the spectra of long products of Gaussian matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import digamma

from bayesgc.validate import positive_integer

Json = dict[str, Any]


def lyapunov_exponents(width: int, count: int | None = None) -> Float[np.ndarray, " exponent"]:
    """The growth rates of the singular values of a product of independent square standard Gaussian matrices.

    Newman (1986): (1/d) log σ_i tends to μ_i = ½ (log 2 + ψ((k − i + 1)/2)) as the depth d grows at width k.

    Args:
        width: k, at least 1.
        count: how many, from the largest; all k when None.
    """
    size = positive_integer("width", width)
    index = np.arange(1, min(size, count or size) + 1)
    return np.asarray(0.5 * (math.log(2) + digamma((size - index + 1) / 2)))


def expected_log_determinant(rows: int, cols: int, widths: Sequence[int], scales: Sequence[float]) -> float | None:
    """E log det W Wᵀ of a linear factorisation with Gaussian layers of standard deviations ``scales``, W_1 first.

    Twice the expected sum of the log singular values, exact at every depth. Of Wᵀ W where cols < rows. None where a
    width is below the smaller side, as the determinant is then zero.
    """
    small, large = sorted((rows, cols))
    if any(width < small for width in widths):
        return None
    freedoms = [*widths, large]
    chi = sum(math.log(2) + float(digamma((m - i) / 2)) for m in freedoms for i in range(small))
    return 2 * small * math.fsum(math.log(scale) for scale in scales) + chi


def layer_scales(model: Json, shape: Sequence[int]) -> list[float]:
    """The standard deviations of the layers' entries under the model's scaling, W_1 first."""
    sizes = layer_sizes(model, shape)
    divisor = {"fan-out": 0, "fan-in": 1}
    side = divisor.get(model["scaling"])
    return [1.0 if side is None else 1 / math.sqrt(size[side]) for size in sizes]


def layer_sizes(model: Json, shape: Sequence[int]) -> list[tuple[int, int]]:
    """(rows, cols) of each layer of a described matrix factorisation, W_1 first."""
    edges = [shape[1], *hidden_widths(model), shape[0]]
    return [(after, before) for before, after in pairwise(edges)]


def hidden_widths(model: Json) -> list[int]:
    """The widths k_1 … k_{d−1}."""
    width = model["width"]
    return list(width) if isinstance(width, list) else [int(width)] * (int(model["depth"]) - 1)


def linear_gaussian(model: Json) -> bool:
    """Whether the described model is a linear factorisation with the centred Gaussian prior."""
    family = str(model.get("family", "")).replace(" ", "-")
    return family == "matrix-factorization" and (model.get("activation"), model.get("prior")) == ("linear", "gaussian")

"""What the singular values say about an end-to-end array, whatever weights produced it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

_BLOCK_ENTRIES = 2**22  # matrix entries decomposed at a time: 32 MiB in float64


def spectra(vectors: Float[Tensor, "entry draw"], shape: tuple[int, ...]) -> dict[str, Float[Tensor, "draw *rest"]]:
    """What the singular values of each draw say, on the draws' device and in their precision.

    ``effective_rank`` and ``nuclear_norm``, for a tensor the means over its unfoldings (each mode as rows against all
    the others), which for a matrix are itself and its transpose. For a matrix also ``singular_value`` (draw, min(rows,
    cols)), for a tensor ``mode_singular_value`` (draw, mode, component), the multilinear spectra, with zeros after the
    last of a mode. The singular values of an array that is not finite, as descent leaves it when it diverges, are NaN.
    """
    if len(shape) == 2:
        singular = singular_values(vectors, (shape[0], shape[1]))
        return {
            "effective_rank": effective_rank(singular),
            "nuclear_norm": singular.sum(-1),
            "singular_value": singular,
        }
    modes = [_unfolded_singular_values(vectors, shape, mode) for mode in range(len(shape))]
    longest = max(each.shape[1] for each in modes)
    return {
        "effective_rank": torch.stack([effective_rank(each) for each in modes]).mean(0),
        "nuclear_norm": torch.stack([each.sum(-1) for each in modes]).mean(0),
        "mode_singular_value": torch.stack([pad(each, (0, longest - each.shape[1])) for each in modes], dim=1),
    }


def _unfolded_singular_values(
    vectors: Float[Tensor, "entry draw"], shape: tuple[int, ...], mode: int
) -> Float[Tensor, "draw value"]:
    """Those of each draw as a matrix with one mode as rows."""
    unfolded = vectors.unflatten(0, shape).movedim(mode, 0).flatten(0, -2)
    return singular_values(unfolded, (shape[mode], len(vectors) // shape[mode]))


def singular_values(vectors: Float[Tensor, "entry draw"], shape: tuple[int, int]) -> Float[Tensor, "draw value"]:
    """Singular values of each vectorised matrix, in falling order, in blocks of bounded memory."""
    rows, cols = shape
    block = max(1, _BLOCK_ENTRIES // (rows * cols))
    return torch.cat([_block_singular_values(part, shape) for part in torch.split(vectors, block, dim=1)])


def _block_singular_values(vectors: Float[Tensor, "entry draw"], shape: tuple[int, int]) -> Float[Tensor, "draw value"]:
    # LAPACK refuses NaN and infinity for a whole batch at once.
    finite = vectors.isfinite().all(0)
    matrices = torch.where(finite, vectors, 0.0).T.reshape(-1, *shape)
    return torch.where(finite[:, None], torch.linalg.svdvals(matrices), torch.nan)


def effective_rank(singular: Float[Tensor, "draw value"]) -> Float[Tensor, " draw"]:
    """The exponential of the entropy of the singular values as shares of their sum (Roy & Vetterli 2007).

    From 1 for a matrix of rank one to min(rows, cols) where all are equal; 0 for the zero matrix.
    """
    total = singular.sum(-1)
    shares = singular / torch.where(total == 0, 1.0, total)[:, None]
    return torch.where(total == 0, 0.0, torch.special.entr(shares).sum(-1).exp())

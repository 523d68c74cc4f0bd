"""Function-space quantities: what is reported about an end-to-end matrix, whatever weights produced it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from bayesgc.task import Task

_BLOCK_ENTRIES = 2**22  # matrix entries decomposed at a time: 32 MiB in float64


def quantities(task: Task, vectors: Float[Tensor, "entry draw"]) -> dict[str, Float[Tensor, "draw *rest"]]:
    """The quantities of each draw, on the draws' device and in their precision.

    ``train_loss``; ``gen_loss`` and ``error`` (‖W − W*‖²) where the task defines them; ``effective_rank`` and
    ``nuclear_norm``, for a tensor the means over its unfoldings (each mode as rows against all the others), which for a
    matrix are itself and its transpose. For a matrix also ``singular_value`` (draw, min(rows, cols)), for a tensor
    ``mode_singular_value`` (draw, mode, component), the multilinear spectra, with zeros after the last of a mode. The
    singular values of an array that is not finite, as descent leaves it when it diverges, are NaN.
    """
    found = {"train_loss": task.train_loss(vectors), "gen_loss": task.gen_loss(vectors), "error": task.error(vectors)}
    known = {name: values for name, values in found.items() if values is not None}
    if len(task.shape) == 2:
        singular = singular_values(vectors, (task.shape[0], task.shape[1]))
        return known | {
            "effective_rank": effective_rank(singular),
            "nuclear_norm": singular.sum(-1),
            "singular_value": singular,
        }
    spectra = [_unfolded_singular_values(vectors, task.shape, mode) for mode in range(len(task.shape))]
    longest = max(each.shape[1] for each in spectra)
    return known | {
        "effective_rank": torch.stack([effective_rank(each) for each in spectra]).mean(0),
        "nuclear_norm": torch.stack([each.sum(-1) for each in spectra]).mean(0),
        "mode_singular_value": torch.stack([pad(each, (0, longest - each.shape[1])) for each in spectra], dim=1),
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

"""Layers drawn anew given all others and noisy measurements: moves of tempering that need no step size.

Where the array is the plain product of Gaussian layers it is linear in each of them. With Gaussian noise on the
measurements a layer is then Gaussian given the others, and a draw of it takes one solve with the covariance of what it
adds to the measurements. That is the Gibbs sampler of Bayesian matrix factorisation (Salakhutdinov and Mnih 2008), with
any number of layers, whole layers at a time. No proposal is turned down, however many measurements there are, where the
steps of a random walk become short.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.collapsed.criterion import condition_last_layer, system_given
from bayesgc.inference.collapsed.gaussian import dense_measurements
from bayesgc.models.factorization.collapse import Collapsed
from bayesgc.models.factorization.products import product
from bayesgc.task import ArrayTask, ObservedCells

Layer = Float[Tensor, "_ _ draw"]
Stack = Float[Tensor, "draw _ _"]


def sweep_layers(
    task: ArrayTask,
    collapsed: Collapsed,
    normals: Float[Tensor, "latent draw"],
    variance: float,
    generator: torch.Generator,
) -> Float[Tensor, "latent draw"]:
    """The normals of the hidden layers after each was drawn anew, the last layer first and then downwards.

    Args:
        task: what was measured.
        collapsed: a model with ``gaussian_scales``.
        normals: of the hidden layers, in double precision.
        variance: that of the noise on each measurement, above 0.
        generator: the source of the draws.

    The law that stays as it is: the prior times the density of the targets given the hidden layers. A column that
    cannot be solved in double precision stays where it is.
    """
    scales, layers = collapsed.gaussian_scales, collapsed.hidden_layers(normals)
    layers.append(scales[-1] * _last_layer(task, collapsed.features(normals), variance, generator))
    fresh = []
    for place in reversed(range(len(scales) - 1)):
        left, right = collapsed.around(layers, place)
        own = _drawn_anew(task, scales[place] * left, right, variance, generator)
        layers[place] = scales[place] * own
        fresh.append(own.flatten(0, 1))
    found = torch.cat(fresh[::-1])
    return torch.where(found.isfinite().all(0), found, normals)


def _drawn_anew(
    task: ArrayTask, left: Layer, right: Layer | None, variance: float, generator: torch.Generator
) -> Float[Tensor, "out in draw"]:
    """A layer of standard normals with these on its sides. Of the first one single cells see one column each."""
    if right is not None:
        return _layer_between(task, left, right, variance, generator)
    if task.observed_cells:
        return _last_layer(_turned(task), left.transpose(0, 1), variance, generator).transpose(0, 1)
    eye = torch.eye(task.unfolding[1], device=left.device, dtype=left.dtype)
    return _layer_between(task, left, eye[..., None].expand(-1, -1, left.shape[-1]), variance, generator)


@lru_cache(maxsize=4)
def _turned(task: ArrayTask) -> ArrayTask:
    """The same cells of the transposed matrix, in which the first layer is the last."""
    rows, cols = task.unfolding
    down, across = divmod(np.asarray(task.cells), cols)
    return ArrayTask("data", (cols, rows), ObservedCells((cols, rows), across * rows + down), task.targets)


def _last_layer(
    task: ArrayTask, features: Float[Tensor, "feature col draw"], variance: float, generator: torch.Generator
) -> Float[Tensor, "row feature draw"]:
    free = _normals((task.unfolding[0], features.shape[0]), features, generator)
    wanted, system = _heard(task, features, variance, generator), system_given(task, features, variance)
    return condition_last_layer(task, features, free, wanted, system)[1]


def _layer_between(
    task: ArrayTask, left: Layer, right: Layer, variance: float, generator: torch.Generator
) -> Float[Tensor, "out in draw"]:
    """A layer G of standard normals given that left G right is measured as the targets up to noise."""
    free = _normals((left.shape[1], right.shape[0]), left, generator)
    guess = product(product(left, free), right).flatten(0, 1)
    missing = _heard(task, left, variance, generator) - task.measurements.apply(guess).T
    covariance = _covariance(task, left.movedim(-1, 0), right.movedim(-1, 0))
    covariance.diagonal(dim1=1, dim2=2).add_(variance)
    # Where the factor fails it is of no use, and the column is not finite.
    factor, info = torch.linalg.cholesky_ex(covariance)
    multipliers = torch.cholesky_solve(missing[..., None], factor)[..., 0]
    multipliers = torch.where((info == 0)[:, None], multipliers, torch.nan)
    back = task.measurements.adjoint(multipliers.T).unflatten(0, task.unfolding)
    return free + product(product(left.transpose(0, 1), back), right.transpose(0, 1))


def _covariance(task: ArrayTask, left: Stack, right: Stack) -> Float[Tensor, "draw n n"]:
    """S_ij = tr(A_i (RᵀR) A_jᵀ (LLᵀ)), of what the layer between L and R adds to the measurements."""
    if task.cells is not None:
        rows, cols = (torch.as_tensor(each, device=left.device) for each in divmod(task.cells, task.unfolding[1]))
        tall, wide = left[:, rows], right[:, :, cols]
        return (tall @ tall.mT) * (wide.mT @ wide)
    flat = dense_measurements(task.measurements, left.device, left.dtype)
    seen = flat.unflatten(1, task.unfolding)
    if left.shape[2] * right.shape[1] < flat.shape[1]:
        images = torch.einsum("nrc,bro,bic->bnoi", seen, left, right).flatten(2)
        return images @ images.mT
    return torch.einsum("nrc,brs,bcd->bnsd", seen, left @ left.mT, right.mT @ right).flatten(2) @ flat.T


def _heard(task: ArrayTask, like: Tensor, variance: float, generator: torch.Generator) -> Float[Tensor, "draw n"]:
    """The targets of each draw less noise of its own."""
    y = torch.as_tensor(task.targets, dtype=like.dtype, device=like.device)
    return y - math.sqrt(variance) * _normals((len(y),), like, generator).T


def _normals(size: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Float[Tensor, "*size draw"]:
    return torch.randn(*size, like.shape[-1], generator=generator, device=like.device, dtype=like.dtype)

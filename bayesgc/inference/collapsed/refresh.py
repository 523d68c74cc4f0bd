"""Moves that keep the measured values fixed, for models that collapse: they mix however small ε is.

Given the hidden layers, the last layer enters the training loss through the n measured values v = Ā vec W alone. So at
fixed v (and fixed loss) the hidden layers can move under their collapsed posterior, whose density is the prior's times
N(v; 0, S), and the last layer can then be drawn afresh from its exact conditional. Only v itself is left to the moves
that feel the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.models.factorization.collapse import Collapsed
from bayesgc.models.factorization.products import row_product
from bayesgc.task import ArrayTask

_HIDDEN_MOVES = 1
"""Moves of the hidden layers in one refresh."""
_SMALLEST_ANGLE = 0.05


def refresh_at_fixed_values(
    task: ArrayTask,
    collapsed: Collapsed,
    normals: Float[Tensor, "latent draw"],
    generator: torch.Generator,
    check: Callable[[], None] = lambda: None,
) -> Float[Tensor, "latent draw"]:
    """New columns of the same law and with the same measured values, in the precision of the old ones."""
    exact = CollapsedCriterion(task, collapsed, 0.0, normals.device, check=check)
    parts = [_refresh(exact, part.double(), generator) for part in normals.split(exact.chunk, dim=1)]
    return torch.cat(parts, dim=1).to(normals.dtype)


def _refresh(
    exact: CollapsedCriterion, normals: Float[Tensor, "latent draw"], generator: torch.Generator
) -> Float[Tensor, "latent draw"]:
    collapsed, task = exact.collapsed, exact.task
    hidden, last = collapsed.split(normals)
    values = task.measurements.apply(row_product(last, collapsed.features(hidden)).flatten(0, 1)).T
    density = exact.system(hidden).log_density(values)
    hidden = _move_hidden(exact, hidden, values, density, generator)
    free = torch.randn(last.shape, generator=generator, device=last.device, dtype=last.dtype)
    _, last = exact.complete(hidden, free, values)
    return torch.where(_usable(density, last), collapsed.join(hidden, last), normals)


def _usable(density: Float[Tensor, " draw"], last: Float[Tensor, "row feature draw"]) -> Bool[Tensor, " draw"]:
    """Which draws may move: none leads to where the density is not known, so none may lead away from there."""
    return density.isfinite() & last.isfinite().all(0).all(0)


def _move_hidden(
    exact: CollapsedCriterion,
    hidden: Float[Tensor, "latent draw"],
    values: Float[Tensor, "draw n"],
    density: Float[Tensor, " draw"],
    generator: torch.Generator,
) -> Float[Tensor, "latent draw"]:
    """Crank–Nicolson steps accepted by the density of the fixed values; their angles are spread over all scales."""
    if hidden.shape[0] == 0:
        return hidden
    count = hidden.shape[1]
    for _ in range(_HIDDEN_MOVES):
        size, chance = _uniforms(exact, count, generator), _uniforms(exact, count, generator)
        angle = _SMALLEST_ANGLE * (math.pi / 2 / _SMALLEST_ANGLE) ** size
        proposal = angle.cos() * hidden + angle.sin() * exact.draw(generator, count)
        proposed = exact.system(proposal).log_density(values)
        accept = chance.log() < proposed - density
        hidden = torch.where(accept, proposal, hidden)
        density = torch.where(accept, proposed, density)
    return hidden


def _uniforms(exact: CollapsedCriterion, count: int, generator: torch.Generator) -> Float[Tensor, " draw"]:
    return torch.rand(count, generator=generator, device=exact.device, dtype=exact.dtype)

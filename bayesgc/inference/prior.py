"""Independent draws from the prior, which everything else is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from bayesgc.inference.control import Control, Progress, in_order
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.estimates import summarize_independent
from bayesgc.inference.functionals import quantities
from bayesgc.inference.records import Draws
from bayesgc.inference.request import Request
from bayesgc.inference.streams import Stream, generator

CHAINS, DRAWS = 16, 1000
_SHARE = 0.25
"""The part of the time after which no further chain of the prior begins."""


def draw_prior(criterion: Criterion, request: Request, control: Control) -> Draws:
    """As many draws as a posterior holds, one stream block for each chain; fewer chains when told to stop.

    That is at a quarter of the time: the prior is what the rest is compared with, and not what the time is for.
    """
    chains = request.chains or CHAINS
    kept = request.kept(chains, DRAWS)

    def one_chain(chain: int) -> _Chain | None:
        return None if chain and control.out_of_time(_SHARE) else _draw_chain(criterion, request, chain, kept)

    found: list[_Chain] = []
    for part in in_order(one_chain, range(chains), criterion.device):
        if part is None:
            break
        found.append(part)
        control.report(Progress("prior", len(found), chains))
    known = _stack([part.quantities for part in found])
    scalars = {name: values.double().numpy().ravel() for name, values in known.items() if values.ndim == 2}
    return Draws(
        end_to_end=torch.stack([part.vectors.T for part in found]).unflatten(-1, criterion.task.shape),
        quantities={name: values[:, :kept] for name, values in known.items()},
        summaries={name: summarize_independent(values) for name, values in scalars.items()},
        weights=_stack([part.weights for part in found]) if request.weights else None,
    )


@dataclass(frozen=True)
class _Chain:
    """The draws of one stream block: all their quantities, and the arrays and weights that are kept."""

    vectors: Float[Tensor, "entry kept"]
    quantities: dict[str, Float[Tensor, "draw *rest"]]
    weights: dict[str, Shaped[Tensor, "kept *site"]]


@torch.no_grad()
def _draw_chain(criterion: Criterion, request: Request, chain: int, kept: int) -> _Chain:
    source = generator(request.seed, Stream.PRIOR, chain, criterion.device)
    normals = criterion.draw(source, request.draws or DRAWS)
    vectors = criterion.vectors(normals)
    known = quantities(criterion.task, vectors)
    weights = criterion.whitened.weights(normals[:, :kept]) if request.weights else {}
    return _Chain(
        vectors[:, :kept].cpu().clone(),
        {name: values.cpu() for name, values in known.items()},
        {name: values.cpu() for name, values in weights.items()},
    )


def _stack(parts: list[dict[str, Tensor]]) -> dict[str, Float[Tensor, "chain draw *rest"]]:
    return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}

"""Independent draws from the prior, which everything else is compared with."""

from __future__ import annotations

import torch

from bayesgc.inference.criterion import Criterion
from bayesgc.inference.estimates import summarize_independent
from bayesgc.inference.functionals import quantities
from bayesgc.inference.records import Draws
from bayesgc.inference.request import Request
from bayesgc.inference.streams import Stream, generator

CHAINS, DRAWS = 16, 1000


@torch.no_grad()
def draw_prior(criterion: Criterion, request: Request) -> Draws:
    """As many draws as a posterior holds, one stream block for each chain."""
    chains, draws = request.chains or CHAINS, request.draws or DRAWS
    parts = []
    for chain in range(chains):
        source = generator(request.seed, Stream.PRIOR, chain, criterion.device)
        parts.append(criterion.draw(source, draws))
    normals = torch.cat(parts, dim=1)
    vectors = criterion.vectors(normals)
    found = {name: values.cpu() for name, values in quantities(criterion.task, vectors).items()}
    sites = criterion.whitened.weights(normals) if request.weights else None
    return Draws(
        end_to_end=vectors.T.cpu().unflatten(0, (chains, draws)).unflatten(-1, criterion.task.shape),
        quantities={name: values.unflatten(0, (chains, draws)) for name, values in found.items()},
        summaries={name: summarize_independent(v.double().numpy()) for name, v in found.items() if v.ndim == 1},
        weights=sites and {name: values.cpu().unflatten(0, (chains, draws)) for name, values in sites.items()},
    )

"""Independent draws from the prior, which everything else is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from bayesgc.inference.control import Control, Progress, in_order
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.estimates import summarize_independent
from bayesgc.inference.records import Draws
from bayesgc.inference.request import Request
from bayesgc.inference.streams import Stream, generator
from bayesgc.validate import InputError

CHAINS, DRAWS = 16, 1000
_SHARE = 0.25
"""The part of the time after which no further chain of the prior begins."""


def draw_prior(criterion: Criterion, request: Request, control: Control) -> Draws:
    """As many draws as a posterior holds, one stream block for each chain; fewer chains when told to stop.

    That is at a quarter of the time: the prior is what the rest is compared with, and not what the time is for.
    Draws that are not finite are left out and counted; what is left is dealt over the chains anew.

    Raises:
        InputError: where not one of at least 1000 draws is finite.
    """
    chains = request.chains or CHAINS
    kept = request.kept(chains, DRAWS)

    def one_chain(chain: int) -> _Block | None:
        return None if chain and control.out_of_time(_SHARE) else _draw_block(criterion, request, chain, kept)

    found: list[_Block] = []
    for part in in_order(one_chain, range(chains), criterion.device):
        if part is None:
            break
        found.append(part)
        control.report(Progress("prior", len(found), chains))
    drawn = len(found)
    if not any(part.finite.any() for part in found):
        found.append(_look_further(criterion, request, chains, kept))
    return _arranged(criterion, request, found, drawn)


@dataclass(frozen=True)
class _Block:
    """The draws of one stream block: which are finite in every entry and loss, and of those all quantities.

    Arrays and weights are those of the first of them, as many as are kept.
    """

    finite: Bool[Tensor, " draw"]
    vectors: Float[Tensor, "kept entry"]
    quantities: dict[str, Float[Tensor, "finite *rest"]]
    weights: dict[str, Shaped[Tensor, "kept *site"]]


@torch.no_grad()
def _draw_block(criterion: Criterion, request: Request, block: int, kept: int, count: int | None = None) -> _Block:
    source = generator(request.seed, Stream.PRIOR, block, criterion.device)
    normals = criterion.draw(source, criterion.testable(count or request.draws or DRAWS))
    vectors = criterion.vectors(normals)
    known = criterion.measures(normals, vectors, [source])
    finite = torch.stack([values.isfinite() for values in known.values() if values.ndim == 1]).all(0)
    first = finite.nonzero()[:kept, 0]
    weights = criterion.whitened.weights(normals[:, first]) if request.weights else {}
    return _Block(
        finite.cpu(),
        vectors[:, first].T.cpu(),
        {name: values[finite].cpu() for name, values in known.items()},
        {name: values.cpu() for name, values in weights.items()},
    )


def _look_further(criterion: Criterion, request: Request, block: int, kept: int) -> _Block:
    """One more block, where none of the draws so far is finite: a few of them may all have been unlucky."""
    more = _draw_block(criterion, request, block, kept, DRAWS)
    if not more.finite.any():
        dtype = str(criterion.dtype).removeprefix("torch.")
        raise InputError(
            f"not one of {DRAWS} draws of the prior is finite in {dtype}, in all its entries and losses; "
            "fix the model, or give it smaller scales."
        )
    return more


def _arranged(criterion: Criterion, request: Request, blocks: list[_Block], chains: int) -> Draws:
    """The finite draws of all blocks, dealt over chains: they are independent, so any arrangement will do."""
    finite = torch.cat([block.finite for block in blocks])
    count = sum(len(block.vectors) for block in blocks)
    chains = chains if count >= chains else 1

    def deal(values: list[Tensor]) -> Tensor:
        return torch.cat(values)[: count // chains * chains].unflatten(0, (chains, -1))

    known = {name: [block.quantities[name] for block in blocks] for name in blocks[0].quantities}
    kept = {name: [each[: len(b.vectors)] for each, b in zip(v, blocks, strict=True)] for name, v in known.items()}
    scalars = {name: torch.cat(values).double() for name, values in known.items() if values[0].ndim == 1}
    return Draws(
        end_to_end=deal([block.vectors for block in blocks]).unflatten(-1, criterion.task.shape),
        quantities={name: deal(values) for name, values in kept.items()},
        summaries={name: summarize_independent(values.numpy()) for name, values in scalars.items()},
        weights={name: deal([block.weights[name] for block in blocks]) for name in blocks[0].weights} or None,
        not_finite=1.0 - float(finite.double().mean()),
    )
